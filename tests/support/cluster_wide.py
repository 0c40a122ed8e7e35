"""Short ways to cluster-wide sessions."""

from dataclasses import dataclass, field

from docsession import SessionOptions, TransactionMode

OPTIONS = SessionOptions(transaction_mode=TransactionMode.CLUSTER_WIDE)


@dataclass
class User:
    name: str
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@dataclass
class Account:
    owner: str
    id: str | None = None


def cluster_wide(store, **options):
    """Open a cluster-wide session."""
    return store.open_session(session_options=SessionOptions(transaction_mode=TransactionMode.CLUSTER_WIDE, **options))


async def put(store, **values):
    """Create compare-exchange values in a session of their own."""
    async with cluster_wide(store) as session:
        made = [session.cluster_transaction.create_compare_exchange_value(*item) for item in values.items()]
        await session.save_changes()
    return [value.index for value in made]


async def value_of(store, key, object_type=None):
    """Return what stands under *key*, read in a session of its own; None where there is nothing."""
    async with cluster_wide(store) as session:
        found = await session.cluster_transaction.get_compare_exchange_value(key, object_type)
        return None if found is None else found.value

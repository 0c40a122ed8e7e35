"""What a user sets for one session."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

ISOLATION_LEVELS: Final = ("read committed", "repeatable read", "serializable")

LONGEST_TIMEOUT: Final = timedelta(days=24)
"""PostgreSQL counts milliseconds in 31 bits."""


class OptimisticConcurrencyMode(enum.Enum):
    """Which documents `save_changes()` checks against the version that the session loaded.

    NONE: none, the last write wins. WRITES: those that it writes or deletes. WRITES_AND_READS: every
    tracked document.  (RavenDB: OptimisticConcurrencyMode)
    """

    NONE = "None"
    WRITES = "Writes"
    WRITES_AND_READS = "WritesAndReads"


class TransactionMode(enum.Enum):
    """What a save of a session is (RavenDB: TransactionMode).

    SINGLE_NODE: a transaction of the server. CLUSTER_WIDE: one that also waits until a synchronous
    standby shows it, in which every document that is written is checked, and which may write
    compare-exchange values.
    """

    SINGLE_NODE = "SingleNode"
    CLUSTER_WIDE = "ClusterWide"


class ReadPreference(enum.Enum):
    """Where loads go; saves, and what belongs to them, go to the primary.

    PRIMARY: to the primary, too. PREFER_STANDBY: to a standby that has applied all that the session has
    saved, else to the primary. What is read there may be older than what the primary holds, never older
    than the session's own saves.  (In the place of RavenDB's ReadBalanceBehavior)
    """

    PRIMARY = "Primary"
    PREFER_STANDBY = "PreferStandby"


@dataclass(slots=True)
class SessionOptions:
    """Options of one session (RavenDB: SessionOptions).

    Attributes:
        database: The database (a schema) that the session works on; None is the store's.
        no_tracking: True: entities that are loaded are not tracked and cannot be saved.
        optimistic_concurrency_mode: None takes the convention's.
        no_caching: True: what this session loads is always sent by the server, and is not kept in the
            store's cache. Without it too a session sees the server's present state: the cache saves the transfer
            of documents that the store has as they are.
        request_executor: Another place for this session's requests: `store.get_request_executor()` of another store,
            or `RequestExecutor.for_connection(connection)` for a connection that somebody else owns.
        isolation_level: "repeatable read" or "serializable": a transaction begins with the session's first
            request and spans its reads and the flush, which commits it. None: reads see what is committed,
            and the flush is a transaction by itself.
        statement_timeout: How long the server may work on each statement of this session; then it ends the request
            with `RequestTimeoutException`. None is the store's (`set_request_timeout`), else the convention's
            (`request_timeout`); `timedelta(0)` is without end.
        read_preference: Where this session's loads go; None is the store's `read_preference`.
        read_after: What `session.advanced.last_save_token` of another session gave: this session's loads see what
            that one saved, whatever standby answers.
        transaction_mode: None is `TransactionMode.SINGLE_NODE`.
        disable_atomic_document_writes_in_cluster_wide_transaction: True: cluster-wide saves do not check the
            versions of the documents that they write. None takes the convention's.
    """

    database: str | None = None
    no_tracking: bool | None = None
    no_caching: bool | None = None
    request_executor: object | None = None
    transaction_mode: TransactionMode | None = None
    disable_atomic_document_writes_in_cluster_wide_transaction: bool | None = None
    optimistic_concurrency_mode: OptimisticConcurrencyMode | None = None
    isolation_level: str | None = None
    statement_timeout: timedelta | None = None
    read_preference: ReadPreference | None = None
    read_after: str | None = None


def check_timeout(name: str, value: object) -> timedelta | None:
    """Return *value* as a timeout, given under *name*.

    Raises:
        InvalidArgumentTypeException: It is no timedelta.
        InvalidArgumentException: It is negative, or longer than PostgreSQL can wait.
    """
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise InvalidArgumentTypeException(
            f"{name} is a timedelta, as timedelta(seconds=5), not {type(value).__qualname__} ({value!r:.60})"
        )
    if not timedelta(0) <= value <= LONGEST_TIMEOUT:
        raise InvalidArgumentException(f"{name} is between 0, which is without end, and 24 days, not {value}")
    return value


def check_isolation_level(value: object) -> str | None:
    """Return the name of an isolation level in lower case.

    Raises:
        InvalidArgumentException: There is no such level.
    """
    if value is None:
        return None
    name = value.replace("_", " ").lower() if isinstance(value, str) else None
    if name not in ISOLATION_LEVELS:
        raise InvalidArgumentException(
            f"an isolation level is one of {', '.join(map(repr, ISOLATION_LEVELS))}, not {value!r:.60}"
        )
    return name

"""Cluster-wide sessions: the rules of their saves, and their compare-exchange values.

PostgreSQL has one kind of transaction. A cluster-wide one also waits until a synchronous standby has applied it, where
there is one, and every document that it writes is checked by the version that the session loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from docsession._conventions import DocumentConventions
from docsession._documents._compare_exchange import CompareExchangeValue, check_key
from docsession._errors import (
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    ReplicationTimeoutException,
)
from docsession._options import OptimisticConcurrencyMode, TransactionMode
from docsession._port import Request, Row, Rows, Settings, Statement
from docsession._session._context import SessionContext
from docsession._session._exchange import ExchangeMap, give_versions
from docsession._session._exchange_table import among_values, has_values
from docsession._session._lazy import LazyOperation
from docsession._sql._flush import Delete

if TYPE_CHECKING:
    from docsession._session._planning import Flush

CLUSTER_WIDE: Final = TransactionMode.CLUSTER_WIDE

REMOTE_APPLY: Final[Settings] = (("synchronous_commit", "remote_apply"),)
"""What makes one transaction's commit wait until a synchronous standby shows it; without one nobody is waited for."""


# the rules


def check_modes(transaction_mode: object, mode: OptimisticConcurrencyMode) -> TransactionMode:
    """Return *transaction_mode* if a session may have it together with *mode*.

    Raises:
        InvalidArgumentTypeException: It is none.
        InvalidOperationException: Versions are checked anyway in a cluster-wide session.
    """
    if not isinstance(transaction_mode, TransactionMode):
        raise InvalidArgumentTypeException(f"transaction_mode is a TransactionMode, not {transaction_mode!r:.60}")
    if transaction_mode is CLUSTER_WIDE and mode is not OptimisticConcurrencyMode.NONE:
        raise InvalidOperationException(
            f"a session with TransactionMode.CLUSTER_WIDE has no optimistic concurrency mode of its own (it has "
            f"{mode.name}): every document that it writes is checked anyway. "
            "Set optimistic_concurrency_mode=OptimisticConcurrencyMode.NONE for it"
        )
    return transaction_mode


def refuse_change_vector(context: SessionContext, key: str) -> None:
    """Refuse a change vector that was given for the document *key*, where the session is cluster-wide.

    Raises:
        InvalidArgumentException: It is.
    """
    if context.transaction_mode is CLUSTER_WIDE:
        raise InvalidArgumentException(
            f"a change vector was given for {key!r:.120}, and a session with TransactionMode.CLUSTER_WIDE takes none: "
            "it checks what it writes against what it loaded. Leave it out, or use TransactionMode.SINGLE_NODE"
        )


def refuse_command(context: SessionContext, command: str) -> None:
    """Refuse a command that is neither a put nor a delete, such as a patch, where the session is cluster-wide.

    Raises:
        InvalidArgumentException: It is.
    """
    if context.transaction_mode is CLUSTER_WIDE:
        raise InvalidArgumentException(
            f"the command {command!r} is not supported in a session with TransactionMode.CLUSTER_WIDE, which takes "
            "puts, deletions and compare-exchange values only"
        )


def plan_cluster_wide(context: SessionContext, flush: Flush) -> None:
    """Make *flush* a cluster-wide one.

    Raises:
        InvalidArgumentException: Change vectors were given before the session was made cluster-wide.
    """
    seconds = timeout_of(context.conventions)
    flush.is_cluster_wide = True
    flush.settings = REMOTE_APPLY
    if context.journal is None or context.joined is not None:
        # On a connection of somebody else's it holds where that is in autocommit; else the commit is theirs.
        flush.commit_timeout = seconds
    else:
        # What waits is the transaction's own commit.
        context.journal.is_cluster_wide = True
        context.journal.commit_timeout = seconds
    for key in flush.checked:
        refuse_change_vector(context, key)
    for write in flush.puts:
        if write.tracked.expected is not None:
            refuse_change_vector(context, write.id)
    for deletion in flush.deletions:
        if deletion.expected is not None:
            refuse_change_vector(context, deletion.id)
    for command in flush.deferred:
        if command.expected is not None:
            refuse_change_vector(context, command.id)


# a save


def has_values_to_save(context: SessionContext) -> bool:
    """Return True where a save has to look at compare-exchange values.

    Raises:
        InvalidOperationException: Some are to be saved, and the session is not cluster-wide any more.
    """
    values = context.exchange
    if values is None or not values.has_changes():
        return False
    if context.transaction_mode is not CLUSTER_WIDE:
        keys = ", ".join(map(repr, sorted({*values.deleted, *(write.id for write in values.changed(verify=False))})))
        raise InvalidOperationException(
            f"the compare-exchange values {keys} are to be saved, and the session's transaction_mode is SINGLE_NODE "
            "now; set it to CLUSTER_WIDE, or give them up: session.advanced.cluster_transaction.clear()"
        )
    return True


async def plan_values(context: SessionContext, flush: Flush) -> None:
    """Let *flush* write and delete the session's compare-exchange values."""
    values = context.exchange
    assert values is not None  # noqa: S101  # `has_values_to_save` was asked
    database = context.database
    await has_values(database, make=True)
    statements = database.compare_exchange
    flush.values = values.changed(verify=context.conventions.verify_on_save)
    give_versions(flush.values, statements, flush.moment)
    flush.deleted_values = [Delete(statements, key, index) for key, index in values.deleted.items()]
    flush.operations += flush.values
    flush.operations += flush.deleted_values


def timeout_of(conventions: DocumentConventions) -> float | None:
    """Return how many seconds a commit waits for a standby; None: as long as it takes."""
    timeout = conventions.cluster_wide_timeout
    return None if timeout is None else timeout.total_seconds()


def unconfirmed() -> ReplicationTimeoutException:
    """Return the error for a transaction that no standby has confirmed in time."""
    return ReplicationTimeoutException(
        "the save is committed on the primary server, and no synchronous standby has confirmed it within "
        "conventions.cluster_wide_timeout. Nothing is lost, and nothing is to be repeated: the session counts it as "
        "saved, and the standby gets it when it is back. Until then it would be lost with the primary"
    )


# what users ask for


class ClusterTransactions:
    """The compare-exchange values of one session, for the faces."""

    __slots__ = ("_context",)

    def __init__(self, context: SessionContext) -> None:
        self._context = context

    def require(self) -> None:
        """Refuse to work in a session that is not cluster-wide.

        Raises:
            InvalidOperationException: It is not.
        """
        if self._context.transaction_mode is not CLUSTER_WIDE:
            raise InvalidOperationException(
                "compare-exchange values belong to sessions with TransactionMode.CLUSTER_WIDE: open the session with "
                "SessionOptions(transaction_mode=TransactionMode.CLUSTER_WIDE)"
            )

    @property
    def has_values(self) -> bool:
        """True where the session tracks any."""
        values = self._context.exchange
        return values is not None and bool(values.by_key or values.deleted)

    def create(self, key: str, item: object) -> CompareExchangeValue[Any]:
        """Have the next save create a value."""
        context = self._context
        context.enter("create_compare_exchange_value")
        try:
            self.require()
            if context.no_tracking:
                raise InvalidOperationException(
                    "this session tracks nothing (no_tracking), so it can create no compare-exchange value"
                )
            return self._values.create(check_key(key), item)
        finally:
            context.leave()

    def delete(self, item_or_key: object, index: int | None) -> None:
        """Have the next save delete a value."""
        context = self._context
        context.enter("delete_compare_exchange_value")
        try:
            self.require()
            if context.no_tracking:
                raise InvalidOperationException(
                    "this session tracks nothing (no_tracking), so it can delete no compare-exchange value"
                )
            self._values.delete(item_or_key, index)
        finally:
            context.leave()

    async def get(self, key: str, object_type: object) -> CompareExchangeValue[Any] | None:
        """Return the value of a key, or None."""
        return (await self._get("get_compare_exchange_value", [check_key(key)], object_type))[key]

    async def get_many(self, keys: Iterable[str], object_type: object) -> dict[str, CompareExchangeValue[Any] | None]:
        """Return a dict with every key that was asked for."""
        return await self._get("get_compare_exchange_values", check_keys(keys), object_type)

    async def _get(
        self, operation: str, keys: Sequence[str], object_type: object
    ) -> dict[str, CompareExchangeValue[Any] | None]:
        context = self._context
        context.enter(operation)
        try:
            question = LazyValues(context, keys, object_type)
            await context.settle()
            await ask(context, question)
            return question.found
        finally:
            context.leave()

    async def get_starting_with(
        self, prefix: str, start: int | None, page_size: int | None, object_type: object
    ) -> dict[str, CompareExchangeValue[Any]]:
        """Return the values whose keys begin with *prefix*, in the order of their keys."""
        context = self._context
        context.enter("get_compare_exchange_values_starting_with")
        try:
            self.require()
            check_page(prefix, start, page_size)
            await context.settle()
            context.requests.count(context.operation)
            statement = context.database.compare_exchange.load_starting_with(prefix, start or 0, page_size)
            answers = await among_values(context.database, lambda: context.run(Request([statement])))
            rows = answers[0] if answers else []
            return {row[0]: take(context, row, object_type) for row in rows if row[0] not in self._values.deleted}
        finally:
            context.leave()

    def lazily(self, keys: Sequence[str], object_type: object) -> LazyValues:
        """Return a question for values that waits to be asked with others."""
        context = self._context
        context.enter("lazily.get_compare_exchange_values")
        try:
            self.require()
            return context.lazies.add(LazyValues(context, keys, object_type))
        finally:
            context.leave()

    def clear(self) -> None:
        """Forget every value, and what was to be done with it."""
        context = self._context
        context.enter("clear")
        if context.exchange is not None:
            context.exchange.clear()
        context.leave()

    def is_tracked(self, key: str) -> bool:
        """Return True where the session knows what there is under *key*."""
        values = self._context.exchange
        return values is not None and values.knows(check_key(key))

    @property
    def number(self) -> int:
        """How many keys the session knows something of."""
        values = self._context.exchange
        return 0 if values is None else len(values.by_key) + len(values.deleted) + len(values.missing)

    @property
    def _values(self) -> ExchangeMap:
        return self._context.make_exchange()


class LazyValues(LazyOperation):
    """The question for the values of some keys.

    Attributes:
        found: The answer: every key that was asked for, with its value.
    """

    __slots__ = ("_asked", "_context", "_keys", "_object_type", "found")

    def __init__(self, context: SessionContext, keys: Sequence[str], object_type: object) -> None:
        super().__init__()
        self._context = context
        self._keys = keys
        self._object_type = object_type
        self._asked: list[str] = []
        self.found: dict[str, CompareExchangeValue[Any] | None] = {}
        if object_type is not None:
            context.mappings.for_value(object_type)  # refused now, if it is to be refused

    @override
    async def statements(self) -> list[Statement] | None:
        """See `LazyOperation.statements`."""
        context = self._context
        ClusterTransactions(context).require()
        values = context.make_exchange()
        self._asked = [key for key in self._keys if not values.knows(key)]
        if not self._asked:
            return None
        if not await has_values(context.database):
            return []
        return [context.database.compare_exchange.load(self._asked)]

    @override
    async def take(self, answers: Sequence[Rows]) -> None:
        """See `LazyOperation.take`."""
        context = self._context
        values = context.make_exchange()
        found = {row[0]: take(context, row, self._object_type) for rows in answers for row in rows}
        if not context.no_tracking:
            values.missing.update(key for key in self._asked if key not in found and key not in values.by_key)
        self.found = {key: found[key] if key in found else values.find(key) for key in self._keys}


def take(context: SessionContext, row: Row, object_type: object) -> CompareExchangeValue[Any]:
    """Return the value of a row; a value that the session tracks stays as it is."""
    return context.make_exchange().take(
        context.database.compare_exchange, row, object_type, is_tracked=not context.no_tracking
    )


async def ask(context: SessionContext, question: LazyValues) -> None:
    """Ask *question* now, alone."""
    statements = await question.statements()
    if statements is not None:
        context.requests.count(context.operation)
    answers = await among_values(context.database, lambda: context.run(Request(statements))) if statements else []
    await question.take(answers or [])


def check_keys(keys: Iterable[str]) -> list[str]:
    """Return the keys of several values, each once.

    Raises:
        InvalidArgumentTypeException: It is one key, or nothing of that kind.
    """
    given: object = keys
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidArgumentTypeException(
            f"get_compare_exchange_values() takes several keys, as in ['a', 'b'], not {given!r:.80}"
        )
    return list(dict.fromkeys(check_key(key) for key in keys))


def check_page(prefix: object, start: object, page_size: object) -> None:
    """Refuse wrong arguments of a listing.

    Raises:
        InvalidArgumentException: One cannot be used.
    """
    if not isinstance(prefix, str):
        raise InvalidArgumentTypeException(f"starts_with is a str like 'usernames/', not {prefix!r:.80}")
    if "\0" in prefix or (not prefix.isascii() and any("\ud800" <= c <= "\udfff" for c in prefix)):
        raise InvalidArgumentException(f"no key of a compare-exchange value begins with {prefix!r:.80}")
    for name, value in (("start", start), ("page_size", page_size)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise InvalidArgumentException(f"{name} is a number of values, 0 or more, not {value!r:.40}")

"""Operations of a store on compare-exchange values, outside of sessions; each is one request."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from typing_extensions import override

from docsession._documents._compare_exchange import (
    CompareExchangeValue,
    annotation_for,
    check_index,
    check_key,
    named,
)
from docsession._documents._mapping import Mappings
from docsession._errors import (
    DocumentMismatchException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    UnknownOutcomeException,
)
from docsession._port import Request, Rows, Settings, Statement
from docsession._session._changes import prepare_write, snapshot_of
from docsession._session._cluster import REMOTE_APPLY, check_keys, check_page, timeout_of, unconfirmed
from docsession._session._database import Database
from docsession._session._exchange import TrackedValue, materialise
from docsession._session._exchange_table import among_values
from docsession._session._planning import current_moment
from docsession._session._timeouts import timeout_setting

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class CompareExchangeResult(Generic[T]):
    """What became of a put or delete (RavenDB: CompareExchangeResult).

    Attributes:
        value: The value that is there now; of a deletion that succeeded the one that was there.
        index: Its index; 0 where there is none.
        successful: False where another index was found than expected; nothing was changed then.
    """

    value: T | None
    index: int
    successful: bool


class StoreOperation(Generic[R]):
    """Something that `store.operations.send` does."""

    __slots__ = ()

    async def run(self, database: Database, mappings: Mappings) -> R:
        """Do it; called by `send`."""
        raise NotImplementedError


def check_operation(operation: StoreOperation[R]) -> StoreOperation[R]:
    """Return *operation* if it is one.

    Raises:
        InvalidArgumentTypeException: It is none.
    """
    given: object = operation
    if isinstance(given, StoreOperation):
        return operation
    raise InvalidArgumentTypeException(
        f"send() takes an operation, as in PutCompareExchangeValueOperation('key', 'value', 0), not {given!r:.80}"
    )


class PutCompareExchangeValueOperation(StoreOperation[CompareExchangeResult[T]]):
    """Writes a value, if its index is the expected one (RavenDB: PutCompareExchangeValueOperation).

    Args:
        key: The value's key.
        value: An object, dict, list or plain value.
        index: The index that it must have; 0: there must be none.
        metadata: Free keys to store with it.
    """

    __slots__ = ("_index", "_key", "_metadata", "_value")

    def __init__(self, key: str, value: T, index: int, metadata: Mapping[str, Any] | None = None) -> None:
        self._key = check_key(key)
        self._value = value
        self._index = check_index(index, least=0)
        self._metadata = metadata

    @override
    async def run(self, database: Database, mappings: Mappings) -> CompareExchangeResult[T]:
        moment = current_moment()
        data, metadata = self._encoded(mappings, verify=database.conventions.verify_on_save)
        index = moment.version_after(self._index)
        statements = database.compare_exchange
        row = (self._key, data, metadata, index)
        put = Statement(statements.update, (*row, self._index)) if self._index else Statement(statements.insert, row)
        both = [put, statements.load([self._key])]
        written, found = await among_values(database, lambda: _write(database, self, self._key, both), make=True) or (
            [],
            [],
        )
        if written:
            return CompareExchangeResult(self._value, index, True)
        declared = annotation_for(None, self._value)
        return _refused(mappings, found, declared if isinstance(declared, type) else None)

    def _encoded(self, mappings: Mappings, *, verify: bool) -> tuple[bytes, bytes]:
        mapping = mappings.for_value(annotation_for(None, self._value))
        shown = CompareExchangeValue(self._key, 0, self._value, self._metadata)
        holder = mapping.entity_class(self._value)
        tracked = TrackedValue(self._key, holder, mapping, mapping.codec.snapshot, metadata=shown.metadata, shown=shown)
        with named([self._key]):
            write = prepare_write(tracked, snapshot_of(tracked), verify=verify)
        return write.data, write.metadata


class DeleteCompareExchangeValueOperation(StoreOperation[CompareExchangeResult[Any]]):
    """Deletes a value, if its index is the expected one (RavenDB: DeleteCompareExchangeValueOperation).

    Args:
        key: The value's key.
        index: The index that it must have.
        object_type: The type of the value in the result; None gives dicts, lists and plain values.
    """

    __slots__ = ("_index", "_key", "_object_type")

    def __init__(self, key: str, index: int, object_type: Any = None) -> None:
        self._key = check_key(key)
        self._index = check_index(index, least=0)
        self._object_type = object_type

    @override
    async def run(self, database: Database, mappings: Mappings) -> CompareExchangeResult[Any]:
        statements = database.compare_exchange
        delete = Statement(statements.delete_checked, (self._key, self._index))
        both = [delete, statements.load([self._key])]
        deleted, found = await among_values(database, lambda: _write(database, self, self._key, both)) or ([], [])
        if deleted:
            return CompareExchangeResult(
                materialise(mappings, deleted[0], self._object_type).shown.value, self._index, True
            )
        return _refused(mappings, found, self._object_type)


class GetCompareExchangeValueOperation(StoreOperation[CompareExchangeValue[Any] | None]):
    """Reads a value; None where there is none (RavenDB: GetCompareExchangeValueOperation).

    Args:
        key: The value's key.
        object_type: The type of the value; None gives dicts, lists and plain values.
    """

    __slots__ = ("_key", "_object_type")

    def __init__(self, key: str, object_type: Any = None) -> None:
        self._key = check_key(key)
        self._object_type = object_type

    @override
    async def run(self, database: Database, mappings: Mappings) -> CompareExchangeValue[Any] | None:
        rows = await _read(database, self, database.compare_exchange.load([self._key]))
        return materialise(mappings, rows[0], self._object_type).shown if rows else None


class GetCompareExchangeValuesOperation(StoreOperation[dict[str, CompareExchangeValue[Any]]]):
    """Reads several values, or those whose keys begin alike (RavenDB: GetCompareExchangeValuesOperation).

    The result is a dict of those that exist, by key; in the order of the keys where *starts_with* is given.

    Args:
        keys: The values' keys.
        object_type: The type of the values; None gives dicts, lists and plain values.
        starts_with: How the keys begin, instead of *keys*; "" takes all.
        start: How many of them to leave out first.
        page_size: How many to return at most; None returns all.
    """

    __slots__ = ("_keys", "_object_type", "_page_size", "_start", "_starts_with")

    def __init__(
        self,
        keys: Collection[str] | None = None,
        object_type: Any = None,
        *,
        starts_with: str | None = None,
        start: int | None = None,
        page_size: int | None = None,
    ) -> None:
        if (keys is None) is (starts_with is None):
            raise InvalidArgumentException("GetCompareExchangeValuesOperation takes either keys or starts_with")
        self._keys = None if keys is None else check_keys(keys)
        if starts_with is not None:
            check_page(starts_with, start, page_size)
        self._object_type = object_type
        self._starts_with = starts_with
        self._start = start
        self._page_size = page_size

    @classmethod
    def create_for_start_with(
        cls, start_with: str, start: int | None = None, page_size: int | None = None, object_type: Any = None
    ) -> Self:
        """Return the operation for the values whose keys begin with *start_with*."""
        return cls(None, object_type, starts_with=start_with, start=start, page_size=page_size)

    @override
    async def run(self, database: Database, mappings: Mappings) -> dict[str, CompareExchangeValue[Any]]:
        statements = database.compare_exchange
        if self._keys is not None:
            rows = await _read(database, self, statements.load(self._keys))
        else:
            starting = statements.load_starting_with(self._starts_with or "", self._start or 0, self._page_size)
            rows = await _read(database, self, starting)
        return {row[0]: materialise(mappings, row, self._object_type).shown for row in rows}


async def _read(database: Database, operation: StoreOperation[Any], statement: Statement) -> Rows:
    request = Request([statement], settings=_timeout_of(database))
    answers = await among_values(database, lambda: database.beside.run(_name_of(operation), request))
    return answers[0] if answers else []


def _name_of(operation: StoreOperation[Any]) -> str:
    """Return what those who watch requests know an operation as."""
    return type(operation).__name__


def _timeout_of(database: Database) -> Settings:
    """Return the setting that bounds a request's time, if there is one; as for the requests of sessions."""
    timeout = database.request_timeout
    if timeout is None:
        timeout = database.conventions.request_timeout
    return () if timeout is None else (timeout_setting(timeout),)


async def _write(
    database: Database, operation: StoreOperation[Any], key: str, statements: list[Statement]
) -> list[Rows]:
    """Write as a cluster-wide session does.

    Raises:
        ReplicationTimeoutException: It is written, and no standby has confirmed it in time.
    """
    request = Request(
        statements,
        transaction=True,
        write=True,
        settings=(*REMOTE_APPLY, *_timeout_of(database)),
        commit_timeout=timeout_of(database.conventions),
    )
    try:
        results = await database.beside.run(_name_of(operation), request)
    except UnknownOutcomeException as error:
        raise UnknownOutcomeException(
            f"the connection to PostgreSQL broke before the answer: whether the compare-exchange value {key!r} was "
            "written is not known. Get it, and compare; sending the operation again with the same index does no harm"
        ) from error
    if request.unconfirmed:
        raise unconfirmed()
    return results


def _refused(mappings: Mappings, found: Rows, object_type: Any) -> CompareExchangeResult[Any]:
    if not found:
        return CompareExchangeResult(None, 0, False)
    try:
        actual = materialise(mappings, found[0], object_type).shown
    except DocumentMismatchException:
        actual = materialise(mappings, found[0], None).shown  # somebody has put a value of another type there
    return CompareExchangeResult(actual.value, actual.index, False)

"""The part of `session.advanced` that asks the server nothing, and so is the same on both faces."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from docsession._commands import CommandData
from docsession._documents._diff import DocumentsChanges
from docsession._documents._metadata import MetadataAsDictionary
from docsession._errors import InvalidArgumentTypeException
from docsession._executors._reading import ReadingExecutor
from docsession._faces._events import DocumentEvents, SessionEvents
from docsession._options import OptimisticConcurrencyMode, TransactionMode
from docsession._session._core import SessionCore
from docsession._session._requests import check_limit

T = TypeVar("T")


class AdvancedSessionCommon(SessionEvents, DocumentEvents):
    """What a session knows of its documents, and its settings."""

    __slots__ = ("_core",)

    def __init__(self, core: SessionCore) -> None:
        self._core = core

    # requests and settings

    @property
    def number_of_requests(self) -> int:
        """How many requests the session has sent."""
        return self._core.context.requests.number

    @property
    def max_number_of_requests_per_session(self) -> int:
        """How many requests this session may send; by default what the conventions say."""
        return self._core.context.requests.limit

    @max_number_of_requests_per_session.setter
    def max_number_of_requests_per_session(self, value: int) -> None:
        self._core.context.requests.limit = check_limit(value)

    @property
    def last_save_token(self) -> str | None:
        """What `SessionOptions.read_after` takes for a session that is to see what this one has saved.

        None where nothing was saved (or begun with), and in a session whose loads go to the primary anyway.
        """
        executor = self._core.context.own_executor
        return executor.token if isinstance(executor, ReadingExecutor) else None

    @property
    def use_optimistic_concurrency(self) -> bool:
        """True where saves check the versions of what they write, as the setting of that name in RavenDB."""
        return self._core.context.mode is not OptimisticConcurrencyMode.NONE

    @use_optimistic_concurrency.setter
    def use_optimistic_concurrency(self, value: bool) -> None:
        if not value:
            self.optimistic_concurrency_mode = OptimisticConcurrencyMode.NONE
        elif not self.use_optimistic_concurrency:
            self.optimistic_concurrency_mode = OptimisticConcurrencyMode.WRITES

    @property
    def optimistic_concurrency_mode(self) -> OptimisticConcurrencyMode:
        """Which documents saves check; none, those they write, or all that the session tracks."""
        return self._core.context.mode

    @optimistic_concurrency_mode.setter
    def optimistic_concurrency_mode(self, value: OptimisticConcurrencyMode) -> None:
        if not isinstance(value, OptimisticConcurrencyMode):
            raise InvalidArgumentTypeException(
                f"optimistic_concurrency_mode is an OptimisticConcurrencyMode, not {value!r:.60}"
            )
        self._core.set_mode(value)

    @property
    def transaction_mode(self) -> TransactionMode:
        """Whether saves are cluster-wide; it may be changed between them.

        Raises:
            InvalidOperationException: It is set to CLUSTER_WIDE, and the session has an optimistic concurrency mode.
        """
        return self._core.context.transaction_mode

    @transaction_mode.setter
    def transaction_mode(self, value: TransactionMode) -> None:
        self._core.set_transaction_mode(value)

    # transactions

    @property
    def in_transaction(self) -> bool:
        """True between `begin()` and its `commit()` or `rollback()`."""
        return self._core.transaction_depth > 0

    @property
    def connection(self) -> Any:
        """The psycopg connection of the transaction, for SQL of your own that commits or rolls back with it.

        It is the pool's again after the end of the transaction; end it by the session's `commit()` and
        `rollback()` only.

        Raises:
            InvalidOperationException: The session is not in a transaction.
        """
        return self._core.connection

    # changes

    def has_changes(self) -> bool:
        """Return True where `save_changes()` has something to write."""
        return self._core.has_changes()

    def has_changed(self, entity: object) -> bool:
        """Return True where *entity* differs from what is stored; False for one that is not tracked."""
        return self._core.has_changed(entity)

    def what_changed(self) -> dict[str, list[DocumentsChanges]]:
        """Return what `save_changes()` would change, by document id (RavenDB: what_changed)."""
        return self._core.what_changed()

    def what_changed_for(self, entity: object) -> list[DocumentsChanges]:
        """Return what `save_changes()` would change of *entity*.

        Raises:
            InvalidOperationException: It is not tracked.
        """
        return self._core.what_changed_for(entity)

    def ignore_changes_for(self, entity: object) -> None:
        """Leave *entity* out of every save of this session, though it counts as changed.

        Raises:
            InvalidOperationException: It is not tracked.
        """
        self._core.ignore_changes_for(entity)

    def defer(self, *commands: CommandData) -> None:
        """Have the next `save_changes()` run raw commands, too (RavenDB: session.advanced.defer).

        A command is taken as it is now. The save runs it in its one request and transaction; entities that the session
        tracks under these ids are brought up to date by it. A save that fails keeps its commands.

        Args:
            commands: `PutCommandDataWithJson` and `DeleteCommandData`, one for each document.

        Raises:
            InvalidOperationException: There is a command for that document already.
            InvalidArgumentException: A command cannot be run.
            UnsupportedValueException: A document holds a value that cannot be stored.
        """
        self._core.storing.defer(commands)

    # what is tracked

    def is_loaded(self, key: str) -> bool:
        """Return True where `load(key)` needs no request: loaded, stored, included, deleted or known missing."""
        return self._core.is_loaded(key)

    def get_tracked_entities(self) -> dict[str, dict[str, object]]:
        """Return `{id: {"id", "entity", "is_deleted"}}` of everything the session tracks."""
        return self._core.get_tracked_entities()

    def evict(self, entity: object) -> None:
        """Forget *entity* and its changes; the next load brings a new instance."""
        self._core.evict(entity)

    def clear(self) -> None:
        """Forget every entity, change and deletion."""
        self._core.clear()

    def replace(self, old: T, new: T) -> None:
        """Track *new* as the document of *old*: how a frozen instance is changed.

        Raises:
            InvalidOperationException: *old* is not tracked.
            InvalidArgumentTypeException: They are of different classes.
            NonUniqueObjectException: *new* is tracked as another document.
        """
        self._core.replace(old, new)

    def register_for_concurrency_check(self, key: str, change_vector: str | None) -> None:
        """Have the next save check, once, that a document has a version, whether it writes it or not.

        Args:
            key: The document's id.
            change_vector: The version; "": it must not exist; None takes the check back.
        """
        self._core.register_for_concurrency_check(key, change_vector)

    # about one document

    def get_document_id(self, entity: object) -> str | None:
        """Return the id of *entity*; None where it is not tracked."""
        return self._core.get_document_id(entity)

    def get_metadata_for(self, entity: object) -> MetadataAsDictionary:
        """Return the document's metadata, to be read and changed; free keys are saved with it.

        Raises:
            InvalidArgumentException: *entity* is not tracked.
        """
        return self._core.get_metadata_for(entity)

    def get_change_vector_for(self, entity: object) -> str | None:
        """Return the version that the session knows of; None before the first save.

        Raises:
            InvalidArgumentException: *entity* is not tracked.
        """
        return self._core.get_change_vector_for(entity)

    def get_last_modified_for(self, entity: object) -> datetime | None:
        """Return when the document was last written, in UTC; None before the first save.

        Raises:
            InvalidArgumentException: *entity* is not tracked.
        """
        return self._core.get_last_modified_for(entity)

"""What the parts of one session share, and the guard that keeps a second thread or task out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from typing_extensions import override

from docsession._conventions import DocumentConventions
from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._errors import SessionBusyException, SessionClosedException, UnknownOutcomeException
from docsession._options import OptimisticConcurrencyMode
from docsession._port import Carrier, RequestExecutor
from docsession._session._database import Database
from docsession._session._identity_map import IdentityMap
from docsession._session._journal import Journal
from docsession._session._requests import RequestLog
from docsession._sql._flush import Moment, Operation

R = TypeVar("R")


class Attempt:
    """A flush, or a transaction of several, whose outcome is not known: its connection broke.

    Attributes:
        apply: Makes the session agree that it was committed.
        undo: Makes it agree that it was not, where that takes something.
    """

    __slots__ = ("apply", "moment", "operations", "undo")

    def __init__(
        self,
        operations: list[Operation],
        moment: Moment,
        apply: Callable[[], None],
        undo: Callable[[], None] | None = None,
    ) -> None:
        self.operations = operations
        self.moment = moment
        self.apply = apply
        self.undo = undo


class SessionContext:
    """The state of one session.

    Attributes:
        mode: Which documents a save checks.
        no_tracking: Entities that are loaded are not remembered.
        unknown: True in the state UNKNOWN: the outcome of the last save is not known.
        attempts: The flushes whose answer was lost; one that seemed not to be committed may have
            been on its way still, so they are kept until a save succeeds.
        closed: The state CLOSED.
        executor: What carries the session's requests now: a pool, or its transaction.
        own_executor: What carries them outside a transaction.
        isolation_level: That of the transactions which span the session's reads and its flush; None: there are none.
        is_of_one_moment: True in a transaction whose requests all see what was committed when it began.
        journal: In a transaction that spans several requests, what its flushes did; else None.
    """

    __slots__ = (
        "_busy",
        "_is_asking",
        "_operation",
        "attempts",
        "closed",
        "conventions",
        "database",
        "executor",
        "is_of_one_moment",
        "isolation_level",
        "journal",
        "map",
        "mappings",
        "mode",
        "no_tracking",
        "own_executor",
        "requests",
        "unknown",
    )

    def __init__(
        self,
        database: Database,
        mappings: Mappings,
        conventions: DocumentConventions,
        *,
        mode: OptimisticConcurrencyMode,
        no_tracking: bool,
        executor: RequestExecutor | None = None,
        isolation_level: str | None = None,
    ) -> None:
        self.database = database
        self.own_executor: RequestExecutor = executor or database.executor
        self.executor: Carrier = self.own_executor
        self.isolation_level = isolation_level
        self.is_of_one_moment = False
        self.journal: Journal | None = None
        self.mappings = mappings
        self.conventions = conventions
        self.mode = mode
        self.no_tracking = no_tracking
        self.map = IdentityMap()
        self.requests = RequestLog(conventions.max_number_of_requests_per_session)
        self.unknown = False
        self.attempts: list[Attempt] = []
        self.closed = False
        self._busy = threading.Lock()
        self._is_asking = False
        self._operation = ""

    @override
    def __repr__(self) -> str:
        """Say what the session works on and what it has done; also in the middle of an operation."""
        if self.closed:
            return f"of {self.database.name!r}, closed"
        requests = f"{self.requests.number} of {self.requests.limit} requests"
        return f"of {self.database.name!r}, {len(self.map.by_id)} tracked, {requests}"

    @property
    def is_in_transaction(self) -> bool:
        """True where a request is a part of a transaction that goes on after it, or began before."""
        return self.executor is not self.own_executor

    def enter(self, operation: str) -> None:
        """Begin *operation*; every call that uses the session's state begins so.

        Raises:
            SessionBusyException: Another thread or task is inside an operation.
            SessionClosedException: The session is closed.
            UnknownOutcomeException: The outcome of the last save is not known yet.
        """
        if not self._busy.acquire(blocking=False):
            raise SessionBusyException(
                f"{operation}() was called while {self._operation}() of the same session is running; "
                "a session belongs to one thread or task at a time: open one for each"
            )
        self._operation = operation
        if self._is_asking and operation in {"save_changes", "close"}:
            self._busy.release()
            raise SessionBusyException(
                f"{operation}() was called in the middle of save_changes(), where should_ignore_entity_changes is asked"
            )
        if self.closed:
            self._busy.release()
            raise SessionClosedException(f"{operation}() was called on a closed session; open a new one")
        if self.unknown and operation not in {"save_changes", "close"}:
            self._busy.release()
            raise UnknownOutcomeException(
                f"{operation}() was called after a save_changes() whose connection broke: whether it was committed is "
                "not known yet. Call save_changes() again, which asks the server, or close the session"
            )

    def leave(self) -> None:
        """End the operation that `enter` began."""
        self._busy.release()

    def outside(self, ask: Callable[[], R]) -> R:
        """Call *ask*, the user's own code in the middle of an operation, so that it may look at the session."""
        operation = self._operation
        self._is_asking = True
        self._busy.release()
        try:
            return ask()
        finally:
            self._busy.acquire()
            self._is_asking = False
            self._operation = operation

    @property
    def operation(self) -> str:
        """The operation that is running, or was the last."""
        return self._operation

    def mapping_for(self, object_type: type | None) -> DocumentMapping[Any] | None:
        """Return the mapping of a class that documents are asked as; None for dicts, which have any collection."""
        return None if object_type is None or object_type is dict else self.mappings.for_class(object_type)

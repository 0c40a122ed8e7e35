"""What the parts of one session share."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from docsession._conventions import DocumentConventions
from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._errors import SessionClosedException, UnknownOutcomeException
from docsession._options import OptimisticConcurrencyMode, TransactionMode
from docsession._port import Carrier, Request, RequestExecutor, Row, Rows, Statement
from docsession._session._attempts import Attempt
from docsession._session._database import Database
from docsession._session._events import Face, Handler, Handlers, call, call_at_once
from docsession._session._exchange import ExchangeMap
from docsession._session._guard import Guard
from docsession._session._identity_map import IdentityMap
from docsession._session._journal import Journal
from docsession._session._lazy import PendingLazies
from docsession._session._observing import Observer
from docsession._session._requests import RequestLog
from docsession._session._sending import send, send_stream
from docsession._sql._definitions import Definition

if TYPE_CHECKING:
    from docsession._session._joined import Joined


class SessionContext:
    """The state of one session.

    Attributes:
        guard: Who is inside the session.
        mode: Which documents a save checks.
        no_tracking: Entities that are loaded are not remembered.
        cache: What the store keeps of the documents that were read; None: not for this session.
        unknown: True in the state UNKNOWN: the outcome of the last save is not known.
        attempts: The flushes whose answer was lost; one that seemed not to be committed may have
            been on its way still, so they are kept until a save succeeds.
        closed: The state CLOSED.
        has_committed: True once the session has written something that no rollback can undo.
        joined: What carries the requests on a connection that somebody else owns; None: there is none.
        executor: What carries the session's requests now: a pool, or its transaction.
        own_executor: What carries them outside a transaction.
        isolation_level: That of the transactions which span the session's reads and its flush; None: there are none.
        is_of_one_moment: True in a transaction whose requests all see what was committed when it began.
        reads_are_past: True in a save of a session with an isolation level whose transaction is to begin with it: what
            the session knows was read in an earlier one, whose view of the database is gone.
        reads_latest: True where reads must not lag, though the session may read from a standby: what they bring is
            to be written again at once.
        statement_timeout: How long the server may work on a statement; None is the database's or the convention's.
        journal: In a transaction that spans several requests, what its flushes did; else None.
        handlers: What is called at events; None where there is nothing.
        observer: Likewise for the session's requests.
        face: What handlers know as the session; set before there are handlers.
        transaction_mode: Whether saves are cluster-wide.
        unguarded: True: cluster-wide saves do not check the versions of what they write.
        exchange: The compare-exchange values; None where none was asked for.
    """

    __slots__ = (
        "_lazies",
        "attempts",
        "cache",
        "closed",
        "conventions",
        "database",
        "exchange",
        "executor",
        "face",
        "guard",
        "handlers",
        "has_committed",
        "is_of_one_moment",
        "isolation_level",
        "joined",
        "journal",
        "map",
        "mappings",
        "mode",
        "no_tracking",
        "observer",
        "own_executor",
        "reads_are_past",
        "reads_latest",
        "requests",
        "statement_timeout",
        "transaction_mode",
        "unguarded",
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
        no_caching: bool = False,
        executor: RequestExecutor | None = None,
        isolation_level: str | None = None,
        transaction_mode: TransactionMode = TransactionMode.SINGLE_NODE,
        unguarded: bool = False,
        statement_timeout: timedelta | None = None,
    ) -> None:
        self.database = database
        self.own_executor: RequestExecutor = executor or database.executor
        self.executor: Carrier = self.own_executor
        self.isolation_level = isolation_level
        self.is_of_one_moment = False
        self.statement_timeout = statement_timeout
        self.journal: Journal | None = None
        self.joined: Joined | None = None
        self.mappings = mappings
        self.conventions = conventions
        self.mode = mode
        self.no_tracking = no_tracking
        self.cache = None if no_caching else database.cache
        self.transaction_mode = transaction_mode
        self.unguarded = unguarded
        self.exchange: ExchangeMap | None = None
        self.map = IdentityMap()
        self.requests = RequestLog(conventions.max_number_of_requests_per_session)
        self.unknown = False
        self.attempts: list[Attempt] = []
        self.closed = False
        self.has_committed = False
        self.reads_are_past = False
        self.reads_latest = False
        self._lazies: PendingLazies | None = None
        self.guard = Guard()
        self.handlers: Handlers | None = None
        self.observer: Observer | None = None
        self.face: Face | None = None

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
        return self.executor is not self.own_executor or self.joined is not None

    def enter(self, operation: str) -> None:
        """Begin *operation*; every call that uses the session's state begins so.

        Raises:
            SessionBusyException: Another thread or task is inside an operation.
            SessionClosedException: The session is closed.
            UnknownOutcomeException: The outcome of the last save is not known yet.
        """
        self.guard.enter(operation)
        if self.closed:
            self.leave()
            raise SessionClosedException(f"{operation}() was called on a closed session; open a new one")
        if self.unknown and not self._may_settle(operation):
            self.leave()
            raise UnknownOutcomeException(
                f"{operation}() was called after a save_changes() whose connection broke: whether it was committed is "
                "not known yet. Call save_changes() again, which asks the server, or close the session"
            )
        if self.joined is not None and not self.guard.guests:
            try:
                self.joined.review()
            except BaseException:
                self.leave()
                raise

    def _may_settle(self, operation: str) -> bool:
        """Return True for what ends the state UNKNOWN."""
        is_own_rollback = operation == "rollback" and self.journal is not None and self.joined is None
        return operation in {"save_changes", "close"} or is_own_rollback

    async def settle(self) -> None:
        """Find out to which database somebody else's connection leads, before what is known of it is relied on."""
        if self.joined is not None:
            await self.joined.settle()

    def leave(self) -> None:
        """End the operation that `enter` began."""
        self.guard.leave()

    def run(self, request: Request) -> Coroutine[Any, Any, list[Rows]]:
        """Send a request of the session; every one goes this way."""
        return send(self, request)

    def stream(self, operation: str, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """Send a request of the session whose rows are read as they come."""
        return send_stream(self, operation, statement, size)

    async def tell(self, event: str, make: Callable[..., object], *args: object) -> None:
        """Call the handlers of *event* with `make(*args)`; they may use the session."""
        handlers: tuple[Handler, ...] = getattr(self.handlers, event, ())
        if handlers:
            await self.call_each(event, handlers, make(*args))

    async def call_each(self, event: str, handlers: Sequence[Handler], given: object) -> None:
        """Call functions of the user's in the middle of an operation; they may use the session."""
        assert self.face is not None  # noqa: S101  # every session has one
        for handler in handlers:
            with self.guard.outside(f"handlers of {event} are called"):
                await call(event, handler, given, awaits=self.face.awaits)

    def tell_at_once(self, event: str, make: Callable[..., object], *args: object) -> None:
        """Do the same where nothing can be awaited."""
        handlers: tuple[Handler, ...] = getattr(self.handlers, event, ())
        if not handlers:
            return
        given = make(*args)
        for handler in handlers:
            with self.guard.outside(f"handlers of {event} are called"):
                call_at_once(event, handler, given)

    @property
    def session(self) -> object:
        """What the user knows as the session."""
        assert self.face is not None  # noqa: S101  # every session has one
        return self.face.get(self)

    @property
    def reads_committed(self) -> bool:
        """True where requests see nothing but what is committed: each is a transaction by itself.

        What is read inside a transaction may be rolled back. If the clock of this machine is behind, the next
        write of the document could be given the same version (one chance in 1024), so such rows are not kept.
        To name the version of a kept row there is safe, since that one was committed.
        """
        return not self.is_in_transaction

    @property
    def checks_writes(self) -> bool:
        """True where saves check the versions of what they write."""
        return self.mode is not OptimisticConcurrencyMode.NONE or self.guards_writes

    @property
    def guards_writes(self) -> bool:
        """True where they do so because they are cluster-wide."""
        return self.transaction_mode is TransactionMode.CLUSTER_WIDE and not self.unguarded

    def definitions_of(self, collection: str, table: str) -> Sequence[Definition]:
        """Return the indexes, columns and statistics that are declared for a collection."""
        return self.database.declared.of_collection(collection, table, self.mappings).definitions

    @property
    def lazies(self) -> PendingLazies:
        """The questions that wait."""
        if self._lazies is None:
            self._lazies = PendingLazies(self)
        return self._lazies

    def make_exchange(self) -> ExchangeMap:
        """Return the compare-exchange values, made at the first call."""
        if self.exchange is None:
            self.exchange = ExchangeMap(self.mappings)
        return self.exchange

    def fork(self, *, shares_transaction: bool) -> SessionContext:
        """Return the state of a session beside this one, which checks what it writes and tracks nothing yet.

        It shares the place of its requests, their count, the settings and the handlers.

        Args:
            shares_transaction: True lets its requests be a part of this session's transaction.
        """
        other = copy.copy(self)
        other.map = IdentityMap()
        other.exchange = other.face = other._lazies = None
        other.attempts = []
        other.guard = Guard()
        other.no_tracking = other.unguarded = other.has_committed = False
        other.reads_latest = True
        if self.transaction_mode is TransactionMode.SINGLE_NODE:
            other.mode = OptimisticConcurrencyMode.WRITES
        if shares_transaction:
            other.isolation_level = None
        else:
            other.executor = other.own_executor
        return other

    def forget_seen(self) -> None:
        """Forget what is not tracked: in a transaction that is rolled back it may have looked otherwise."""
        self.map.missing.clear()
        self.map.included.clear()
        if self.exchange is not None:
            self.exchange.missing.clear()

    def forget_everything(self) -> None:
        """Forget documents, compare-exchange values and questions."""
        self.map.clear()
        if self.exchange is not None:
            self.exchange.clear()
        if self._lazies is not None:
            self._lazies.clear()

    @property
    def operation(self) -> str:
        """The operation that is running, or was the last."""
        return self.guard.operation

    def mapping_for(self, object_type: type | None) -> DocumentMapping[Any] | None:
        """Return the mapping of a class that documents are asked as; None for dicts, which have any collection."""
        return None if object_type is None or object_type is dict else self.mappings.for_class(object_type)

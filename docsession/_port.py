"""The port between the session and PostgreSQL: what a request is, and who carries it.

A parameter's Python type decides its SQL type, because types are part of a prepared statement's
key: `str` is text, `int` bigint, `bytes` jsonb, `Timestamp` timestamptz, `TextArray` text[].
Nothing else may be sent. Rows come back as tuples in which text is `str`, bigint `int`, bool `bool`,
timestamptz a `Timestamp`'s int, and jsonb the bytes as PostgreSQL sends them.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Protocol, TypeAlias

from typing_extensions import override

JSONB_VERSION = b"\x01"
"""What PostgreSQL puts before the text of a jsonb value in its binary format.

A `bytes` parameter starts with it, and so does every jsonb of a row; `NULL_JSONB` is SQL's null.
Kept by those who hand such bytes on, so that nothing is copied on the way.
"""
NULL_JSONB = b""

Settings: TypeAlias = Sequence[tuple[str, str]]
Row: TypeAlias = tuple[Any, ...]
Rows: TypeAlias = list[Row]


class Timestamp(int):
    """A moment as PostgreSQL's binary format has it: microseconds since 2000-01-01T00:00:00Z."""

    __slots__ = ()


class TextArray(tuple[str, ...]):
    """Values for one parameter of type text[]."""

    __slots__ = ()


class Statement:
    """One SQL statement with its parameters, `$1` style.

    Attributes:
        sql: The text, with every identifier quoted; equal texts share one prepared statement.
        params: One value per `$n`, each of a type named in this module's docstring.
        settings: What its request is to have as `settings`; whoever makes the request sees to it.
    """

    __slots__ = ("params", "settings", "sql")

    def __init__(self, sql: bytes, params: Sequence[object] = (), settings: Settings = ()) -> None:
        self.sql = sql
        self.params = params
        self.settings = settings

    @override
    def __repr__(self) -> str:
        return f"<Statement {self.sql.decode()[:200]!r} with {len(self.params)} parameters>"


def settings_in(statements: Sequence[Statement]) -> Settings:
    """Return what a request of *statements* is to have as settings; of different numbers the greatest."""
    found: dict[str, str] = {}
    for statement in statements:
        for name, value in statement.settings:
            found[name] = max(found.get(name, ""), value, key=lambda each: (len(each), each))
    return tuple(found.items())


class Request:
    """Statements that go to the server in one round trip.

    Attributes:
        statements: In the order in which the server runs them.
        transaction: True puts them between BEGIN and COMMIT; False runs one statement by itself
            (several without a transaction are reads, each by itself).
        write: True where the statements change something: such a request is never repeated by the
            executor, and its loss is an `UnknownOutcomeException`.
        sent: Counted up by the executor right before the first byte leaves, each time it is sent. From
            then on the outcome of a write that fails for want of an answer is not known.
        cancelled: Set by an async executor that was cancelled after a write had been sent: it waits
            for the answer and returns it, and the caller raises `CancelledError` once it has
            applied the answer, with the same arguments: anyio knows its own cancellations by them.
        interrupted: What a handler raised after a write was answered; likewise.
        settings: Server settings, (name, value), that hold for this transaction alone; a request that
            has some is one transaction, also where `transaction` is False.
        commit_timeout: Seconds after which a request that ends a transaction is cancelled; None waits for ever. What
            is cancelled before it commits has done nothing (`RequestTimeoutException`); a commit that waits for a
            synchronous standby stays, and its waiting ends.
        may_lag: True for a read that a standby may answer, with an older state than the primary's.
        wants_position: True asks, after the COMMIT and in the same round trip, how far the write-ahead log has got; a
            request that asks is one transaction, also where `transaction` is False.
        position: The answer: a number that is greater than, or equal to, that of the commit; None: not known.
        collections: The collections that it is about, where whoever made it says so, and `documents` how many documents
            it writes, deletes or checks; for those who watch requests.
        unconfirmed: Set by the executor where the transaction is committed on this server, and no synchronous
            standby has confirmed it, because the waiting for one was cancelled.
    """

    __slots__ = (
        "cancelled",
        "collections",
        "commit_timeout",
        "documents",
        "interrupted",
        "may_lag",
        "position",
        "sent",
        "settings",
        "statements",
        "transaction",
        "unconfirmed",
        "wants_position",
        "write",
    )

    def __init__(
        self,
        statements: Sequence[Statement],
        *,
        transaction: bool = False,
        write: bool = False,
        settings: Settings = (),
        commit_timeout: float | None = None,
        may_lag: bool = False,
    ) -> None:
        self.statements = statements
        self.transaction = transaction
        self.write = write
        self.settings = settings
        self.commit_timeout = commit_timeout
        self.sent = 0
        self.cancelled: BaseException | None = None
        self.interrupted: BaseException | None = None
        self.unconfirmed = False
        self.may_lag = may_lag
        self.wants_position = False
        self.position: int | None = None
        self.collections: tuple[str, ...] = ()
        self.documents: int | None = None


class Carrier(Protocol):
    """Carries requests: an executor, or a transaction.

    Everything is `async def`; a blocking one never suspends, so that its coroutines end at the
    first `send(None)`.
    """

    async def run(self, request: Request) -> list[Rows]:
        """Send *request* in one round trip and return the rows of each statement, in order.

        (The statements BEGIN and COMMIT that the executor adds have no entry in the result.)

        Raises:
            RavenException: The server refused a statement (`sqlstate`, and the psycopg error as
                its cause); a transaction was rolled back as a whole.
            ConnectionFailedException: Nothing was sent.
            ConnectionLostException: The connection broke; for a write `UnknownOutcomeException`.
        """
        ...

    def stream(self, statement: Statement, size: int) -> AsyncGenerator[Row]:
        """Yield the rows of one statement, *size* at a time from the server, in bounded memory."""
        ...


class RequestExecutor(Carrier, Protocol):
    """Carries requests to one PostgreSQL server, on any connections."""

    async def run_apart(self, make: Callable[[], Request | None]) -> list[Rows]:
        """The same as `run` on the connection that is kept apart from the pool, for id ranges and DDL.

        One at a time: *make* is called when the connection is free, and may find that nothing
        is left to be done (None), because somebody did it meanwhile.
        """
        ...

    def begin(self, isolation_level: str | None = None) -> Transaction:
        """Return a transaction on a connection of its own, which is taken, and begun, with its first request."""
        ...

    async def close(self) -> None:
        """Give back every connection."""
        ...


class SleepingExecutor(RequestExecutor, Protocol):
    """An executor that can wait, in the manner of its face."""

    async def sleep(self, seconds: float) -> None:
        """Wait; others go on meanwhile."""
        ...


class Transaction(Carrier, Protocol):
    """Carries the requests of one transaction.

    BEGIN goes in front of the first request. A write is a savepoint of its own, in the same round
    trip: one that is refused leaves the transaction as it was. A connection that breaks, but in
    `commit`, has undone everything (`ConnectionLostException`).
    """

    @property
    def is_begun(self) -> bool:
        """True from the first request to the end."""
        ...

    @property
    def has_ended(self) -> bool:
        """True where its user has ended it on the connection, past this object."""
        ...

    @property
    def connection(self) -> Any:
        """The connection of psycopg; None before `open` or the first request, and after the end."""
        ...

    def check_free(self) -> None:
        """Refuse to work while a stream has the connection.

        Raises:
            InvalidOperationException: One has.
        """
        ...

    async def open(self) -> None:
        """Take the connection; whatever is first sent on it begins the transaction."""
        ...

    async def commit(self, request: Request | None = None) -> list[Rows]:
        """Commit, after the statements of *request* in the same round trip; the connection goes back.

        Where the statements are refused everything is rolled back.

        Raises:
            UnknownOutcomeException: The connection broke before the answer.
        """
        ...

    async def rollback(self) -> None:
        """Roll everything back; the connection goes back. Does nothing where nothing was begun."""
        ...

    async def savepoint(self, request: Request) -> None:
        """Set a savepoint inside those that are set already; *request* notes who cancels, as that of a write does."""
        ...

    async def release_savepoint(self, request: Request) -> None:
        """Let what was done since the last savepoint be part of what surrounds it."""
        ...

    async def rollback_to_savepoint(self, request: Request) -> None:
        """Undo what was done since the last savepoint, and forget that."""
        ...

    def abandon(self) -> None:
        """Cut the connection, which rolls everything back, under another thread or task that is using it."""
        ...


class Fate(enum.Enum):
    """What became of a write in a transaction that somebody else ends.

    OPEN: the transaction goes on. DOUBTFUL: it may have ended; the server is asked with the next
    request. COMMITTED and UNDONE are final.
    """

    OPEN = "open"
    DOUBTFUL = "doubtful"
    COMMITTED = "committed"
    UNDONE = "undone"


class Premise:
    """A write that stands only if somebody else's transaction is committed.

    Attributes:
        xid: The transaction's number, as text; None where it is not known.
        fate: What is known of it.
        mark: How far the session's journal was before the write; the session's own note.
        note: What the executor remembers it by.
    """

    __slots__ = ("fate", "mark", "note", "xid")

    def __init__(self, xid: str | None) -> None:
        self.xid = xid
        self.fate = Fate.OPEN
        self.mark = 0
        self.note: object | None = None


Place: TypeAlias = tuple[str, str]
"""A PostgreSQL database of one running server: its name, and when the server was started."""


class ForeignExecutor(RequestExecutor, Protocol):
    """Carries the requests of one session over a connection that somebody else owns.

    A request joins the transaction that is open there, inside a savepoint of its own, and never
    commits it.

    Attributes:
        premises: Writes that are not known to be committed, in order; the session takes out what is settled.
    """

    premises: list[Premise]

    def review(self) -> None:
        """Bring `premises` up to date, as far as can be told without asking the server."""
        ...

    async def ask(self) -> None:
        """Ask the server about every premise that is `DOUBTFUL`; outside a transaction that begins none."""
        ...

    async def place(self) -> Place:
        """Return where the connection leads; asked once per connection, outside a transaction without beginning one."""
        ...

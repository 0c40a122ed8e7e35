"""psycopg's connections that somebody else owns: what is known of each, and whether it can take a request now."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from psycopg import IsolationLevel
from psycopg.pq import PipelineStatus, TransactionStatus

from docsession._errors import ConnectionFailedException, InvalidOperationException
from docsession._executors._wire import Wire
from docsession._port import Place, Statement

_PREPARED_MAX: Final = 256


class Link:
    """What is known of one of psycopg's connections, as long as it lives.

    Attributes:
        wire: The conversation on it.
        place: Where it leads, once that was asked.
    """

    __slots__ = ("place", "wire")

    def __init__(self, driver: Any) -> None:
        self.wire = Wire(driver.pgconn, driver.prepare_threshold, _PREPARED_MAX)
        self.place: Place | None = None


_links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()


def link_of(driver: Any, owner: str) -> Link:
    """Return what is known of a connection, with statements prepared as its owner has it now."""
    if driver.closed:
        raise _closed(driver, owner)
    link = _links.get(driver)
    if link is None:
        return _links.setdefault(driver, Link(driver))
    link.wire.follow_threshold(driver.prepare_threshold)
    return link


def check(driver: Any, owner: str) -> TransactionStatus:
    """Return where the connection stands, if it can take a request.

    Raises:
        InvalidOperationException: It cannot.
    """
    pgconn = driver.pgconn
    status = TransactionStatus(pgconn.transaction_status)
    if pgconn.pipeline_status != PipelineStatus.OFF:
        raise InvalidOperationException(
            f"{owner} is in pipeline mode, where a session can read no answer; nothing was sent: "
            "use the session outside the pipeline"
        )
    match status:
        case TransactionStatus.IDLE | TransactionStatus.INTRANS:
            pass
        case TransactionStatus.INERROR:
            raise InvalidOperationException(
                f"the transaction of {owner} has failed by an earlier statement; nothing was sent: roll it back, "
                "or to a savepoint, and use the session then"
            )
        case TransactionStatus.ACTIVE:
            raise busy(owner)
        case _:
            raise _closed(driver, owner)
    encoding = pgconn.parameter_status(b"client_encoding")
    if encoding != b"UTF8":
        raise InvalidOperationException(
            f"{owner} has the client_encoding {(encoding or b'').decode()!r}, in which documents would be garbled; "
            "nothing was sent: connect with client_encoding=utf8"
        )
    return status


def _closed(driver: Any, owner: str) -> Exception:
    if driver.broken:
        return ConnectionFailedException(
            f"the connection of {owner} is broken; nothing was sent, and what its transaction had "
            "written is rolled back: begin again on a new one"
        )
    return InvalidOperationException(
        f"the connection of {owner} is closed; nothing was sent: open the session on one that is open"
    )


def busy(owner: str) -> InvalidOperationException:
    """Return the error for a connection that is in the middle of something else."""
    return InvalidOperationException(
        f"the connection of {owner} is busy with another statement, of another thread or task, or of a "
        "stream that is not read to its end; nothing was sent: one at a time uses a connection"
    )


def begin_of(driver: Any) -> Statement:
    """Return what psycopg would send to begin a transaction on this connection."""
    words = ["BEGIN"]
    if driver.isolation_level is not None:
        words.append(f"ISOLATION LEVEL {IsolationLevel(driver.isolation_level).name.replace('_', ' ')}")
    if driver.read_only is not None:
        words.append("READ ONLY" if driver.read_only else "READ WRITE")
    if driver.deferrable is not None:
        words.append("DEFERRABLE" if driver.deferrable else "NOT DEFERRABLE")
    return Statement(" ".join(words).encode())

"""Counts what queries of a database look like, and keeps the counts in the database, for advice on indexes."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import perf_counter
from typing import Final

import msgspec

from docsession._documents._naming import command_line
from docsession._errors import DocSessionError, RavenException, TableDoesNotExistException
from docsession._port import JSONB_VERSION, Request, Rows, Statement
from docsession._query._shapes import QueryShape
from docsession._query._statements import QueryStatement
from docsession._session._beside import Beside
from docsession._sql._query_shapes import MOST_SHAPES, add_shapes, has_schema

_log = logging.getLogger("docsession")

INTERVAL: Final = 300.0
"""Seconds between two writings."""

_SETTINGS: Final = (("lock_timeout", "1s"), ("statement_timeout", "5s"))
"""Somebody waits for the answer to a query meanwhile."""

_PASSING: Final = {None, "55P03", "57014"}
"""SQLSTATEs of what may be otherwise the next time: no answer, somebody has a lock, it takes too long."""
_READ_ONLY: Final = "25006"
"""Retryable, because another server may take over; each try gives up all connections to one that only reads."""


class _Count:
    __slots__ = ("number", "seconds", "shape")

    def __init__(self, shape: QueryShape) -> None:
        self.shape = shape
        self.number = 0
        self.seconds = 0.0


class QueryShapes:
    """The shapes of the queries that a store has asked of one database since they were written down last.

    There are no more of them than the database keeps; what comes beyond that is not counted.

    Args:
        database: Its name.
        beside: What carries requests there, on the connection apart from the pool.
    """

    __slots__ = ("_beside", "_counts", "_database", "_due", "_is_refused", "_lock")

    def __init__(self, database: str, beside: Beside) -> None:
        self._database = database
        self._beside = beside
        self._is_refused = False
        self.renew()

    def renew(self) -> None:
        """Begin anew: in a forked child, whose parent writes what it has counted, or with another database."""
        self._counts: dict[str, _Count] = {}
        self._due = perf_counter() + INTERVAL
        self._lock = threading.Lock()

    def add(self, shapes: Iterable[QueryShape], seconds: float) -> None:
        """Count queries that a request has asked in a time."""
        with self._lock:
            for shape in shapes:
                known = self._counts.get(shape.digest)
                if known is None:
                    if len(self._counts) >= MOST_SHAPES:
                        continue
                    known = self._counts[shape.digest] = _Count(shape)
                known.number += 1
                known.seconds += seconds

    async def watch(
        self,
        shapes: Sequence[QueryShape],
        request: Request,
        send: Callable[[Request], Awaitable[list[Rows]]],
        *,
        may_write: bool,
    ) -> list[Rows]:
        """Send *request* with *send*, and count its queries.

        Args:
            shapes: Those of its queries.
            request: The request.
            send: What sends it.
            may_write: True where what was counted is to be written, from time to time: the server has just answered.
        """
        began = perf_counter()
        rows = await send(request)
        ended = perf_counter()
        self.add(shapes, (ended - began) / len(shapes))
        if may_write and ended >= self._due:
            await self.write()
        return rows

    async def write(self) -> None:
        """Add what was counted to what the database keeps. What cannot be written is lost, and harms nobody."""
        with self._lock:
            counts, self._counts = self._counts, {}
            self._due = perf_counter() + INTERVAL
        if not counts or self._is_refused:
            return
        now = dt.datetime.now(dt.UTC).isoformat()
        rows = [
            {
                "digest": digest,
                "collection": each.shape.collection,
                "shape": msgspec.Raw(each.shape.json),
                "count": each.number,
                "microseconds": round(each.seconds * 1_000_000),
                "last_seen": now,
            }
            for digest, each in counts.items()
        ]
        statements = add_shapes(self._database, JSONB_VERSION + msgspec.json.encode(rows))
        request = Request(statements, transaction=True, write=True, settings=_SETTINGS)
        try:
            await self._send(request)
        except Exception:
            # Of a handler. Whoever has asked a query, and has its answer, is not to pay for that.
            _log.warning(
                "a handler of requests raised while the shapes of queries were written in the database %r",
                self._database,
                exc_info=True,
            )

    async def _send(self, request: Request) -> None:
        try:
            await self._beside.run_apart(
                "write_query_shapes", request, again=False, answers=(TableDoesNotExistException,)
            )
        except TableDoesNotExistException as error:
            if await self._has_database():  # or it was dropped, and its queries are nobody's concern any more
                self._refuse(error)
        except RavenException as error:
            passes = error.retryable or error.sqlstate in _PASSING
            if not passes or error.sqlstate == _READ_ONLY:
                self._refuse(error)
        except DocSessionError:
            pass

    async def _has_database(self) -> bool:
        try:
            request = Request([has_schema(self._database)])
            (((there,),),) = await self._beside.run_apart("find_database", request, again=False)
        except DocSessionError:
            return False
        return bool(there)

    def _refuse(self, error: RavenException) -> None:
        self._is_refused = True
        _log.warning(
            "the shapes of queries cannot be kept in the database %r, so that `docsession indexes` will not know which "
            "indexes they lack: %s. Run `%s`, give the role its rights on docsession_query_shapes, or turn the "
            "convention record_query_shapes off",
            self._database,
            error,
            command_line("upgrade", self._database),
        )


def shapes_in(statements: Iterable[Statement]) -> list[QueryShape]:
    """Return the shapes of those statements that are queries."""
    return [each.shape for each in statements if type(each) is QueryStatement]

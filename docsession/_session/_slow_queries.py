"""Warnings of queries that take long: their SQL without the values, and the code line that asked."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter

from docsession._port import Request, Rows
from docsession._query._raw_sql import RawStatement
from docsession._query._statements import QueryStatement
from docsession._session._requests import RequestLog

_log = logging.getLogger("docsession.query")


async def watch(
    request: Request, send: Callable[[Request], Awaitable[list[Rows]]], threshold: timedelta, requests: RequestLog
) -> list[Rows]:
    """Send *request* with *send*, and warn of its queries where it takes *threshold* or longer.

    Args:
        request: The request.
        send: What sends it.
        threshold: The convention's.
        requests: Knows who asked.
    """
    began = perf_counter()
    answers = await send(request)
    took = perf_counter() - began
    if took < threshold.total_seconds():
        return answers
    queries = [
        (statement, rows)
        for statement, rows in zip(request.statements, answers, strict=True)
        if isinstance(statement, QueryStatement | RawStatement)
    ]
    for statement, rows in queries:
        file, line, function, operation = requests.last
        _log.warning(
            "%s took %.0f ms%s and found %d rows, at %s:%d in %s: %s",
            operation,
            took * 1000,
            f" for {len(queries)} queries together" if len(queries) > 1 else "",
            len(rows),
            file,
            line,
            function,
            statement.sql.decode(),
        )
    return answers

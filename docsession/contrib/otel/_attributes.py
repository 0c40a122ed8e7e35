"""What a span and a measurement say of a request, in the words of OpenTelemetry's conventions for databases."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

import docsession
from docsession._errors import ConcurrencyException, _GuardFailed
from docsession._session._event_args import FailedRequestEventArgs, SucceedRequestEventArgs
from docsession._session._requests import CallSite

Attributes: TypeAlias = dict[str, str | int | tuple[str, ...]]
Outcome: TypeAlias = SucceedRequestEventArgs | FailedRequestEventArgs

_DEFAULT_PORT: Final = 5432


def name_of(args: Outcome) -> str:
    """Return a span's name: the session's method and what it is about, of which there are few."""
    collections = args.request.collections
    return f"{args.request.operation} {collections[0] if len(collections) == 1 else args.database}"


def common_of(args: Outcome) -> Attributes:
    """Return what measurements are told apart by, which spans have, too."""
    collections = args.request.collections
    attributes: Attributes = {**_place_of(args.url, args.database), "db.operation.name": args.request.operation}
    if len(collections) == 1:
        attributes["db.collection.name"] = collections[0]
    return attributes


def request_of(args: Outcome, site: CallSite) -> Attributes:
    """Return what spans alone say of a request: its size, and the line of code that asked."""
    file, line, function, _ = site
    attributes: Attributes = {"code.file.path": file, "code.line.number": line, "code.function.name": function}
    if args.request.statements > 1:
        attributes["db.operation.batch.size"] = args.request.statements
    if len(args.request.collections) > 1:
        attributes["docsession.collections"] = args.request.collections
    if args.attempt_number != 1:
        attributes["docsession.attempts"] = args.attempt_number
    return attributes


def answer_of(args: SucceedRequestEventArgs) -> Attributes:
    """Return how much came back, and was sent."""
    return {
        "db.response.returned_rows": args.rows,
        "docsession.documents": args.documents,
        "docsession.bytes.sent": args.bytes_sent,
        "docsession.bytes.received": args.bytes_received,
    }


def failure_of(error: BaseException) -> Attributes:
    """Return the kind of an error; its text may hold ids and values."""
    attributes: Attributes = {"error.type": _kind_of(error)}
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is not None and not isinstance(error, _GuardFailed):
        attributes["db.response.status_code"] = sqlstate
    return attributes


def _kind_of(error: BaseException) -> str:
    """Return the name of the class that a program can catch."""
    if isinstance(error, _GuardFailed) and error.marker == "conflict":
        return f"docsession.{ConcurrencyException.__name__}"
    for kind in type(error).__mro__:
        if kind.__module__.startswith("docsession.") and kind.__name__ in docsession.__all__:
            return f"docsession.{kind.__name__}"
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


@functools.lru_cache(maxsize=256)
def _place_of(url: str, database: str) -> Mapping[str, str | int]:
    """Return the server and the database; of several servers nobody knows which one answered."""
    parts = urlsplit(url)
    name = unquote(parts.path.removeprefix("/"))
    place: dict[str, str | int] = {
        "db.system.name": "postgresql",
        "db.namespace": f"{name}|{database}" if name else database,
    }
    host, _, port = parts.netloc.rpartition("@")[2].rpartition(":")
    if host and "," not in host:
        place["server.address"] = unquote(host)
        if port.isdecimal() and int(port) != _DEFAULT_PORT:
            place["server.port"] = int(port)
    return place

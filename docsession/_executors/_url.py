"""What a user may give as the server's URL -> libpq's connection parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import psycopg
from psycopg.conninfo import conninfo_to_dict

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

OURS = ("postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg_async")
"""URL schemes that are understood; the last two are SQLAlchemy's."""

SERVERS = ("host", "hostaddr", "port")
"""What may differ between the URLs of one store."""

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+._-]*)://")
PORTS = re.compile(r"[0-9, ]*")
MISREAD = re.compile(r"postgresql://([^/@]*@[^/?]*@|[^/?]*/[^?]*@)")
"""A URL whose password has an unescaped "@" or "/": libpq would take a part of it for host, port or database."""
PASSWORD_PARAMETER = re.compile(
    # Quoted, quoted without an end, or bare.
    r"(\w*(?:pass|pwd)\w*\s*=\s*)('(?:[^'\\]|\\.)*'|'.*|(?:[^\s&\\]|\\.)*)",
    re.IGNORECASE | re.DOTALL,
)


def parse_url(urls: str | Sequence[str] | None) -> dict[str, str]:
    """Return libpq's connection parameters for *urls*.

    Args:
        urls: `postgresql://user:password@host:port/database`, with several hosts separated by
            commas if there are; SQLAlchemy's `postgresql+psycopg://`; libpq's `host=… dbname=…`.
            Or a list of such that differ in their servers alone.

    Raises:
        InvalidArgumentException: None, blank, not a PostgreSQL URL, or URLs of different databases.
            No message holds a password.
    """
    given: object = urls
    if given is None:
        raise InvalidArgumentException(f"the URL is None; {FORGOTTEN}")
    if isinstance(given, str):
        return _parse_one(given)
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise InvalidArgumentTypeException(
            f"a URL is a str, or a list of them, not {type(given).__qualname__}: postgresql://user:password@host/database"
        )
    if not given:
        raise InvalidArgumentException(f"the list of URLs is empty; {FORGOTTEN}")
    return _merge([_parse_one(url) for url in given])


FORGOTTEN = (
    "an environment variable that is not set is the likely reason. "
    "DocumentStore() without a URL takes DOCSESSION_URL, else the embedded server"
)


def _parse_one(url: object) -> dict[str, str]:
    if url is None:
        raise InvalidArgumentException(f"a URL of the list is None; {FORGOTTEN}")
    if not isinstance(url, str):
        raise InvalidArgumentTypeException(f"a URL is a str, not {type(url).__qualname__}")
    url = url.strip()
    if not url:
        raise InvalidArgumentException(f"the URL is empty; {FORGOTTEN}")
    scheme = SCHEME.match(url)
    if scheme is None and "=" not in url:
        raise InvalidArgumentException(
            "this is not a URL of a PostgreSQL database: it has to be like postgresql://user:password@host:5432/database"
        )
    if scheme is not None:
        if scheme[1].lower() not in OURS:
            raise InvalidArgumentException(_refuse(scheme[1], url[scheme.end() :]))
        url = "postgresql://" + url[scheme.end() :]
        if MISREAD.match(url):
            raise _unreadable(url, "")
    return _parameters(url)


def _parameters(url: str) -> dict[str, str]:
    reason = None
    try:
        found = conninfo_to_dict(url)
    except psycopg.Error as error:
        reason = str(error).strip()
    else:
        parameters = {name: str(value) for name, value in found.items() if value is not None}
        if PORTS.fullmatch(parameters.get("port", "")):
            return parameters
        reason = "a port is a number"
    # libpq quotes what it stumbled over, which may be a part of the password; for the same reason
    # its error is not the cause of ours.
    raise _unreadable(url, "" if "@" in url or "password" in url.lower() else f": {reason}")


def _unreadable(url: str, hidden: str) -> InvalidArgumentException:
    return InvalidArgumentException(
        f"the URL {mask_password(url)!r} cannot be read{hidden}. Characters of a user or password that are not letters "
        "or digits are written percent-encoded: urllib.parse.quote(password, safe='')"
    )


def _refuse(scheme: str, rest: str) -> str:
    system, _, driver = scheme.lower().partition("+")
    if system in ("postgresql", "postgres", "pgsql", "psql"):
        instead = mask_password("postgresql://" + rest)
        return f"docsession drives PostgreSQL through psycopg 3, not {driver or scheme}: write the URL as {instead!r}"
    if system in ("http", "https"):
        return (
            f"{scheme}:// is the URL of a RavenDB server, perhaps; docsession keeps documents in PostgreSQL: "
            "postgresql://user:password@host:5432/database"
        )
    return f"docsession keeps documents in PostgreSQL, not in {system}: postgresql://user:password@host:5432/database"


def mask_password(url: str) -> str:
    """Return *url* with *** for every password; rather too much than too little."""
    url = PASSWORD_PARAMETER.sub(r"\1***", url)
    scheme = SCHEME.match(url)
    start = scheme.end() if scheme is not None else 0
    # An unescaped "/", "?" or "@" may stand inside a password: all up to the last "@" counts.
    head, at, tail = url[start:].rpartition("@")
    user, colon, _ = head.partition(":")
    return f"{url[:start]}{user}{colon and ':***'}{at}{tail}"


def _merge(parsed: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return one set of parameters with the servers of all."""
    first = parsed[0]
    if len(parsed) == 1:
        return dict(first)
    common = {name: value for name, value in first.items() if name not in SERVERS}
    for other in parsed[1:]:
        theirs = {name: value for name, value in other.items() if name not in SERVERS}
        if theirs != common:
            different = sorted(name for name in common.keys() | theirs.keys() if common.get(name) != theirs.get(name))
            raise InvalidArgumentException(
                "the URLs of one store name several servers of one database, "
                f"but these differ in more than that: {', '.join(different)}"
            )
    merged = dict(common)
    for name in SERVERS:
        if any(name in each for each in parsed):
            merged[name] = ",".join(_listed(each, name) for each in parsed)
    return merged


def _listed(parameters: Mapping[str, str], name: str) -> str:
    """Return *name* of each server of one URL: a single port counts for all of its hosts."""
    value = parameters.get(name, "")
    hosts = (parameters.get("host") or parameters.get("hostaddr") or "").count(",")
    return value + ("," + value) * hosts if "," not in value else value

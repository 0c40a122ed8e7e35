"""What the blocking and the async executor share: settings, and how a connection is made from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, PoolTimeoutException

LIVENESS = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
"""A server that vanished is noticed within a minute, where the system's default is two hours."""

PATIENCE = 0.25
"""Seconds to wait for the pool before looking why it has no connection to give."""

UNREACHABLE_PATIENCE = 0.01
"""The same while the pool's last attempt to connect has failed."""


_KINDS = (
    ("min_size", int, "an int"),
    ("max_size", int, "an int"),
    ("timeout", int | float, "a number of seconds"),
    ("max_idle", int | float, "a number of seconds"),
    ("max_lifetime", int | float, "a number of seconds"),
    ("connect_timeout", int | float, "a number of seconds"),
    ("prepare_threshold", int | None, "an int or None"),
    ("prepared_max", int, "an int"),
    ("application_name", str, "a str"),
)


_of_the_parent: list[object] = []


def keep_for_parent(connections: object) -> None:
    """In a forked child, keep the parent's connections referred to, so that nothing ever closes them here."""
    _of_the_parent.append(connections)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How an executor connects, and how many connections it keeps.

    Attributes:
        conninfo: Connection parameters by libpq's names, as `parse_url` returns them; never shown.
        min_size: Connections that the pool keeps open even where they are not needed.
        max_size: Connections that the pool opens at most; one more is kept apart for id ranges.
        timeout: Seconds to wait for a connection of the pool to become free.
        max_idle: Seconds after which an unused connection above `min_size` is closed.
        max_lifetime: Seconds after which a connection is replaced.
        connect_timeout: Seconds to wait for the server to accept a connection, per host.
        prepare_threshold: Uses of a statement before it is prepared; None never prepares, which
            pgbouncer before 1.21 needs.
        prepared_max: Prepared statements per connection; the least recently used one gives way.
        application_name: What the server shows for the connections.

    Raises:
        InvalidArgumentException: A value out of its range.
    """

    conninfo: Mapping[str, str] = field(repr=False)
    min_size: int = 0
    max_size: int = 10
    timeout: float = 30.0
    max_idle: float = 600.0
    max_lifetime: float = 3600.0
    connect_timeout: int = 10
    prepare_threshold: int | None = 5
    prepared_max: int = 256
    application_name: str = "docsession"

    def __post_init__(self) -> None:
        for name, kinds, what in _KINDS:
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise InvalidArgumentTypeException(f"{name} must be {what}, not {value!r:.80}")
        if self.min_size < 0 or self.max_size < max(1, self.min_size):
            raise InvalidArgumentException(
                "a pool must have 0 <= min_size <= max_size and 1 <= max_size, "
                f"not min_size {self.min_size!r} and max_size {self.max_size!r}"
            )
        for name in ("timeout", "max_idle", "max_lifetime"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InvalidArgumentException(f"{name} must be a number of seconds above 0, not {value!r}")
        if self.connect_timeout < 1:
            raise InvalidArgumentException(f"connect_timeout must be at least 1 second, not {self.connect_timeout!r}")
        if self.prepare_threshold is not None and self.prepare_threshold < 0:
            raise InvalidArgumentException(f"prepare_threshold must be None or >= 0, not {self.prepare_threshold!r}")
        if not self.application_name.isprintable():
            raise InvalidArgumentException(f"application_name must be printable, not {self.application_name!r:.80}")
        if self.prepared_max < 1:
            raise InvalidArgumentException(f"prepared_max must be at least 1, not {self.prepared_max!r}")

    @property
    def place(self) -> str:
        """Where the connections go, without a password."""
        info = self.conninfo
        where = ", ".join(f"{host}:{port}" for host, port in _servers(info, "the local socket"))
        user = f" as {info['user']!r}" if info.get("user") else ""
        return f"{where}, database {info.get('dbname') or info.get('user') or 'of the same name as the user'!r}{user}"

    @property
    def url(self) -> str:
        """The same as a URL."""
        info = self.conninfo
        where = ",".join(f"{quote(host, safe='')}:{port}" for host, port in _servers(info, ""))
        user = f"{quote(info['user'], safe='')}@" if info.get("user") else ""
        return f"postgresql://{user}{where}/{quote(info.get('dbname') or info.get('user') or '', safe='')}"

    def connect_arguments(self) -> dict[str, Any]:
        """Return the arguments of `psycopg.Connection.connect`."""
        # Of several servers the one that takes writes; also after another one has taken over.
        hosts = self.conninfo.get("host", "") + self.conninfo.get("hostaddr", "")
        writable = {"target_session_attrs": "read-write"} if "," in hosts else {}
        return {
            "connect_timeout": self.connect_timeout,
            "application_name": self.application_name,
            **LIVENESS,
            **writable,
            **self.conninfo,
            "client_encoding": "UTF8",
            "autocommit": True,
            "prepare_threshold": None,
        }

    def pool_arguments(self) -> dict[str, Any]:
        """Return those arguments of a pool that are the same for both faces."""
        return {
            "kwargs": self.connect_arguments(),
            "min_size": self.min_size,
            "max_size": self.max_size,
            "timeout": self.timeout,
            "max_idle": self.max_idle,
            "max_lifetime": self.max_lifetime,
            # The pool does not try again by itself: the next request does, and tells its caller.
            "reconnect_timeout": 0,
            "name": self.application_name,
        }

    def exhausted(self, opened: int, refusal: BaseException | None) -> PoolTimeoutException:
        """Return the error for a pool that has had no free connection for `timeout` seconds.

        Args:
            opened: How many connections the pool has.
            refusal: What the server said when the pool wanted to have more connections; None where it wanted none.
        """
        advice = (
            "PostgreSQL has refused to open more: use smaller pools, or raise its max_connections"
            if refusal is not None
            else "Close streams and transactions that hold one for long, or raise max_size or timeout"
        )
        return PoolTimeoutException(
            f"the store's pool is exhausted: none of its {opened} connections (max_size {self.max_size}) became free "
            f"within {self.timeout:g} s. Nothing was sent. {advice}"
        )


def _servers(info: Mapping[str, str], unnamed: str) -> list[tuple[str, str]]:
    """Return the host and the port of each server; *unnamed* stands for a host that is left out."""
    hosts = (info.get("host") or info.get("hostaddr") or unnamed).split(",")
    ports = (info.get("port") or "5432").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    return [(host, port or "5432") for host, port in zip(hosts, ports, strict=False)]

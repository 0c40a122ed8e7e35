"""What the blocking and the async executor share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from docsession._errors import InvalidArgumentException


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How an executor connects, and how many connections it keeps.

    Attributes:
        conninfo: Connection parameters by libpq's names, as `parse_url` returns them; never shown.
        min_size: Connections that the pool keeps open once it is in use.
        max_size: Connections that the pool opens at most (one more is kept apart for id ranges).
        timeout: Seconds to wait for a connection of the pool to become free.
        max_idle: Seconds after which an unused connection above `min_size` is closed.
        max_lifetime: Seconds after which a connection is replaced.
        connect_timeout: Seconds to wait for the server to accept a connection.
        prepare_threshold: Uses of a statement before it is prepared; None never prepares (pgbouncer < 1.21).
        prepared_max: Prepared statements per connection.
        application_name: What the server shows for the connections.
    """

    conninfo: Mapping[str, str] = field(repr=False)
    min_size: int = 1
    max_size: int = 10
    timeout: float = 30.0
    max_idle: float = 600.0
    max_lifetime: float = 3600.0
    connect_timeout: int = 10
    prepare_threshold: int | None = 5
    prepared_max: int = 256
    application_name: str = "docsession"

    def __post_init__(self) -> None:
        if self.min_size < 0 or self.max_size < max(1, self.min_size):
            raise InvalidArgumentException(
                f"pool sizes must be 0 <= min_size <= max_size and max_size >= 1, not {self.min_size} and {self.max_size}"
            )
        for name in ("timeout", "max_idle", "max_lifetime", "connect_timeout", "prepared_max"):
            if getattr(self, name) <= 0:
                raise InvalidArgumentException(f"{name} must be positive, not {getattr(self, name)!r}")

"""Where the sessions of a store read: the primary, or standbys."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import psycopg

from docsession._conventions import DocumentConventions
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._executors._psycopg import PoolSettings
from docsession._executors._reading import ReadingExecutor, Standby, token_to_position
from docsession._options import ReadPreference, SessionOptions
from docsession._port import RequestExecutor, SleepingExecutor

CONNECT_SECONDS = 2
"""How long a standby may take to accept a connection: the primary is the other choice."""

POOL_SECONDS = 1.0
"""How long a read waits for a connection to a standby."""


class StoreReading:
    """Decides where each session reads, and keeps the connections to the standbys.

    Args:
        make_executor: Makes one of the store's face.
        preference: What sessions do that do not say so themselves.
    """

    def __init__(
        self,
        make_executor: Callable[[PoolSettings], SleepingExecutor],
        preference: object,
        conventions: Callable[[], DocumentConventions],
    ) -> None:
        self._make_executor = make_executor
        self._preference = _check_preference(preference)
        self._conventions = conventions
        self._standby: Standby | None = None
        self._lock = threading.Lock()

    def renew_lock(self) -> None:
        """Let a forked child begin with a free lock."""
        self._lock = threading.Lock()

    def executor_for(
        self,
        options: SessionOptions | None,
        place: RequestExecutor | None,
        primary: RequestExecutor,
        settings: PoolSettings | None,
    ) -> RequestExecutor | None:
        """Return what carries a session's requests; None where nothing is to be done about its reads.

        Raises:
            InvalidArgumentException: The session works on another server, whose standbys are not known here.
        """
        given = None if options is None else options.read_preference
        preference = self._preference if given is None else _check_preference(given)
        after = None if options is None else token_to_position(options.read_after)
        if place is not None:
            if given is ReadPreference.PREFER_STANDBY:
                raise InvalidArgumentException(
                    "read_preference goes with the store's own servers: leave it out where request_executor is given"
                )
            return None
        if preference is ReadPreference.PRIMARY or settings is None:
            return None
        return ReadingExecutor(primary, self._standby_of(settings), after, self._patience)

    async def close(self) -> None:
        """Give back the connections to the standbys."""
        if self._standby is not None:
            await self._standby.close()

    def _patience(self) -> float:
        return self._conventions().standby_timeout

    def _standby_of(self, settings: PoolSettings) -> Standby:
        if self._standby is None:
            with self._lock:
                if self._standby is None:
                    executor = self._make_executor(_for_standbys(settings))
                    self._standby = Standby(executor, executor.sleep)
        return self._standby


def _for_standbys(settings: PoolSettings) -> PoolSettings:
    conninfo = {**settings.conninfo, "target_session_attrs": "standby"}
    if psycopg.pq.version() >= 160000:
        conninfo.setdefault("load_balance_hosts", "random")
    return replace(
        settings,
        conninfo=conninfo,
        connect_timeout=min(settings.connect_timeout, CONNECT_SECONDS),
        timeout=min(settings.timeout, POOL_SECONDS),
    )


def _check_preference(value: object) -> ReadPreference:
    if not isinstance(value, ReadPreference):
        raise InvalidArgumentTypeException(f"read_preference is a ReadPreference, not {value!r:.60}")
    return value

"""How long the server may work on one statement of a session: a setting of the request's own transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

STATEMENT_TIMEOUT: Final = "statement_timeout"

_MILLISECOND: Final = timedelta(milliseconds=1)


def timeout_setting(timeout: timedelta) -> tuple[str, str]:
    """Return the server's setting for *timeout*, in milliseconds, rounded up: 0 means none at all."""
    return STATEMENT_TIMEOUT, str(-(-timeout // _MILLISECOND))

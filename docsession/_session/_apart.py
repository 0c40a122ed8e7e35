"""What is done on the connection apart from the pool: numbers that are taken, tables that are made, the catalogue.

All of it may be done twice. A number that was taken and never came is a gap, and what exists is not made again. So a
lost answer is no question that a session would have to settle.
"""

from __future__ import annotations

from collections.abc import Callable

from docsession._errors import ConnectionLostException, UnknownOutcomeException
from docsession._port import Request, RequestExecutor, Rows


async def run_apart(executor: RequestExecutor, make: Callable[[], Request | None]) -> list[Rows]:
    """Run what *make* returns, and once more where the connection broke; see `RequestExecutor.run_apart`.

    Raises:
        ConnectionLostException: It broke again.
    """
    try:
        return await executor.run_apart(make)
    except ConnectionLostException:
        pass
    try:
        return await executor.run_apart(make)
    except UnknownOutcomeException as error:
        raise ConnectionLostException(
            "the connection to PostgreSQL broke, twice in a row, while a table was made or a number taken: repeat it"
        ) from error

"""The table of compare-exchange values, which a database of an older docsession may lack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from docsession._errors import TableDoesNotExistException
from docsession._port import Request
from docsession._session._database import Database

R = TypeVar("R")


async def has_values(database: Database, *, make: bool = False) -> bool:
    """Return True where there is a table of compare-exchange values; *make* makes it where it is missing.

    Asked beforehand, because a request that fails would end the transaction that it is a part of.

    Raises:
        DatabaseDoesNotExistException: There is none, and `auto_create` is off, or it cannot be made.
    """
    if not database.has_exchange_table:
        there = await _look_for_it(database)
        if not there and (make or not database.conventions.auto_create):
            await database.make_system_tables(None)
            there = await _look_for_it(database)
            if not there:
                raise database.missing()
        database.has_exchange_table = there
    return database.has_exchange_table


async def among_values(database: Database, ask: Callable[[], Awaitable[R]], *, make: bool = False) -> R | None:
    """Await `ask()` where there is a table of compare-exchange values, and once more where somebody dropped it.

    Returns:
        What it returned; None where there is no table.
    """
    for is_last in (False, True):
        if not await has_values(database, make=make):
            return None
        try:
            return await ask()
        except TableDoesNotExistException:
            database.forget()
            if is_last:
                raise
    raise AssertionError  # the last try returns or raises


async def _look_for_it(database: Database) -> bool:
    (((there,),),) = await database.beside.run_apart("find_table", Request([database.compare_exchange.is_there()]))
    return bool(there)

"""Identities of one database: numbered ids of which each is taken by itself. Not counted as requests.

A number is taken on the connection apart from the pool, in a transaction of its own: in that of a flush the
row's lock would let one writer of an identity in at a time, and the id would not be known before. What is
taken and never saved is a gap.
"""

from __future__ import annotations

from docsession._documents._ids import check_id, identity_name
from docsession._errors import InvalidArgumentException, TableDoesNotExistException
from docsession._port import Request, Statement
from docsession._session._database import Database
from docsession._sql._identities import IdentityStatements

_LARGEST = 2**63 - 1


async def next_identity_id(database: Database, key: str) -> str:
    """Return the next id of an identity: `invoices/1` for the key `invoices|`."""
    name = identity_name(key)
    return check_id(f"{name[:-1]}{database.separator}{await next_identity(database, name)}")


async def next_identity(database: Database, name: str) -> int:
    """Take the next number of an identity; the first one is 1."""
    statements = IdentityStatements(database.name)
    return await _number(database, "next_identity_for", statements.take(identity_name(name)))


async def seed_identity(database: Database, name: str, value: int, *, forced: bool) -> int:
    """Let an identity go on after *value*; return what it goes on after."""
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise InvalidArgumentException(f"an identity is seeded with a number of 0 or more, not {value!r:.60}")
    statements = IdentityStatements(database.name)
    return await _number(database, "seed_identity_for", statements.seed(identity_name(name), value, forced=forced))


async def identities(database: Database) -> dict[str, int]:
    """Return the last number of every identity."""
    try:
        (rows,) = await database.beside.run("get_identities", Request([IdentityStatements(database.name).read()]))
    except TableDoesNotExistException as error:
        if not database.conventions.auto_create:
            raise database.missing() from error
        return {}
    return dict(rows)


async def _number(database: Database, operation: str, statement: Statement) -> int:
    try:
        ((row,),) = await database.beside.run_apart(operation, Request([statement], write=True))
    except TableDoesNotExistException as error:
        await database.make_system_tables(error)
        ((row,),) = await database.beside.run_apart(operation, Request([statement], write=True))
    return int(row[0])

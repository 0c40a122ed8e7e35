"""What it takes until a test has an empty database: how long the fixtures take, and what else one could do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import make_dataclass
from typing import Any

import psycopg
from environment import Server
from harness import Candidate, Effort, Result, Samples, compare, measure

from docsession import DocumentConventions, DocumentSession
from docsession.testing import DocumentDatabase, PostgresServer
from docsession.testing._fixtures import Isolation, database_on

GROUP = "testing kit / another way"
LIMIT = "testing kit / milliseconds allowed"
ALLOWED = {
    "document_store": 5.0,
    "document_store, rolled back": 5.0,
    "async_document_store": 5.0,
    "async_document_store, rolled back": 5.0,
    "document_database": 60.0,
}
TABLES = 10

Thing = make_dataclass("Thing", [("name", str), ("Id", "str | None", None)])
OTHERS = [make_dataclass(f"Kind{number}", [("Id", "str | None", None)]) for number in range(TABLES - 1)]


def run(server: Server, effort: Effort) -> Iterator[Result]:
    with PostgresServer(server.url, "url") as postgres, psycopg.connect(server.url, autocommit=True) as connection:
        database = postgres.make_database()
        fill(database, *OTHERS, Thing)
        emptied = {"ours": Candidate(lambda _: database.empty(), change=lambda: fill(database, Thing))}
        for name, way in ways(database, connection).items():
            other = {"other": Candidate(way, change=lambda: fill(database, Thing))}
            samples = measure(emptied | other, effort, calls=5, warm_up=3)
            yield compare(GROUP, f"empty {TABLES} tables: DELETE / {name}", samples, base="other", ours="ours")
        whole = tests(database) | {"document_database": lambda: own(postgres)}
        samples = measure({name: Candidate(lambda _, run=run: run()) for name, run in whole.items()}, effort, calls=5)
        for name, allowed in ALLOWED.items():
            yield within(f"a test that saves: {name}", allowed, samples[name])
        database.drop()


def within(name: str, allowed: float, taken: Samples) -> Result:
    """Return the line for what may take so many milliseconds."""
    return Result(
        LIMIT,
        name,
        allowed * 1e3,
        taken.median * 1e6,
        taken.median * 1e3 / allowed,
        best=taken.decile * 1e3 / allowed,
        target=1.0,
    )


def fill(database: DocumentDatabase, *kinds: Any) -> None:
    with database.store() as store, store.open_session() as session:
        for number, kind in enumerate(kinds):
            session.store(kind(name="a") if kind is Thing else kind(), f"{kind.__name__.lower()}s/{number}")
        session.save_changes()


def ways(database: DocumentDatabase, connection: psycopg.Connection[Any]) -> dict[str, Callable[[Any], object]]:
    """Return other ways to empty the tables, by their names."""
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [database.name]).fetchall()
    kept = ("docsession_collections", "docsession_alembic_version")
    tables = ", ".join(f'"{database.name}"."{name}"' for (name,) in found if name not in kept)
    connection.execute("CREATE DATABASE bench_template")
    number = iter(range(10**9))

    def clone(_: object) -> None:
        name = f"bench_{next(number)}"
        connection.execute(f"CREATE DATABASE {name} TEMPLATE bench_template")
        connection.execute(f"DROP DATABASE {name}")

    return {"TRUNCATE": lambda _: connection.execute(f"TRUNCATE {tables}"), "a clone of a database": clone}


def save(session: DocumentSession) -> None:
    thing = Thing("a")
    session.store(thing)
    session.save_changes()


def tests(database: DocumentDatabase) -> dict[str, Callable[[], None]]:
    """Return what the fixtures do for one test that saves one document, by the fixture's name."""

    def blocking(*, rolls_back: bool) -> None:
        isolation = Isolation(database, rolls_back=rolls_back)
        with isolation.store(DocumentConventions()) as store, store.open_session() as session:
            save(session)
        isolation.end()

    async def save_async(store: Any) -> None:
        async with store.open_session() as session:
            await session.store(Thing("a"))
            await session.save_changes()

    def awaited(*, rolls_back: bool) -> None:
        isolation = Isolation(database, rolls_back=rolls_back)
        with isolation.async_store(DocumentConventions()) as store:
            asyncio.run(save_async(store))
        isolation.end()

    return {
        "document_store": lambda: blocking(rolls_back=False),
        "document_store, rolled back": lambda: blocking(rolls_back=True),
        "async_document_store": lambda: awaited(rolls_back=False),
        "async_document_store, rolled back": lambda: awaited(rolls_back=True),
    }


def own(postgres: PostgresServer) -> None:
    """What `document_database` does for one test."""
    with database_on(postgres, None) as database, database.store() as store, store.open_session() as session:
        save(session)

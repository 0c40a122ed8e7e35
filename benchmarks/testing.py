"""What it takes until a test has an empty database: what the testing kit does, and what else one could do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import make_dataclass
from typing import Any

import psycopg
from environment import Server
from harness import Candidate, Effort, Result, compare, measure

from docsession import DocumentConventions, DocumentSession, DocumentStore
from docsession.testing import DocumentDatabase, PostgresServer
from docsession.testing._fixtures import Isolation

GROUP = "testing kit / another way"
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
        for name, whole in tests(database).items():
            candidates = {"ours": Candidate(lambda _, run=whole: run()), "other": Candidate(lambda _: own(postgres))}
            samples = measure(candidates, effort, calls=5, warm_up=3)
            yield compare(GROUP, f"a test that saves: {name} / a new schema", samples, base="other", ours="ours")
        database.drop()


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

    def awaited() -> None:
        isolation = Isolation(database, rolls_back=False)
        with isolation.async_store(DocumentConventions()) as store:
            asyncio.run(save_async(store))
        isolation.end()

    return {
        "document_store": lambda: blocking(rolls_back=False),
        "document_store, rolled back": lambda: blocking(rolls_back=True),
        "async_document_store": awaited,
    }


def own(postgres: PostgresServer) -> None:
    """What `document_database` does for one test."""
    database = postgres.make_database()
    with database.store() as store:
        use(store)
    database.drop()


def use(store: DocumentStore) -> None:
    with store.open_session() as session:
        save(session)

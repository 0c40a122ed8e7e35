"""What the fixtures of the pytest plugin do. Imported when one of them is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from docsession._conventions import DocumentConventions
from docsession._errors import InvalidArgumentException
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._run import run
from docsession._faces._store import DocumentStore
from docsession.testing._databases import DocumentDatabase, PostgresServer
from docsession.testing._lending import LentExecutor, close_async
from docsession.testing._rolled_back import RolledBackExecutor

ISOLATIONS: Final = ("delete", "rollback")


@contextmanager
def database_on(
    server: PostgresServer, prepare: Callable[[DocumentDatabase], object] | None
) -> Iterator[DocumentDatabase]:
    """A new database on *server*, dropped afterwards."""
    database = server.make_database()
    try:
        if prepare is not None:
            prepare(database)
        yield database
    finally:
        database.drop()


class Isolation:
    """Makes the stores of one test, and takes back what they have written.

    Attributes:
        database: The database of the test.
        rolls_back: True where the test runs in a transaction that is rolled back.
    """

    def __init__(self, database: DocumentDatabase, *, rolls_back: bool) -> None:
        self.database = database
        self.rolls_back = rolls_back
        self._rolled_back: RolledBackExecutor | None = None

    @contextmanager
    def store(self, conventions: DocumentConventions) -> Iterator[DocumentStore]:
        """A blocking store."""
        inner: Any = self.database.server.executor
        if self.rolls_back:
            if self._rolled_back is None:
                self._rolled_back = RolledBackExecutor(inner, is_async=False)
            inner = self._rolled_back
        executor = LentExecutor(inner)
        store = self.database.store_over(executor, conventions)
        try:
            yield store
        finally:
            run(executor.end())
            if not self.rolls_back:
                self.database.forget()  # ranges that are about to be deleted need not be given back
            store.close()

    @contextmanager
    def async_store(self, conventions: DocumentConventions) -> Iterator[AsyncDocumentStore]:
        """An async store."""
        store = self.database.async_store(conventions=conventions)
        if self.rolls_back:
            make = store._make_executor
            store._make_executor = lambda settings: RolledBackExecutor(make(settings), is_async=True)
        try:
            yield store
        finally:
            if not self.rolls_back:
                self.database.forget()
            close_async(store)

    def end(self) -> None:
        """Take back what was written."""
        if self.rolls_back:
            if self._rolled_back is not None:
                run(self._rolled_back.undo())
        else:
            self.database.empty()


@contextmanager
def isolation_of(request: pytest.FixtureRequest) -> Iterator[Isolation]:
    """What isolates the test of *request*.

    Tests that are rolled back have a database of their own kind: what they find there is to stay, and the others leave
    nothing behind.
    """
    rolls_back = _isolation_named(request) == "rollback"
    has_its_own = "document_database" in request.fixturenames
    shared = "docsession_seed_database" if rolls_back else "docsession_database"
    isolation = Isolation(
        request.getfixturevalue("document_database" if has_its_own else shared), rolls_back=rolls_back
    )
    yield isolation
    if rolls_back or not has_its_own:
        isolation.end()


def _isolation_named(request: pytest.FixtureRequest) -> str:
    marker = request.node.get_closest_marker("docsession")
    given: Any = None
    if marker is not None:
        unknown = sorted(marker.kwargs.keys() - {"isolation"})
        if marker.args or unknown:
            raise InvalidArgumentException("the marker docsession takes isolation='delete' or 'rollback', by name")
        given = marker.kwargs.get("isolation")
    config = request.config
    given = given or config.getoption("docsession_isolation") or config.getini("docsession_isolation") or "delete"
    if given not in ISOLATIONS:
        raise InvalidArgumentException(f"there is no isolation {given!r:.40}; there are 'delete' and 'rollback'")
    return str(given)

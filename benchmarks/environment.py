"""The server and the databases that are measured on, made for one run and thrown away after it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg
from documents import Order, make_order
from orm import OrderRow, Orm
from psycopg import sql
from raw import Raw

from docsession import DocumentConventions, DocumentStore
from docsession._embedded import EmbeddedServer

SETTINGS = {"autovacuum": "off", "checkpoint_timeout": "1h", "max_wal_size": "8GB"}
"""Nothing of the server's own in the middle of a turn; the same for all candidates."""

COUNT = 1000
"""Documents that are there from the beginning, for loads."""


def order_id(i: int) -> str:
    return f"orders/{i}-A"


@dataclass
class Database:
    """One schema and what works on it, each with a pool of its own.

    Attributes:
        store: Checks on save what it writes (`verify_on_save`), as is the default.
        lax: A store that does not.
    """

    url: str
    name: str
    store: DocumentStore
    lax: DocumentStore
    raw: Raw
    orm: Orm


class Server:
    """An embedded PostgreSQL that does not wait for the disk (`synchronous_commit` and `fsync` off)."""

    def __enter__(self) -> Self:
        self._directory = tempfile.mkdtemp(prefix="docsession-bench-")
        self._server = EmbeddedServer.start(self._directory, durable=False, settings=SETTINGS)
        self.url = self._server.url
        self._connection = psycopg.connect(self.url, autocommit=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()
        self._server.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def look(self) -> None:
        """Do a little that is always the same, to see how busy the machine is."""
        self._connection.execute("SELECT 1")

    @contextmanager
    def database(self, name: str, count: int = COUNT, url: str | None = None) -> Iterator[Database]:
        """A new schema with *count* orders in docsession's table and the ORM's, dropped afterwards."""
        through = url or self.url
        with ExitStack() as stack:
            store = stack.enter_context(DocumentStore(through, name))
            with store.open_session() as session:
                for i in range(count):
                    session.store(make_order(i), order_id(i))
                if not count:
                    session.store(make_order(0), "orders/first")
                session.save_changes()
            conventions = DocumentConventions()
            conventions.verify_on_save = False
            lax = stack.enter_context(DocumentStore(through, name, conventions=conventions))
            raw = Raw(through, name)
            stack.callback(raw.close)
            orm = Orm(through, name)
            stack.callback(orm.close)
            with orm.session() as session:
                session.add_all([OrderRow(id=order_id(i), data=make_order(i)) for i in range(count)])
                session.commit()
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
                stack.callback(self._drop, name)
                yield Database(through, name, store, lax, raw, orm)

    def _drop(self, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def load_orders(store: DocumentStore, keys: list[str]) -> dict[str, Order | None]:
    """Open a session, load documents, close it."""
    with store.open_session() as session:
        return session.load(keys, Order)

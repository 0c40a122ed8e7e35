"""Servers and databases of tests, without pytest's fixtures."""

import dataclasses
import gc
import textwrap

import psycopg
import pytest

import docsession
from docsession import (
    ConnectionFailedException,
    EmbeddedServerException,
    InvalidArgumentException,
    MissingDependencyException,
    TableDoesNotExistException,
)
from docsession.testing import assert_requests, start_server
from docsession.testing._backends import wait_until_ready
from tests.support.servers import server_directory

REVISION = """
from alembic import op

revision = "a1"
down_revision = None
branch_labels = depends_on = None


def upgrade():
    op.create_collection_table("orders")


def downgrade():
    op.drop_collection_table("orders")
"""


@dataclasses.dataclass
class Order:
    name: str = ""
    Id: str | None = None


@pytest.fixture
def server(direct_url):
    with start_server("url", url=direct_url) as started:
        yield started


@pytest.fixture
def database(server):
    made = server.make_database()
    yield made
    made.drop()


def save(store, *names):
    with store.open_session() as session:
        orders = [Order(name) for name in names]
        for order in orders:
            session.store(order)
        session.save_changes()
        return [order.Id for order in orders]


class TestDatabase:
    def test_its_stores_share_their_connections_and_nothing_else(self, database):
        with database.store() as first, database.store() as second:
            assert save(first, "a") == ["orders/1-A"]
            assert first.conventions is not second.conventions
            assert save(second, "b") == ["orders/33-A"]
        with database.store() as third, third.open_session() as session:
            assert session.query(Order).count() == 2

    async def test_it_has_async_ones(self, database):
        async with database.async_store() as store, store.open_session() as session:
            await session.store(Order("a"), "orders/1")
            await session.save_changes()
            assert await session.query(Order).count() == 1

    def test_it_is_emptied_in_one_request(self, database, monkeypatch):
        executor = database.server.executor
        with database.store() as store:
            save(store, "a", "b")
            database.empty()
            save(store, "c")
            sent = []
            carry = executor.run
            monkeypatch.setattr(executor, "run", lambda request: (sent.append(request), carry(request))[1])
            database.empty()
            monkeypatch.undo()
            assert len(sent) == 1
            with store.open_session() as session, assert_requests(1):
                assert session.query(Order).all() == []
            assert save(store, "d") == ["orders/1-A"]

    def test_tables_that_refer_to_each_other_are_emptied_in_any_order(self, database):
        with database.store() as store:
            with store.open_session() as session:
                session.store({"@metadata": {"@collection": "Lines"}}, "lines/1")
                session.store(Order("a"), "orders/1")
                session.save_changes()
            with store.open_session() as session, session.advanced.transaction():
                connection = session.advanced.connection
                for table, other in (("lines", "orders"), ("orders", "lines")):
                    connection.execute(
                        f'ALTER TABLE "{database.name}".{table} ADD other text REFERENCES "{database.name}".{other}'
                    )
                    connection.execute(f"UPDATE \"{database.name}\".{table} SET other = '{other}/1'")
            database.empty()
            assert store.maintenance.get_collection_statistics() == {"Lines": 0, "Orders": 0}

    def test_large_tables_give_their_room_back(self, database, monkeypatch):
        executor = database.server.executor
        sent = []

        async def run_apart(make):
            sent.append([statement.sql for statement in make().statements])

        with database.store() as store:
            save(store, *map(str, range(300)))
            monkeypatch.setattr(executor, "run_apart", run_apart)
            database.empty()
            assert sent == []
            monkeypatch.setattr("docsession.testing._databases._LARGE", 8000)
            database.empty()
            assert sent == [[f'VACUUM "{database.name}"."orders"'.encode()]]
            monkeypatch.undo()
            monkeypatch.setattr("docsession.testing._databases._LARGE", 8000)
            database.empty()  # and this time the server does

    def test_stores_keep_no_shapes_of_queries_unless_they_are_asked_to(self, database):
        with database.store() as store:
            assert not store.conventions.record_query_shapes
        with database.store(conventions=docsession.DocumentConventions(record_query_shapes=True)) as store:
            assert store.conventions.record_query_shapes

    def test_a_table_that_was_dropped_is_not_missed(self, database):
        with database.store() as store:
            save(store, "a")
            database.empty()
            with psycopg.connect(database.url, autocommit=True) as connection:
                connection.execute(f'DROP TABLE "{database.name}".orders')
                connection.execute(f'DELETE FROM "{database.name}".docsession_collections WHERE "table" = \'orders\'')
            database.empty()
            assert save(store, "a") == ["orders/1-A"]

    def test_it_is_brought_to_a_projects_newest_revision(self, database, tmp_path):
        (tmp_path / "docsession_migrations").mkdir()
        (tmp_path / "docsession_migrations" / "a1_orders.py").write_text(textwrap.dedent(REVISION))
        settings = tmp_path / "docsession.toml"
        settings.write_text(f"url = 'postgresql://nobody@nowhere.invalid/x'\ndatabases = ['{database.name}']\n")
        conventions = docsession.DocumentConventions(auto_create=False)
        with database.store(conventions=conventions) as store:
            with pytest.raises(TableDoesNotExistException):
                save(store, "a")
            database.upgrade(settings)
            assert save(store, "a") == ["orders/33-A"]

    def test_indexes_are_made_and_dropped_and_the_store_goes_on(self, server):
        database = server.make_database()
        with database.store() as store:
            save(store, "a")
            indexes = {Order: [docsession.Index(lambda o: o.name, name="by_name")]}
            with database.store(conventions=docsession.DocumentConventions(indexes=indexes)) as other:
                assert other.maintenance.create_indexes(Order) == ["by_name"]
                assert len(save(other, "b")) == 1
            assert store.maintenance.drop_undeclared_indexes(Order) == ["by_name"]
            assert len(save(store, "c")) == 1
        database.drop()

    def test_a_named_one_and_its_end(self, server):
        database = server.make_database("test of a name; --")
        assert database.name == "test of a name; --"
        with database.store() as store:
            save(store, "a")
            database.drop()
            assert database.name not in store.maintenance.get_database_names()

    def test_no_password_is_shown(self, database):
        password = psycopg.conninfo.conninfo_to_dict(database.url)["password"]
        assert password not in repr(database) + repr(database.server)
        assert "url" in repr(database.server)


class TestServers:
    def test_the_embedded_one_is_not_durable_and_may_be_kept(self, monkeypatch):
        with server_directory() as directory:
            for turn in range(2):
                with start_server(directory=directory) as server:
                    database = server.make_database(f"turn {turn}")
                    with psycopg.connect(server.url) as connection:
                        for name in ("fsync", "full_page_writes", "synchronous_commit"):
                            assert connection.execute(f"SHOW {name}").fetchone() == ("off",)
                        found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'turn%'")
                        assert len(found.fetchall()) == turn + 1
                    assert database.server.backend == "embedded"
                with pytest.raises(psycopg.OperationalError):
                    psycopg.connect(server.url)

    def test_what_was_made_for_one_that_does_not_start_is_removed(self, monkeypatch, tmp_path):
        made = tmp_path / "made"
        monkeypatch.setattr("tempfile.mkdtemp", lambda prefix: made.mkdir() or str(made))
        with pytest.raises(EmbeddedServerException):
            start_server(postgres_version=9)
        assert not made.exists()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"backend": "oracle"}, "there is no backend 'oracle'"),
            ({"backend": "url"}, "needs the URL"),
            ({"backend": "url", "url": "mysql://x/y"}, "mysql"),
            ({"backend": "embedded", "url": "postgresql://x/y"}, "takes no URL"),
        ],
    )
    def test_what_cannot_be_is_said(self, arguments, said):
        with pytest.raises(InvalidArgumentException, match=said):
            start_server(**arguments)

    def test_containers_need_their_package(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "testcontainers.core.container", None)
        with pytest.raises(MissingDependencyException, match=r"install docsession\[testcontainers\]"):
            start_server("testcontainers")

    @pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the engine's client
    def test_containers_need_an_engine(self, monkeypatch, tmp_path):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
        monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
        with pytest.raises(ConnectionFailedException, match="Is a container engine running"):
            start_server("testcontainers", image="postgres:15")
        gc.collect()

    def test_a_server_that_does_not_answer_is_given_up(self):
        url = "postgresql://x:secret@127.0.0.1:1/x"
        with pytest.raises(ConnectionFailedException, match=r"the server did not answer within 0\.1 s") as caught:
            wait_until_ready(url, what="the server", seconds=0.1)
        assert "secret" not in str(caught.value)

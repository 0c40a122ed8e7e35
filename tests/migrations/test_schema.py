"""The tables that are made on first use are those that the migrations make."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import create_engine

from docsession._errors import ConnectionLostException, RavenException
from docsession._migrate import Listener, Standing, downgrade, upgrade
from docsession._migrate._scripts import scripts
from docsession._migrate._target import locked
from docsession._sql._quoting import qualified, quote_identifier
from docsession._sql._schema import (
    HEAD_REVISION,
    LOCK_NOT_AVAILABLE,
    VERSION_TABLE,
    build_metadata,
    collection_table,
    complete_database_statements,
    create_collection_statements,
    create_database_statements,
    drop_database_statements,
    lock_key,
)
from tests.migrations.conftest import HOSTILE_NAMES, catalog_of


def revisions(server, database):
    rows = server.execute(f"SELECT version_num FROM {qualified(database, VERSION_TABLE)}".encode()).fetchall()
    return [revision for (revision,) in rows]


class TestBothWays:
    def test_a_database_made_on_first_use_equals_a_migrated_one(self, server, run, new_database, target_of):
        made, migrated = new_database(), new_database()
        run(create_database_statements(made))
        upgrade(target_of(migrated))
        assert catalog_of(server, made) == catalog_of(server, migrated)
        assert revisions(server, made) == revisions(server, migrated) == [HEAD_REVISION]

    def test_the_newest_revision_is_the_one_that_first_use_records(self):
        assert scripts().get_heads() == [HEAD_REVISION]

    def test_sqlalchemy_makes_the_same_tables_from_the_metadata(self, server, run, new_database, postgres_url):
        made, created = new_database(), new_database()
        run([*create_database_statements(made), *create_collection_statements(made, "companies")])
        server.execute(f"CREATE SCHEMA {quote_identifier(created)}".encode())
        metadata = build_metadata()
        collection_table(metadata, "companies")
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgres_url))
        with engine.begin() as connection:
            metadata.create_all(connection.execution_options(schema_translate_map={None: created}))
        engine.dispose()
        run([f"DROP TABLE {qualified(made, VERSION_TABLE)}"])
        found, expected = catalog_of(server, made), catalog_of(server, created)
        del found["functions"], expected["functions"]
        assert found == expected

    @pytest.mark.parametrize("database", HOSTILE_NAMES, indirect=True)
    def test_any_name_goes_through_everything(self, server, run, database, new_database, target_of):
        plain = new_database()
        upgrade(target_of(plain))
        upgrade(target_of(database))
        assert catalog_of(server, database) == catalog_of(server, plain)
        downgrade(target_of(database), "base")
        run(create_database_statements(database))
        assert catalog_of(server, database) == catalog_of(server, plain)
        run(create_collection_statements(database, database))
        run(drop_database_statements(database))
        found = server.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [database]).fetchone()
        assert found == (0,)


class TestTransactions:
    def test_a_revision_that_fails_leaves_nothing_behind(self, server, run, database, target_of):
        name = qualified(database, "docsession_hilo")
        run([f"CREATE SCHEMA {quote_identifier(database)}", f"CREATE TABLE {name} (id int)"])
        with pytest.raises(RavenException, match="docsession_hilo") as caught:
            upgrade(target_of(database))
        assert caught.value.sqlstate == "42P07"
        assert {row[0] for row in catalog_of(server, database)["relations"]} == {"docsession_hilo"}
        run([f"DROP TABLE {name}"])
        assert upgrade(target_of(database)).standing is Standing.CURRENT

    def test_a_downgrade_that_fails_leaves_everything(self, server, run, database, target_of):
        upgrade(target_of(database), "0001")
        run([f"CREATE VIEW {qualified(database, 'seen')} AS SELECT * FROM {qualified(database, 'docsession_hilo')}"])
        before = catalog_of(server, database)
        with pytest.raises(RavenException, match="docsession_hilo"):
            downgrade(target_of(database), "base")
        assert catalog_of(server, database) == before
        assert revisions(server, database) == ["0001"]

    def test_a_connection_that_breaks_is_told(self, server, database, target_of):
        def end_it(_):
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'broken here'"
            )

        target = target_of(database, application_name="broken here")
        with pytest.raises(ConnectionLostException):
            upgrade(target, listener=Listener(step=end_it))


class TestDowngrade:
    def test_each_revision_goes_back_to_what_was_before(self, server, database, target_of):
        upgrade(target_of(database), "0001")
        for script in reversed([script for script in scripts().walk_revisions() if script.down_revision]):
            before = catalog_of(server, database)
            upgrade(target_of(database), script.revision)
            after = catalog_of(server, database)
            assert after != before
            downgrade(target_of(database), "-1")
            assert catalog_of(server, database) == before
            upgrade(target_of(database), script.revision)
            assert catalog_of(server, database) == after

    def test_back_and_forth_leaves_the_same(self, server, database, target_of):
        upgrade(target_of(database))
        before = catalog_of(server, database)
        downgrade(target_of(database), "base")
        assert {row[0] for row in catalog_of(server, database)["relations"]} == {VERSION_TABLE, f"{VERSION_TABLE}_pkc"}
        assert catalog_of(server, database)["functions"] == []
        upgrade(target_of(database))
        assert catalog_of(server, database) == before


class TestFirstUse:
    def test_it_may_be_repeated(self, server, run, database):
        for _ in range(2):
            run([*create_database_statements(database), *create_collection_statements(database, "companies")])
        assert revisions(server, database) == [HEAD_REVISION]

    def test_a_database_at_another_revision_is_left_to_the_migrations(self, server, run, database):
        run(create_database_statements(database))
        run(
            [
                f"UPDATE {qualified(database, VERSION_TABLE)} SET version_num = '0000'",
                f"DROP TABLE {qualified(database, 'docsession_hilo')}",
            ]
        )
        before = catalog_of(server, database)
        run(create_database_statements(database))
        assert catalog_of(server, database) == before
        assert revisions(server, database) == ["0000"]

    @pytest.mark.parametrize("revision", ["0001", "0002"])
    def test_what_a_database_of_an_older_revision_lacks_is_made(self, server, run, new_database, target_of, revision):
        older, migrated = new_database(), new_database()
        upgrade(target_of(older), revision)
        upgrade(target_of(migrated))
        for _ in range(2):
            run(complete_database_statements(older))
            assert catalog_of(server, older) == catalog_of(server, migrated)
            assert revisions(server, older) == [HEAD_REVISION]

    def test_a_database_at_another_revision_is_not_completed(self, server, run, database):
        run(complete_database_statements(database))
        run(create_database_statements(database))
        run(
            [
                f"UPDATE {qualified(database, VERSION_TABLE)} SET version_num = '9999'",
                f"DROP TABLE {qualified(database, 'docsession_identities')}",
            ]
        )
        before = catalog_of(server, database)
        run(complete_database_statements(database))
        assert catalog_of(server, database) == before
        assert revisions(server, database) == ["9999"]

    def test_another_table_of_that_name_is_refused(self, run, database):
        run([*create_database_statements(database), f"CREATE TABLE {qualified(database, 'companies')} (id int)"])
        with pytest.raises(psycopg.errors.DuplicateTable, match="not one of docsession"):
            run(create_collection_statements(database, "companies"))

    def test_a_role_that_may_not_make_schemas_can_use_one_that_was_made_for_it(
        self, server, run, database, role, conninfo
    ):
        name = quote_identifier(database)
        run([f"CREATE SCHEMA {name}", f"GRANT ALL ON SCHEMA {name} TO {role['user']}"])
        with psycopg.connect(**conninfo | role, autocommit=True) as connection:
            run(create_database_statements(database), connection)
        assert revisions(server, database) == [HEAD_REVISION]

    def test_it_does_not_depend_on_the_search_path(self, server, run, new_database):
        plain, hidden = new_database(), new_database()
        run(create_database_statements(plain))
        name = quote_identifier(hidden)
        run(
            [f"CREATE SCHEMA {name}", f"CREATE FUNCTION {name}.lower(text) RETURNS text AS 'SELECT ''z''' LANGUAGE sql"]
        )
        server.execute(f"SET search_path TO {name}, pg_catalog".encode())
        run(create_database_statements(hidden))
        server.execute("RESET search_path")
        run([f"DROP FUNCTION {name}.lower(text)"])
        assert catalog_of(server, hidden) == catalog_of(server, plain)


class TestDrop:
    def test_a_schema_that_is_none_of_docsession_is_refused(self, server, run, database):
        run([f"CREATE SCHEMA {quote_identifier(database)}"])
        with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="no database of docsession"):
            run(drop_database_statements(database))

    def test_tables_of_others_are_not_dropped_with_it(self, server, run, database):
        run([*create_database_statements(database), f"CREATE TABLE {qualified(database, 'orders')} (id int)"])
        with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="orders"):
            run(drop_database_statements(database))

    def test_a_collection_goes_with_it_whether_it_is_recorded_or_not(self, server, run, database):
        run([*create_database_statements(database), *create_collection_statements(database, "companies")])
        run(drop_database_statements(database))
        assert server.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [database]).fetchone() == (0,)

    def test_a_missing_one_is_told(self, run, database):
        with pytest.raises(psycopg.errors.InvalidSchemaName):
            run(drop_database_statements(database))


class TestMany:
    def test_many_at_once_make_one_database(self, server, database, postgres_url, target_of):
        """Half of them on first use, half by migration: no error, one revision."""
        barrier = threading.Barrier(8)

        def first_use():
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                barrier.wait()
                for statement in [
                    *create_database_statements(database),
                    *create_collection_statements(database, "companies"),
                ]:
                    connection.execute(statement.encode())

        def migrate():
            barrier.wait()
            upgrade(target_of(database))

        with ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(work) for work in (first_use, migrate) * 4]:
                future.result(60)
        assert revisions(server, database) == [HEAD_REVISION]

    def test_an_index_can_be_built_concurrently_while_the_lock_is_held(self, server, run, database, target_of):
        run([*create_database_statements(database), *create_collection_statements(database, "companies")])
        with locked(target_of(database), 1, lambda: None):
            server.execute("SET statement_timeout = '20s'")
            server.execute(f"CREATE INDEX CONCURRENTLY ON {qualified(database, 'companies')} (version)".encode())

    def test_a_waiting_first_use_does_not_hold_up_an_index_that_is_built_concurrently(
        self, server, run, database, postgres_url
    ):
        run([*create_database_statements(database), *create_collection_statements(database, "companies")])
        with (
            psycopg.connect(postgres_url, autocommit=True) as holder,
            psycopg.connect(postgres_url, autocommit=True) as waiter,
            ThreadPoolExecutor(1) as pool,
        ):
            holder.execute("BEGIN")
            holder.execute(f"SELECT pg_advisory_xact_lock({lock_key(database)})".encode())
            waiting = pool.submit(run, create_collection_statements(database, "orders"), waiter)
            server.execute("SET statement_timeout = '20s'")
            server.execute(f"CREATE INDEX CONCURRENTLY ON {qualified(database, 'companies')} (version)".encode())
            assert not waiting.done()
            holder.execute("COMMIT")
            waiting.result(20)

    def test_a_waiting_migration_does_not_hold_up_an_index_that_is_built_concurrently(
        self, server, run, database, postgres_url, target_of
    ):
        run([*create_database_statements(database), *create_collection_statements(database, "companies")])
        told = threading.Event()
        with psycopg.connect(postgres_url, autocommit=True) as holder, ThreadPoolExecutor(1) as pool:
            holder.execute("BEGIN")
            holder.execute(f"SELECT pg_advisory_xact_lock({lock_key(database)})".encode())
            waiting = pool.submit(upgrade, target_of(database), listener=Listener(waiting=told.set))
            assert told.wait(20)
            server.execute("SET statement_timeout = '20s'")
            server.execute(f"CREATE INDEX CONCURRENTLY ON {qualified(database, 'companies')} (version)".encode())
            assert not waiting.done()
            holder.execute("COMMIT")
            waiting.result(20)

    def test_first_use_gives_up_after_a_while(self, database, postgres_url):
        [statement] = create_database_statements(database)
        with (
            psycopg.connect(postgres_url, autocommit=True) as holder,
            psycopg.connect(postgres_url, autocommit=True) as waiter,
        ):
            holder.execute("BEGIN")
            holder.execute(f"SELECT pg_advisory_xact_lock({lock_key(database)})".encode())
            with pytest.raises(psycopg.Error, match="another process") as caught:
                waiter.execute(statement.replace("60s", "0.2s").encode())
        assert caught.value.sqlstate == LOCK_NOT_AVAILABLE

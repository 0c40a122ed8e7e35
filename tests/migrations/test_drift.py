"""`docsession check` finds what differs, and leaves alone what users add."""

import pytest

from docsession._migrate import drift, upgrade
from docsession._sql._instant import instant_body
from docsession._sql._quoting import qualified
from docsession._sql._schema import create_collection_statements
from tests.migrations.conftest import HOSTILE_NAMES


@pytest.fixture
def target(database, target_of, run):
    """A migrated database with one collection."""
    target = target_of(database)
    upgrade(target)
    run(
        [
            *create_collection_statements(database, "companies"),
            f"INSERT INTO {qualified(database, 'docsession_collections')} VALUES ('c', 'Companies', 'companies')",
        ]
    )
    return target


@pytest.fixture
def alter(run, database):
    """Run a statement in which {name} stands for a qualified table."""

    def change(statement, table="companies"):
        run(
            [
                statement.replace("{name}", qualified(database, table)).replace(
                    "{schema}.", qualified(database, "x")[:-3]
                )
            ]
        )

    return change


@pytest.mark.parametrize("database", [None, *HOSTILE_NAMES], indirect=True)
def test_a_migrated_database_has_no_drift(target):
    assert drift(target) == []


def test_a_database_on_the_search_path_has_no_drift(server, target, database, role, run, target_of):
    """Alembic calls the schema that is first in search_path by no name at all."""
    name = qualified(database, "x")[:-4]
    run(
        [
            f"GRANT USAGE ON SCHEMA {name} TO {role['user']}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {role['user']}",
            f"ALTER ROLE {role['user']} SET search_path = {name}",
        ]
    )
    assert drift(target_of(database, **role)) == []


@pytest.mark.parametrize(
    ("table", "change", "expected"),
    [
        ("companies", "DROP TABLE {name}", "table companies: is missing"),
        ("docsession_hilo", "DROP TABLE {name}", "table docsession_hilo: is missing; run `docsession upgrade…`"),
        ("companies", "ALTER TABLE {name} DROP metadata", "table companies: the column metadata is missing"),
        ("companies", "ALTER TABLE {name} ADD x int", "table companies: the column x is not known to docsession"),
        (
            "companies",
            "ALTER TABLE {name} ALTER version TYPE int",
            "table companies: the column version has the type integer, not bigint",
        ),
        (
            "companies",
            "ALTER TABLE {name} ALTER last_modified TYPE date",
            "table companies: the column last_modified has the type date, not timestamp with time zone",
        ),
        ("companies", "ALTER TABLE {name} ALTER data DROP NOT NULL", "table companies: the column data takes null"),
        (
            "companies",
            "ALTER TABLE {name} ALTER metadata SET NOT NULL",
            "table companies: the column metadata does not take null",
        ),
        (
            "docsession_hilo",
            "ALTER TABLE {name} ALTER max SET DEFAULT 1",
            "table docsession_hilo: the column max has a default that docsession does not give it",
        ),
        (
            "companies",
            'ALTER TABLE {name} ALTER id TYPE text COLLATE "default"',
            'table companies: the column id has the collation "default", not "C"',
        ),
        (
            "companies",
            "ALTER TABLE {name} DROP CONSTRAINT companies_pkey",
            "table companies: the primary key is (), not (id)",
        ),
        ("docsession_new", "CREATE TABLE {name} ()", "table docsession_new: is not known to docsession"),
        (
            "docsession_instant",
            "DROP FUNCTION {name}(jsonb)",
            "function docsession_instant: is missing; run `docsession upgrade…`",
        ),
        (
            "docsession_instant",
            "ALTER FUNCTION {name}(jsonb) STABLE",
            "function docsession_instant: is not as docsession made it",
        ),
        (
            "docsession_instant",
            "CREATE OR REPLACE FUNCTION {name}(value jsonb) RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
            "function docsession_instant: is not as docsession made it",
        ),
    ],
)
def test_each_difference_is_one_line(target, alter, table, change, expected):
    alter(change, table)
    assert drift(target) == [expected.replace("`docsession upgrade…`", f"`{target.command('upgrade')}`")]


@pytest.mark.parametrize(
    "change",
    [
        "CREATE INDEX ON {name} (version)",
        "CREATE INDEX ON {name} USING gin (data)",
        "ALTER TABLE {name} ADD UNIQUE (version)",
        "ALTER TABLE {name} ADD CHECK (version > 0)",
        "ALTER TABLE {name} ADD FOREIGN KEY (id) REFERENCES {name}",
        "COMMENT ON TABLE {name} IS 'ours'",
        "COMMENT ON COLUMN {name}.id IS 'ours'",
        "CREATE TABLE {schema}.other (id int)",
        "CREATE VIEW {schema}.seen AS SELECT id FROM {name}",
        "ALTER TABLE {name} SET (fillfactor = 70)",
    ],
)
def test_what_users_add_is_theirs(target, alter, change):
    alter(change)
    assert drift(target) == []


def test_a_function_that_came_with_a_server_upgraded_in_place_is_no_drift(server, target, database, run):
    older = (
        f"CREATE OR REPLACE FUNCTION {qualified(database, 'docsession_instant')}(value jsonb) RETURNS timestamptz "
        f"LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL RESTRICTED AS $q${instant_body(150000)}$q$"
    )
    run([older])
    assert drift(target) == []


def test_a_missing_database_names_the_command(target_of, new_database):
    name = new_database()
    [line] = drift(target_of(name))
    assert line == f"does not exist; run `docsession upgrade --database '{name}'`"


def test_another_revision_is_the_only_line(target, alter):
    alter("DROP TABLE {name}", "docsession_hilo")
    alter("UPDATE {name} SET version_num = '9999'", "docsession_alembic_version")
    [line] = drift(target)
    assert line.startswith("revision: 9999, which docsession ")
    assert "a newer docsession made it" in line


def test_checking_needs_no_right_to_write(target, database, target_of):
    assert drift(target_of(database, options="-c default_transaction_read_only=on")) == []

"""Names in SQL, the tables as SQLAlchemy sees them, and the text that makes them (no database)."""

import pytest
from sqlalchemy import MetaData

from docsession._errors import InvalidArgumentException
from docsession._sql._quoting import qualified, quote_identifier, quote_literal
from docsession._sql._schema import (
    COLLECTION_COLUMNS,
    build_metadata,
    collection_table,
    create_collection_statements,
    create_database_statements,
    drop_database_statements,
    lock_key,
)


class TestQuoting:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("companies", '"companies"'),
            ("Select", '"Select"'),
            ('x"; drop table y; --', '"x""; drop table y; --"'),
            ("100%s {0}", '"100%s {0}"'),
            ("é" * 31, '"' + "é" * 31 + '"'),
        ],
    )
    def test_a_name_is_quoted_whatever_it_holds(self, name, expected):
        assert quote_identifier(name) == expected

    @pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 64, "é" * 32])
    def test_a_name_that_postgresql_would_not_keep_as_it_is_is_refused(self, name):
        with pytest.raises(InvalidArgumentException):
            quote_identifier(name)

    def test_a_qualified_name_quotes_both_parts(self):
        assert qualified('a"b', "c.d") == '"a""b"."c.d"'

    @pytest.mark.parametrize("text", ["", "it's", "$q0$", "$q0$ $q1$", "ends in $", "ends in $q0", "\\'"])
    def test_a_literal_is_not_ended_by_its_own_text(self, text):
        literal = quote_literal(text)
        tag = literal[: literal.index("$", 1) + 1]
        assert literal == f"{tag}{text}{tag}"
        assert literal.index(tag, len(tag)) == len(literal) - len(tag)


class TestMetaData:
    def test_the_system_tables_name_no_schema(self):
        metadata = build_metadata()
        assert sorted(metadata.tables) == [
            "docsession_collections",
            "docsession_compare_exchange",
            "docsession_hilo",
            "docsession_identities",
            "docsession_query_shapes",
        ]
        assert {table.schema for table in metadata.tables.values()} == {None}

    def test_a_collection_is_an_ordinary_table(self):
        table = collection_table(MetaData(), "companies")
        assert tuple(table.columns.keys()) == COLLECTION_COLUMNS
        assert [column.name for column in table.primary_key] == ["id"]
        assert [column.name for column in table.columns if column.nullable] == ["metadata"]

    def test_a_collection_that_is_known_is_given_again(self):
        metadata = build_metadata()
        assert collection_table(metadata, "companies") is collection_table(metadata, "companies")


class TestStatements:
    @pytest.mark.parametrize("make", [create_database_statements, drop_database_statements])
    @pytest.mark.parametrize("database", ['x"; drop table y; --', "é" * 31, "50%", "{}"])
    def test_a_hostile_name_appears_quoted_only(self, make, database):
        for statement in make(database):
            assert quote_identifier(database) in statement
            assert f" {database}." not in statement

    def test_tables_are_written_with_their_schema(self):
        [statement] = create_collection_statements("shop", "companies")
        assert 'CREATE TABLE IF NOT EXISTS "shop"."companies" (' in statement
        assert 'id TEXT COLLATE "C" NOT NULL' in statement

    def test_a_name_that_is_too_long_is_refused(self):
        with pytest.raises(InvalidArgumentException, match="64 bytes"):
            create_collection_statements("shop", "x" * 64)

    def test_locks_differ_by_database_and_fit_a_bigint(self):
        keys = {lock_key(database) for database in ("docsession", "Docsession", "shop", "é")}
        assert len(keys) == 4
        assert all(-(2**63) <= key < 2**63 for key in keys)

    def test_the_lock_of_a_database_never_changes(self):
        assert lock_key("docsession") == lock_key("docsession") == 3452819049859647200

"""The exact statements that a flush sends, in order; no server."""

import pytest

from docsession._port import NULL_JSONB, Timestamp
from docsession._sql._flush import (
    Check,
    Delete,
    Moment,
    Put,
    compile_flush,
    compile_single,
    single_succeeded,
    sort_operations,
)
from docsession._sql._tables import SIZES, TableStatements, split_sizes

COMPANIES = TableStatements("db", "Companies", "companies")
ORDERS = TableStatements("db", "Orders", "orders")
MOMENT = Moment(5000, 7, Timestamp(123))
DATA = b'\x01{"name":"x"}'


def put(key, expected, table=COMPANIES):
    return Put(table, key, DATA, NULL_JSONB, expected, MOMENT.version_after(expected or 0))


def texts(operations):
    sort_operations(operations)
    return [statement.sql.decode() for statement in compile_flush(operations, MOMENT)]


class TestHeldRows:
    """Where indexes beside that of the ids are unique, `ON CONFLICT (id)` is not enough between two writers."""

    def test_rows_are_locked_at_the_first_statement_of_their_table(self):
        operations = [
            put("companies/1-A", None),
            Delete(COMPANIES, "companies/2-A", None),
            put("companies/3-A", 7),
            put("orders/1-A", None, ORDERS),
        ]
        sort_operations(operations)
        statements = compile_flush(operations, MOMENT, {COMPANIES})
        assert statements[0].sql == (
            b'WITH w AS (SELECT id FROM "db"."companies" WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE) '
            b"SELECT count(*) FROM w"
        )
        assert list(statements[0].params[0]) == ["companies/1-A", "companies/2-A", "companies/3-A"]
        assert [each.sql for each in statements[1:]] == [each.sql for each in compile_flush(operations, MOMENT)]

    def test_tables_come_in_their_order(self):
        operations = [put("companies/1-A", None), put("orders/1-A", None, ORDERS)]
        held = [b"NO KEY UPDATE" in each.sql for each in compile_flush(operations, MOMENT, {ORDERS, COMPANIES})]
        assert held == [True, False, True, False]


class TestOneDocumentAlone:
    """A flush of one document is one plain statement, without a transaction or a guard."""

    def test_an_unchecked_write_is_an_upsert(self):
        statement = compile_single(put("companies/1-A", None), MOMENT)
        assert (
            b'INSERT INTO "db"."companies" AS t (id, data, metadata, version, last_modified) '
            b"VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET data = excluded.data, "
            b"metadata = excluded.metadata, version = GREATEST(t.version + $6, excluded.version), "
            b"last_modified = excluded.last_modified RETURNING version"
        ) == statement.sql
        assert ("companies/1-A", DATA, NULL_JSONB, 5000, Timestamp(123), 7) == tuple(statement.params)

    def test_a_new_document_is_inserted_or_nothing_is_done(self):
        statement = compile_single(put("companies/1-A", 0), MOMENT)
        assert b"ON CONFLICT (id) DO NOTHING RETURNING version" in statement.sql
        assert ("companies/1-A", DATA, NULL_JSONB, 5000, Timestamp(123)) == tuple(statement.params)

    def test_a_checked_write_is_an_update_of_that_version(self):
        statement = compile_single(put("companies/1-A", 9000), MOMENT)
        assert (
            b'UPDATE "db"."companies" SET data = $2, metadata = $3, version = $4, last_modified = $5 '
            b"WHERE id = $1 AND version = $6 RETURNING version"
        ) == statement.sql
        assert ("companies/1-A", DATA, NULL_JSONB, 9007, Timestamp(123), 9000) == tuple(statement.params)

    @pytest.mark.parametrize("operation", [put("a/1", 0), put("a/1", 3), Delete(COMPANIES, "a/1", 3)])
    def test_no_row_back_is_a_conflict(self, operation):
        assert not single_succeeded(operation, [])
        assert single_succeeded(operation, [(3,)])

    def test_an_unchecked_delete_of_nothing_is_no_conflict(self):
        assert single_succeeded(Delete(COMPANIES, "a/1", None), [])

    def test_a_check_compares_the_version(self):
        assert single_succeeded(Check(COMPANIES, "a/1", 3), [(3,)])
        assert not single_succeeded(Check(COMPANIES, "a/1", 3), [(4,)])
        assert not single_succeeded(Check(COMPANIES, "a/1", 3), [])
        assert single_succeeded(Check(COMPANIES, "a/1", 0), [])


class TestOneOrder:
    """Every row is touched in the order of table and id, whatever is done to it."""

    def test_operations_are_sorted_by_table_and_id(self):
        sent = texts(
            [
                put("orders/2", None, ORDERS),
                Delete(COMPANIES, "companies/3", None),
                put("companies/4", 8),
                put("companies/1", 8),
                Check(COMPANIES, "companies/2", 8),
            ]
        )
        kinds = ["INSERT" if "INSERT" in sql else sql.split()[0] for sql in sent]
        assert ["INSERT", "WITH", "DELETE", "INSERT", "INSERT"] == kinds
        assert ['"companies"' in sql for sql in sent] == [True, True, True, True, False]

    def test_consecutive_writes_of_one_kind_share_a_statement(self):
        statements = compile_flush([put(f"companies/{i}", 8) for i in range(4)], MOMENT)
        assert 1 == len(statements)
        assert ["companies/0", "companies/1", "companies/2", "companies/3"] == list(statements[0].params[:16:4])

    def test_checked_and_unchecked_writes_do_not_share_one(self):
        assert 3 == len(compile_flush([put("c/1", 8), put("c/2", None), put("c/3", 8)], MOMENT))

    def test_new_and_changed_documents_share_a_guarded_statement(self):
        (statement,) = compile_flush([put("c/1", 0), put("c/2", 9000), put("c/3", 0), put("c/4", 0)], MOMENT)
        assert [5000, 9000, 5000, 5000] == list(statement.params[3:16:4])
        assert str(5000 + 9007 + 5000 + 5000) == statement.params[-1]


class TestGuards:
    """A guard makes the server refuse the whole flush."""

    def test_a_guarded_write_counts_its_rows_and_sums_their_versions(self):
        assert (
            b'WITH w AS (INSERT INTO "db"."companies" AS t (id, data, metadata, version, last_modified) '
            b"VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET data = excluded.data, "
            b"metadata = excluded.metadata, version = GREATEST(t.version + $6, $7), "
            b"last_modified = excluded.last_modified WHERE t.version = excluded.version RETURNING t.version) "
            b"SELECT CASE WHEN count(*) = 1 AND sum(version) = $8::numeric THEN 1 "
            b"ELSE ('docsession:conflict ' || count(*))::int END FROM w"
        ) == COMPANIES.put_guarded(1)

    def test_deletes_and_checks_are_guarded_row_by_row(self):
        sent = texts([Delete(COMPANIES, "c/1", 3), Check(COMPANIES, "c/2", 4), Check(COMPANIES, "c/3", 0)])
        assert all("docsession:conflict" in sql for sql in sent)
        assert ["DELETE" in sent[0], "FOR SHARE" in sent[1], "count(*) = 0" in sent[2]] == [True] * 3


class TestSizes:
    """Few sizes, so that a connection keeps few plans."""

    def test_a_hundred_rows_are_four_statements(self):
        assert [64, 16, 16, 4] == split_sizes(100)

    @pytest.mark.parametrize("count", [1, 3, 5, 255, 256, 257, 10_000])
    def test_the_sizes_add_up(self, count):
        assert count == sum(split_sizes(count))
        assert set(split_sizes(count)) <= set(SIZES)

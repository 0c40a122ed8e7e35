"""The exact statements of compare-exchange values, and what a cluster-wide save sends; no server."""

from docsession._conventions import DocumentConventions
from docsession._documents._mapping import Mappings
from docsession._executors._scripted import ScriptedExecutor
from docsession._faces._run import run
from docsession._options import OptimisticConcurrencyMode, TransactionMode
from docsession._port import JSONB_VERSION, NULL_JSONB, TextArray, Timestamp
from docsession._session._cluster import ClusterTransactions
from docsession._session._context import SessionContext
from docsession._session._core import SessionCore
from docsession._session._database import Database
from docsession._sql._compare_exchange import CompareExchangeStatements
from docsession._sql._flush import Delete, Moment, Put, compile_flush, sort_operations
from docsession._sql._tables import TableStatements

VALUES = CompareExchangeStatements("db")
COMPANIES = TableStatements("db", "Companies", "companies")
ORDERS = TableStatements("db", "Orders", "orders")
MOMENT = Moment(5000, 7, Timestamp(123))
TABLE = '"db"."docsession_compare_exchange"'


def put(key, expected, table=VALUES):
    return Put(table, key, b'\x01{"Object":1}', NULL_JSONB, expected, MOMENT.version_after(expected))


class TestStatements:
    def test_a_write_is_guarded_by_the_index(self):
        (statement,) = compile_flush([put("a", 0)], MOMENT)
        assert (
            f'WITH w AS (INSERT INTO {TABLE} AS t (key, "index", value, metadata) '
            "VALUES ($1, $4, $2 -> 'Object', $3) ON CONFLICT (key) DO UPDATE SET value = excluded.value, "
            'metadata = excluded.metadata, "index" = GREATEST(t."index" + $6, $7) '
            'WHERE t."index" = excluded."index" RETURNING t."index") '
            'SELECT CASE WHEN count(*) = 1 AND sum("index") = $8::numeric THEN 1 '
            "ELSE ('docsession:conflict ' || count(*))::int END FROM w"
        ) == statement.sql.decode()
        assert ("a", b'\x01{"Object":1}', NULL_JSONB, 5000, 123, 7, 5000, "5000") == tuple(statement.params)

    def test_a_value_that_exists_must_have_its_index(self):
        (statement,) = compile_flush([put("a", 9000)], MOMENT)
        assert (9000, 123, 7, 5000, "9007") == tuple(statement.params)[3:]

    def test_several_share_a_statement(self):
        statements = compile_flush([put(f"{i}", 0) for i in range(5)], MOMENT)
        assert [4, 1] == [(len(statement.params) - 4) // 4 for statement in statements]

    def test_a_deletion_is_guarded_by_the_index(self):
        (statement,) = compile_flush([Delete(VALUES, "a", 3)], MOMENT)
        assert (
            f'WITH w AS (DELETE FROM {TABLE} WHERE key = $1 AND "index" = $2 RETURNING "index") '
            "SELECT CASE WHEN count(*) = 1 THEN 1 ELSE ('docsession:conflict ' || count(*))::int END FROM w"
        ) == statement.sql.decode()
        assert ("a", 3) == tuple(statement.params)

    def test_the_rows_stand_in_the_one_order_of_all_flushes(self):
        operations = [put("b", 0), put("o/1", 0, ORDERS), Delete(VALUES, "a", 3), put("c/1", 0, COMPANIES)]
        sort_operations(operations)
        assert [("companies", "c/1"), ("docsession_compare_exchange", "a"), ("docsession_compare_exchange", "b"),
                ("orders", "o/1")] == [(each.table.table, each.id) for each in operations]  # fmt: skip

    def test_reads_make_an_object_of_the_value(self):
        columns = "key, jsonb_build_object('Object', value), metadata, \"index\""
        one, many = VALUES.load(["a"]), VALUES.load(["a", "b"])
        assert f"SELECT {columns} FROM {TABLE} WHERE key = $1" == one.sql.decode()
        assert f"SELECT {columns} FROM {TABLE} WHERE key = ANY($1)" == many.sql.decode()
        assert (TextArray(["a", "b"]),) == tuple(many.params)

    def test_a_prefix_is_a_range_of_keys(self):
        statement = VALUES.load_starting_with("u/", 3, 2)
        assert statement.sql.decode().endswith("WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3 OFFSET $4")
        assert ("u/", "u0", 2, 3) == tuple(statement.params)
        everything = VALUES.load_starting_with("", 0, None)
        assert everything.sql.decode().endswith("WHERE key >= $1 ORDER BY key")


def opened(executor, **conventions):
    """A cluster-wide session on a scripted executor that has a table of compare-exchange values."""
    made = DocumentConventions(**conventions)
    executor.add([[(True,)]])
    context = SessionContext(
        Database("db", executor, made),
        Mappings(made),
        made,
        mode=OptimisticConcurrencyMode.NONE,
        no_tracking=False,
        transaction_mode=TransactionMode.CLUSTER_WIDE,
    )
    return SessionCore(context), ClusterTransactions(context)


class TestRequests:
    def test_a_save_asks_for_its_setting_and_nothing_else(self):
        executor = ScriptedExecutor()
        core, values = opened(executor)
        executor.add([[("a", JSONB_VERSION + b'{"Object": 1}', None, 9000)]], [[], [("0002",)]], [[]])
        value = run(values.get("a", int))
        value.value = 2
        run(core.save_changes(None))
        look, load, _catalogue, save = executor.requests
        assert ["SELECT to_regclass($1) IS NOT NULL"] == look.sql
        assert look.apart
        assert not load.write
        assert (("synchronous_commit", "remote_apply"),) == tuple(save.settings)
        assert save.transaction
        assert save.write
        assert [VALUES.put_guarded(1).decode()] == save.sql
        ((key, data, metadata, expected, *_, total),) = save.params
        assert ("a", JSONB_VERSION + b'{"Object":2}', NULL_JSONB, 9000) == (key, data, metadata, expected)
        assert str(value.index) == total
        assert 2 == core.context.requests.number

    def test_lazy_reads_are_one_request(self):
        executor = ScriptedExecutor()
        core, values = opened(executor)
        executor.add([[("a", JSONB_VERSION + b'{"Object": 1}', None, 5)], []])
        asked = [values.lazily(["a"], None), values.lazily(["b", "c"], None)]
        run(core.context.lazies.execute())
        assert [VALUES.load_one.decode(), VALUES.load_many.decode()] == executor.requests[-1].sql
        assert [["a"], ["b", "c"]] == [list(each.found) for each in asked]
        assert 1 == core.context.requests.number

    def test_nothing_to_save_is_no_request(self):
        executor = ScriptedExecutor()
        core, values = opened(executor)
        executor.add([[("a", JSONB_VERSION + b'{"Object": {"b": 1.0}}', None, 5)]])
        run(values.get("a", None))
        run(core.save_changes(None))
        assert 2 == len(executor.requests)

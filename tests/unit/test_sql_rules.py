"""The reader of SQL rules finds what it is to find, and nothing in what is allowed."""

import pytest

from tests.support.sql_rules import broken_rules

FORBIDDEN = {
    "CREATE TRIGGER t AFTER INSERT ON s.t EXECUTE FUNCTION s.f()": "a trigger",
    "SET search_path = s": "SET is state of the connection",
    "SET LOCAL statement_timeout = 1": "SET is state of the connection",
    "SELECT set_config('search_path', 's', true)": "search_path",
    "SELECT set_config($1, $2, false)": "set_config(…, false) is state of the connection",
    "LISTEN s": "LISTEN is state of the connection",
    "DISCARD ALL": "DISCARD is about the connection",
    "PREPARE p AS SELECT 1": "PREPARE by SQL is state of the connection",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1": "a cursor WITH HOLD is state of the connection",
    "SELECT pg_advisory_lock(1)": "pg_advisory_lock() holds a lock of the connection",
    "SELECT pg_catalog.pg_try_advisory_lock(1)": "pg_try_advisory_lock() holds a lock of the connection",
    "DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$": "pg_advisory_lock() holds a lock of the connection",
    "DO $$ BEGIN CREATE TEMP TABLE t (a int); END $$": "a temporary table",
    "CREATE TEMP TABLE t (a int)": "the temporary table t",
    "SELECT a INTO TEMP u FROM s.t": "the temporary table u",
    "MERGE INTO s.t USING s.u ON t.id = u.id WHEN MATCHED THEN DELETE": "MERGE",
    "SELECT * FROM s.t": "SELECT *",
    "SELECT t.* FROM s.t": "SELECT *",
    "DELETE FROM s.t RETURNING *": "SELECT *",
    "SELECT xmin FROM s.t": "the hidden column xmin",
    "DELETE FROM s.t WHERE t.ctid = $1": "the hidden column ctid",
    "SELECT a FROM t": "t without a schema",
    "WITH w AS (SELECT 1) SELECT a FROM w, v": "v without a schema",
    "SELECT docsession_instant(a) FROM s.t": "docsession_instant() without a schema",
    "INSERT INTO s.t AS t VALUES ($1) ON CONFLICT (id) DO UPDATE SET a = now()": "now() in DO UPDATE",
    "INSERT INTO s.t VALUES ($1) ON CONFLICT (id) DO UPDATE SET a = current_date": "current_date() in DO UPDATE",
    "INSERT INTO s.t VALUES ($1) ON CONFLICT (id) DO UPDATE SET a = nextval($2)": "nextval() in DO UPDATE",
    "SELECT a FROM s.t WHERE id = ANY($1) FOR SHARE": "locks on several ids at once",
    "SELECT a FROM s.t WHERE id IN ($1, $2) FOR UPDATE": "locks on several ids at once",
}

ALLOWED = [
    "BEGIN",
    "COMMIT",
    "SAVEPOINT s",
    "SELECT pg_catalog.set_config($1, $2, true)",
    "SELECT pg_try_advisory_xact_lock(1)",
    "SELECT count(*) FROM s.t",
    "SELECT r.* FROM (SELECT a FROM s.t) AS r",
    "SELECT a FROM s.t AS x WHERE id = $1 FOR UPDATE OF x",
    "SELECT a FROM s.t WHERE id = $1 FOR SHARE",
    "SELECT a FROM s.t WHERE id = ANY($1)",
    "WITH w AS (SELECT a FROM s.t) SELECT a FROM w",
    "INSERT INTO s.t AS t VALUES ($1) ON CONFLICT (id) DO UPDATE SET v = GREATEST(t.v + $2, excluded.v)",
    "DO $$ BEGIN IF pg_try_advisory_xact_lock(1) THEN CREATE TABLE s.t (a int); END IF; END $$",
]


@pytest.mark.parametrize(("sql", "rule"), FORBIDDEN.items())
def test_what_is_forbidden_is_found(sql, rule):
    assert rule in broken_rules(sql)


@pytest.mark.parametrize("sql", ALLOWED)
def test_what_is_allowed_is_not_found(sql):
    assert broken_rules(sql) == []

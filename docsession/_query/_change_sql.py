"""What is done to all documents that a query finds, as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docsession._documents._metadata import TYPES
from docsession._documents._places import pointer
from docsession._query._compilation import Compilation
from docsession._query._patches import PatchOperation
from docsession._query._statements import COLUMNS
from docsession._sql._values import literal


def deletion(table: str, where: str, *, returning: bool) -> str:
    """Return the SQL that deletes the documents; it returns their rows, or their ids alone."""
    gone = f"DELETE FROM {table} AS t USING p0 WHERE t.id = p0.id RETURNING {COLUMNS if returning else 't.id'}"
    return f"WITH p0 AS MATERIALIZED ({_locked(table, where)}) {gone}"


def patching(
    to: Compilation, table: str, where: str, operations: Sequence[PatchOperation], *, returning_all: bool
) -> str:
    """Return the SQL that patches the documents.

    Its values to take are those of the operations, the version, the step, the moment, and the ids whose row is wanted.
    """
    steps = [f"p0 AS MATERIALIZED ({_locked(table, where)})"]
    for number, operation in enumerate(operations):
        changed = operation.sql(to, f"d{number}")
        steps.append(f"p{number + 1} AS (SELECT id, {changed} AS d{number + 1} FROM p{number})")
    count = len(operations)
    version, step, moment = (to.bind(to.take(), _same) for _ in range(3))
    wanted = to.take()
    row = [f"t.{name}" for name in ("data", "metadata", "version", "last_modified")]
    if not returning_all:
        asked_for = to.bind(wanted, _same)
        row = [f"CASE WHEN t.id = ANY({asked_for}) THEN {column} END" for column in row]
    return (
        f"WITH {', '.join(steps)} UPDATE {table} AS t SET data = p.d{count}, "
        f"metadata = {_without_types(operations)}, "
        f"version = greatest(t.version + {step}, {version}), last_modified = {moment} "
        f"FROM p{count} AS p WHERE t.id = p.id RETURNING t.id, {', '.join(row)}"
    )


def _without_types(operations: Sequence[PatchOperation]) -> str:
    """Return the metadata as SQL, without the types of values in untyped places that are no longer those of before."""
    gone = {pointer(path) for operation in operations for path in operation.replaced}
    if not gone:
        return "t.metadata"
    left = " AND ".join(
        f"e.key <> {literal(each)} AND NOT starts_with(e.key, {literal(f'{each}/')})" for each in sorted(gone)
    )
    types = f"t.metadata -> {literal(TYPES)}"
    kept = (
        f"SELECT jsonb_build_object({literal(TYPES)}, jsonb_object_agg(e.key, e.value)) FROM jsonb_each({types}) AS e "
        f"WHERE {left} HAVING count(*) > 0"
    )
    now = f"nullif((t.metadata - {literal(TYPES)}) || coalesce(({kept}), '{{}}'), '{{}}')"
    return f"CASE WHEN jsonb_typeof({types}) = 'object' THEN {now} ELSE t.metadata END"


def _locked(table: str, where: str) -> str:
    # In the order of the ids, as every flush does it, so that two of them never wait for each other.
    return f"SELECT t.id, t.data AS d0 FROM {table} AS t{where} ORDER BY t.id FOR UPDATE OF t"


def _same(value: Any) -> Any:
    return value

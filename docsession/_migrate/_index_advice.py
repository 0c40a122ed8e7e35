"""Which indexes the queries of a database lack, as far as its stores have told what they ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from docsession._alembic._reading import estimate_rows, read_kept
from docsession._errors import DocSessionError
from docsession._migrate._environment import recorded_collections
from docsession._migrate._project import Model
from docsession._migrate._target import Target, connected
from docsession._query._access import access_of
from docsession._query._advice import Candidate, candidates, equalities, is_served_by, may_hold
from docsession._query._compile import QueryCompiler
from docsession._query._index_ddl import IndexTarget
from docsession._query._recorder import root_of
from docsession._query._shape_reading import specification_from_shape
from docsession._query._shapes import OperandShape, QueryShape, shape_from
from docsession._session._index_use import why_not_by_index
from docsession._sql._definitions import Definition, Kind
from docsession._sql._objects import sample_of_values
from docsession._sql._query_shapes import explain_for_any_values, read_shapes
from docsession._sql._quoting import qualified
from docsession._sql._schema import QUERY_SHAPES_TABLE
from docsession._sql._tables import TableStatements

_NAME: Final = "docsession_advice"
_FEW: Final = 200
"""Documents of a table that PostgreSQL reads without an index whatever they are."""
_TOO_MANY: Final = 0.2
"""The share of a table from which on it is read as a whole."""
_SAMPLE: Final = 10_000
"""Documents that are looked at to find out how many values a field has."""
_NO_RIGHT: Final = "42501"


@dataclass(frozen=True, slots=True)
class Advice:
    """An index that queries lack.

    Attributes:
        collection: The collection that they ask.
        declaration: What is to be declared, as Python.
        queries: How many were asked.
        seconds: How long they took together.
        documents: About how many documents the collection has.
        needs: The extension that PostgreSQL needs for it; None: none.
        share: Which part of the documents has the same value, on average, where the index does nothing but to find
            those; None: it does more.
    """

    collection: str
    declaration: str
    queries: int
    seconds: float
    documents: int
    needs: str | None = None
    share: float | None = None

    @property
    def doubt(self) -> str | None:
        """Why PostgreSQL may read the table all the same; None: nothing speaks for that."""
        if self.documents < _FEW:
            return "a table as small as this is read as quickly without it"
        if self.share is not None and self.share > _TOO_MANY:
            return f"a value has about {self.share:.0%} of the documents, for which PostgreSQL rather reads the table"
        return None


@dataclass(frozen=True, slots=True)
class _Asked:
    shape: QueryShape
    count: int
    seconds: float


def index_advice(target: Target, models: Iterable[Model]) -> list[Advice]:
    """Return the indexes that the queries of a database lack: what would save the most time first, doubtful ones last.

    A query lacks one where PostgreSQL, asked for its plan, looks up no index for it, not even where it would rather do
    that than read the table; and where none is declared that only has to be made.

    Args:
        target: The database.
        models: What the models need; of collections that none of them has nothing is said.

    Raises:
        PermissionDeniedException: The role may not read a table that this takes.
        RavenException: The server cannot be reached, or refuses.
    """
    with connected(target) as connection:
        recorded = recorded_collections(connection, target.database)
        kept = _kept_shapes(connection, target.database)
        found: list[Advice] = []
        for model in models:
            table = recorded.get(model.collection)
            if table is not None and model.collection in kept:
                advisor = _Advisor(
                    connection, target.database, TableStatements(target.database, model.collection, table)
                )
                found += advisor.advise(kept[model.collection], model.definitions(table))
        return sorted(
            found, key=lambda each: (each.doubt is not None, -each.seconds, each.collection, each.declaration)
        )


def _kept_shapes(connection: Connection, database: str) -> Mapping[str, Sequence[_Asked]]:
    """Return what a database has been asked, by collection."""
    name = qualified(database, QUERY_SHAPES_TABLE)
    if connection.scalar(text("SELECT pg_catalog.to_regclass(:name)"), {"name": name}) is None:
        return {}
    found: dict[str, list[_Asked]] = {}
    for collection, json, count, microseconds in _run(connection, read_shapes(database)):
        shape = shape_from(json)
        if shape is not None and shape.collection == collection:
            found.setdefault(collection, []).append(_Asked(shape, count, microseconds / 1_000_000))
    return found


class _Advisor:
    """Finds out which indexes the queries of one collection lack."""

    def __init__(self, connection: Connection, database: str, table: TableStatements) -> None:
        self._connection = connection
        self._database = database
        self._table = table

    def advise(self, asked: Iterable[_Asked], declared: Sequence[Definition]) -> list[Advice]:
        """Return what the queries lack that nobody has declared."""
        kept = read_kept(self._connection, self._database, [self._table.table])
        columns = {(each.name, each.digest) for each in kept if each.kind is Kind.COLUMN and each.digest is not None}
        access = access_of(declared).without_columns_but(columns)
        compiler = QueryCompiler(self._table, self._database, None, None, access)
        target = IndexTarget(self._table.table, root_of(dict), None, access)
        found: dict[str, tuple[Definition, Advice]] = {}
        by_value: set[str] = set()
        lacking = [each for each in asked if self._lacks_an_index(each.shape, compiler)]
        uses = Counter(of for each in lacking for of in equalities(each.shape))
        documents = estimate_rows(self._connection, self._database, self._table.table) if lacking else 0
        for each in lacking:
            for definition, candidate in _defined(each.shape, uses, target):
                if is_served_by(definition, [one for one in declared if may_hold(one, each.shape)]):
                    continue
                if candidate.is_by_value:
                    by_value.add(definition.digest)
                known = found.get(definition.digest)
                made = Advice(
                    each.shape.collection, candidate.text, each.count, each.seconds, documents, candidate.needs
                )
                found[definition.digest] = (definition, made if known is None else _together(known[1], made))
        return [
            replace(advice, share=self._share(definition, documents)) if definition.digest in by_value else advice
            for definition, advice in _fewest(list(found.values()))
        ]

    def _share(self, definition: Definition, documents: int) -> float | None:
        """Return which part of the documents has the same values as another one, of a sample."""
        sql = sample_of_values(self._table, definition, self._database, 100 * _SAMPLE / max(documents, 1))
        [(count, different)] = _run(self._connection, sql)
        return 1 / different if count and different else None

    def _lacks_an_index(self, shape: QueryShape, compiler: QueryCompiler) -> bool:
        if shape.nearest is not None:
            return True  # unless one is declared: all vectors are compared otherwise
        query = specification_from_shape(shape)
        if query is None:
            return False
        has_conditions = bool(shape.where) or shape.is_filtered
        try:
            statement = compiler.documents(query)
            plan = self._plan(explain_for_any_values(statement, _NAME, by_order=not has_conditions))
        except (DBAPIError, DocSessionError) as error:
            if getattr(getattr(error, "orig", None), "sqlstate", None) == _NO_RIGHT:
                raise
            return False  # such a query fails, and no index would change that
        return why_not_by_index(plan, self._table.table, None, has_conditions=has_conditions) is not None

    def _plan(self, statements: Sequence[str]) -> Mapping[str, Any]:
        *before, explain, deallocate = statements
        savepoint = self._connection.begin_nested()
        is_prepared = False
        try:
            for sql in before:
                _run(self._connection, sql)
            is_prepared = True
            [(answer,)] = _run(self._connection, explain)
        finally:
            savepoint.rollback()
            if is_prepared:
                # Unlike all else, what is prepared is not rolled back.
                _run(self._connection, deallocate)
        plan: Mapping[str, Any] = answer[0]["Plan"]
        return plan


def _defined(
    shape: QueryShape, uses: Mapping[OperandShape, int], target: IndexTarget
) -> Iterator[tuple[Definition, Candidate]]:
    try:
        for candidate in candidates(shape, uses):
            yield candidate.declaration.define(target)[-1], candidate  # columns come before their index
    except DocSessionError:
        return  # of a shape that no query has


def _fewest(found: Sequence[tuple[Definition, Advice]]) -> list[tuple[Definition, Advice]]:
    """Return the advice without that which other advice includes, and which counts for it."""
    kept: list[tuple[Definition, Advice]] = []
    for definition, advice in sorted(found, key=lambda each: -len(each[0].keys)):
        for place, (other, its_advice) in enumerate(kept):
            if is_served_by(definition, [other]):
                kept[place] = other, _together(its_advice, advice)
                break
        else:
            kept.append((definition, advice))
    return kept


def _together(one: Advice, other: Advice) -> Advice:
    return replace(one, queries=one.queries + other.queries, seconds=one.seconds + other.seconds)


def _run(connection: Connection, sql: str) -> Sequence[Any]:
    result = connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
    return result.all() if result.returns_rows else []

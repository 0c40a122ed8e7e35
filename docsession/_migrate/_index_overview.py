"""The indexes of a database's collections: which are used, which are not, and which are not what is declared."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text

from docsession._migrate._environment import recorded_collections
from docsession._migrate._project import Model
from docsession._migrate._target import Target, connected
from docsession._sql._definitions import COMMENT_PREFIX, Definition, Kind

_INDEXES = text("""
    SELECT t.relname::text, i.relname::text, pg_catalog.obj_description(i.oid, 'pg_class'), x.indisvalid,
           x.indisunique, coalesce(s.idx_scan, 0), pg_catalog.pg_relation_size(i.oid)
    FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_catalog.pg_index x ON x.indrelid = t.oid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    LEFT JOIN pg_catalog.pg_stat_user_indexes s ON s.indexrelid = i.oid
    WHERE n.nspname = :schema AND t.relkind IN ('r', 'p') AND NOT x.indisprimary
    ORDER BY 1, 2
""")


class Use(enum.Enum):
    """What there is to say of an index; the value is how it is shown."""

    USED = "used"
    UNUSED = "unused"
    INVALID = "invalid"
    MISSING = "missing"


class Origin(enum.Enum):
    """Whose an index is; the value is how it is shown."""

    DECLARED = "declared"
    DECLARED_OTHERWISE = "declared otherwise"
    NOT_DECLARED = "not declared"
    FOREIGN = "not docsession's"


@dataclass(frozen=True, slots=True)
class IndexOverview:
    """An index that is there, or that is declared.

    Attributes:
        table: The table.
        name: The index.
        origin: Whose it is; None: docsession's, where nobody knows the models.
        use: Whether it is used. A unique index is, since it refuses documents.
        scans: How often queries have used it since the server began to count.
        size: Its size in bytes.
    """

    table: str
    name: str
    origin: Origin | None
    use: Use
    scans: int = 0
    size: int = 0


def index_overview(target: Target, models: Iterable[Model] | None) -> list[IndexOverview]:
    """Return the indexes of the collections of a database, but for those of the ids.

    Args:
        target: The database.
        models: What the models need; None: they are not known.

    Raises:
        RavenException: The server cannot be reached, or refuses.
    """
    with connected(target) as connection:
        recorded = recorded_collections(connection, target.database)
        rows = connection.execute(_INDEXES, {"schema": target.database}).all()
    declared: dict[tuple[str, str], Definition] = {}
    tables = set(recorded.values())
    for model in models or ():
        table = recorded.get(model.collection, model.table)
        tables.add(table)
        for each in model.definitions(table):
            if each.kind is Kind.INDEX:
                declared[table, each.name] = each
    found = []
    for table, name, comment, is_valid, is_unique, scans, size in rows:
        if table not in tables:
            continue
        definition = declared.pop((table, name), None)
        origin: Origin | None = Origin.FOREIGN
        if (comment or "").startswith(COMMENT_PREFIX):
            origin = None if models is None else Origin.NOT_DECLARED
            if definition is not None:
                origin = Origin.DECLARED if comment == definition.comment else Origin.DECLARED_OTHERWISE
        use = Use.USED if scans or is_unique else Use.UNUSED
        found.append(IndexOverview(table, name, origin, use if is_valid else Use.INVALID, scans, size))
    found += [IndexOverview(table, name, Origin.DECLARED, Use.MISSING) for table, name in declared]
    return sorted(found, key=lambda each: (each.table, each.name))

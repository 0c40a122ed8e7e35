"""What is known of a database's tables, and what of it a save lacks.

A catalogue is replaced as a whole, never changed in place, so that threads need no lock to read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from docsession._documents._mapping import DocumentMapping
from docsession._documents._naming import table_of_collection
from docsession._errors import InvalidArgumentException
from docsession._sql._tables import TableStatements


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Which tables there are, and in which of them ids of a prefix lie.

    Attributes:
        exists: False where the database has no system tables (yet).
        by_collection: The table of each collection.
        by_prefix: The tables of each prefix; "" is that of ids without a separator.
        pairs: Every (prefix, collection) that is recorded.
    """

    exists: bool = False
    by_collection: dict[str, TableStatements] = field(default_factory=dict)
    by_prefix: dict[str, tuple[TableStatements, ...]] = field(default_factory=dict)
    pairs: frozenset[tuple[str, str]] = frozenset()

    def tables_of(self, prefix: str, mapping: DocumentMapping[Any] | None) -> tuple[TableStatements, ...]:
        """Return where documents with ids of *prefix* may lie, that of the class they are asked as among them."""
        tables = self.by_prefix.get(prefix, ())
        own = self.by_collection.get(mapping.collection) if mapping is not None else None
        return tables if own is None or own in tables else (*tables, own)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return the (prefix, collection, table) of which it was made."""
        return [(prefix, collection, self.by_collection[collection].table) for prefix, collection in self.pairs]


class KnownTables:
    """The tables of one database that were ever seen: each is one object, so that it can be a key."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._known: dict[tuple[str, str], TableStatements] = {}

    def all(self) -> list[TableStatements]:
        """Return all of them."""
        return list(self._known.values())

    def catalogue_of(self, rows: Iterable[Sequence[str]]) -> Catalogue:
        """Return the catalogue of *rows*, (prefix, collection, table)."""
        by_collection: dict[str, TableStatements] = {}
        by_prefix: dict[str, tuple[TableStatements, ...]] = {}
        pairs = set()
        for prefix, collection, table in rows:
            known = self._known.get((collection, table))
            if known is None:
                known = self._known.setdefault((collection, table), TableStatements(self._database, collection, table))
            by_collection[collection] = known
            by_prefix[prefix] = (*by_prefix.get(prefix, ()), known)
            pairs.add((prefix, collection))
        return Catalogue(True, by_collection, by_prefix, frozenset(pairs))


@dataclass(frozen=True, slots=True)
class NewPlaces:
    """What a catalogue lacks of what is about to be written.

    Attributes:
        tables: The tables that there are not, by collection.
        rows: The (prefix, collection, table) that are not recorded.
    """

    tables: dict[str, str]
    rows: list[tuple[str, str, str]]


def new_places(catalogue: Catalogue, wanted: set[tuple[str, str]]) -> NewPlaces:
    """Return what *catalogue* lacks of the *wanted* (prefix, collection).

    Raises:
        InvalidArgumentException: Two collections would share a table.
    """
    missing = wanted - catalogue.pairs
    tables = {collection: table.table for collection, table in catalogue.by_collection.items()}
    owners = {table: collection for collection, table in tables.items()}
    made = {}
    for collection in sorted({collection for _, collection in missing} - tables.keys()):
        made[collection] = tables[collection] = table = table_of_collection(collection)
        owner = owners.setdefault(table, collection)
        if owner != collection:
            raise InvalidArgumentException(
                f"the collections {collection!r:.80} and {owner!r:.80} would share the table {table!r}; "
                f"name one of them otherwise, with @document(collection=…)"
            )
    return NewPlaces(made, [(prefix, collection, tables[collection]) for prefix, collection in sorted(missing)])

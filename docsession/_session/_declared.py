"""The indexes that are declared for the collections of a store, as definitions and as what queries make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from docsession._conventions import DocumentConventions
from docsession._declarations import IndexDeclaration
from docsession._documents._declaration import declared_indexes
from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._errors import (
    DocSessionError,
    InvalidArgumentException,
    InvalidOperationException,
    RavenException,
    TableDoesNotExistException,
)
from docsession._query._access import NOTHING_DECLARED, Access
from docsession._query._index_ddl import IndexTarget
from docsession._query._index_definitions import define_all
from docsession._query._indexes import Index
from docsession._query._recorder import root_of
from docsession._sql._definitions import Definition

_UNDEFINED_OBJECT: Final = "42704"
_WRONG_REFERENCES: Final = frozenset({"42703", "42804", "42830"})
"""No such column, one of another type, one that is not unique."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What is declared for one table.

    Attributes:
        definitions: What is made, in the order in which it is made.
        access: What that offers to queries.
    """

    definitions: Sequence[Definition] = ()
    access: Access = NOTHING_DECLARED


NOTHING: Final = Declared()


class DeclaredIndexes:
    """Makes definitions of declarations, each once."""

    def __init__(self, conventions: DocumentConventions) -> None:
        self._conventions = conventions
        self._known: dict[tuple[str, str, frozenset[type]], Declared] = {}
        self._unique: dict[str, tuple[int, bool]] = {}

    def of_collection(self, collection: str, table: str, mappings: Mappings) -> Declared:
        """Return what is declared for a collection: by its class and the subclasses stored in it, and by conventions.

        Raises:
            InvalidArgumentException: A declaration names what cannot be indexed.
        """
        stored = self._stored_in(collection, mappings)
        key = (collection, table, frozenset(stored))
        known = self._known.get(key)
        if known is None:
            given: list[tuple[IndexDeclaration, IndexTarget]] = []
            for cls, mapping in stored.items():
                target = IndexTarget(table, root_of(cls), mapping.codec.id_key)
                given += [(each, target) for each in self._declared_for(cls)]
            if collection in self._conventions.indexes:
                target = IndexTarget(table, root_of(dict), None)
                given += [(each, target) for each in self._conventions.indexes[collection]]
            known = NOTHING
            if given:
                definitions, access = define_all(given)
                known = Declared(tuple(definitions), access)
            self._known[key] = known
        return known

    def has_unique(self, collection: str, mappings: Mappings) -> bool:
        """Return True where a unique index is declared for a collection."""
        number = len(mappings)
        known = self._unique.get(collection)
        if known is None or known[0] != number:
            given = [each for cls in self._stored_in(collection, mappings) for each in self._declared_for(cls)]
            given += self._conventions.indexes.get(collection, ())
            known = (number, any(isinstance(each, Index) and each.unique for each in given))
            self._unique[collection] = known
        return known[1]

    def mappings_with_indexes(self, mappings: Mappings) -> list[DocumentMapping[Any]]:
        """Return how all classes are stored that are known, those of the conventions' indexes among them."""
        for each in self._conventions.indexes:
            if isinstance(each, str):
                mappings.for_dict(each)
            else:
                mappings.for_class(each)
        return mappings.known()

    def _stored_in(self, collection: str, mappings: Mappings) -> dict[type, DocumentMapping[Any]]:
        # Those of the conventions belong to it though nobody has asked for them yet.
        known = [each for each in self.mappings_with_indexes(mappings) if each.collection == collection]
        stored: dict[type, DocumentMapping[Any]] = {}
        for mapping in known:
            if mapping.entity_class is not dict:
                for each in mappings.stored_as(mapping).values():
                    stored.setdefault(each.entity_class, each)
        names = sorted(stored, key=lambda cls: (len(cls.__mro__), cls.__module__, cls.__qualname__))
        return {cls: stored[cls] for cls in names}

    def _declared_for(self, cls: type) -> list[IndexDeclaration]:
        found = list(declared_indexes(cls))
        for above in reversed(cls.__mro__):
            found += self._conventions.indexes.get(above, ())
        return list(dict.fromkeys(found))


def refused_declaration(error: RavenException) -> DocSessionError | None:
    """Return the error for what PostgreSQL refuses of a declaration; None where that is not to blame."""
    told = str(error.__cause__ or error).splitlines()[0]
    if isinstance(error, TableDoesNotExistException):
        return InvalidOperationException(
            f"Promoted(references=…) refers to a table that is not there ({told}): make that one first, and repeat this"
        )
    if error.sqlstate in _WRONG_REFERENCES:
        return InvalidArgumentException(
            f"Promoted(references=…) refers to what no foreign key can refer to ({told}): name a column that has a "
            "unique index, and give the field the type= of that column"
        )
    if error.sqlstate == _UNDEFINED_OBJECT:
        return InvalidArgumentException(
            f"FullText(language=…) names a language that PostgreSQL does not know ({told}): name one of those that "
            "`SELECT cfgname FROM pg_ts_config` lists, as 'english' or 'simple', or your own with its schema"
        )
    return None

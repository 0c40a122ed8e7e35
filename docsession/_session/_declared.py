"""The indexes that are declared for the collections of a store, as definitions and as what queries make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from docsession._conventions import DocumentConventions
from docsession._declarations import IndexDeclaration
from docsession._documents._declaration import declared_indexes
from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._errors import InvalidOperationException, RavenException
from docsession._query._access import NOTHING_DECLARED, Access
from docsession._query._index_ddl import IndexTarget
from docsession._query._index_definitions import define_all
from docsession._query._recorder import root_of
from docsession._sql._definitions import Definition


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


def missing_reference(error: RavenException) -> InvalidOperationException:
    """Return the error for a table that a declaration refers to, and that is not there."""
    told = str(error.__cause__ or error).splitlines()[0]
    return InvalidOperationException(
        f"Promoted(references=…) refers to a table that is not there ({told}): make that one first, and repeat this"
    )

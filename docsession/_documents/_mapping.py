"""How a class is stored: its collection, the prefix of its ids, the attribute that holds the id, its codec."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from docsession._conventions import DocumentConventions
from docsession._documents._aliases import AliasRegistry
from docsession._documents._codec import DocumentCodec, codec_for
from docsession._documents._compare_exchange import holder_of
from docsession._documents._declaration import SETTINGS, declared_version, settings_of
from docsession._documents._identity import check_entity_class, declares, id_attribute_of, takes_attributes
from docsession._documents._ids import check_id, is_blank, prefix_of
from docsession._documents._metadata import (
    COLLECTION,
    METADATA,
    SCHEMA_VERSION,
    TYPE,
    TYPES,
    metadata_column,
    stored_metadata,
)
from docsession._documents._naming import (
    check_collection,
    id_prefix_of_collection,
    pluralize,
    table_of_collection,
)
from docsession._documents._polymorphism import (
    alias_in_collection,
    class_named,
    first_metadata,
    is_below,
    other_class,
)
from docsession._documents._versions import UNVERSIONED, Versions, versions_of
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._port import JSONB_VERSION, NULL_JSONB

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DocumentMapping(Generic[T]):
    """How instances of one class are stored.

    Attributes:
        entity_class: The class; `dict` for documents without one.
        collection: The collection's name.
        table: The name that its table gets if there is none in the catalogue yet.
        id_prefix: What generated ids begin with, without the separator.
        id_attribute: The attribute that holds the id; None where instances carry none.
        codec: Converts between an instance and its document.
        alias: What the metadata of its documents calls the class; None where they are of their
            collection's own class.
        versions: The versions of the class.
        metadata: The metadata column of a new document.
    """

    entity_class: type[T]
    collection: str
    table: str
    id_prefix: str
    id_attribute: str | None
    codec: DocumentCodec[T]
    alias: str | None = None
    versions: Versions = UNVERSIONED
    metadata: bytes = NULL_JSONB


class Mappings:
    """The mappings of one store, each made on first use; safe over threads."""

    def __init__(
        self,
        conventions: DocumentConventions,
        make_codec: Callable[[type[Any], str | None, AliasRegistry], DocumentCodec[Any]] = codec_for,
    ) -> None:
        self._conventions = conventions
        self._make_codec = make_codec
        self._registry: AliasRegistry | None = None
        self._by_class: dict[type, DocumentMapping[Any]] = {}
        self._by_collection: dict[str, DocumentMapping[dict[str, Any]]] = {}
        self._by_annotation: dict[object, DocumentMapping[Any]] = {}
        self._lock = threading.RLock()

    def for_class(self, cls: type[T]) -> DocumentMapping[T]:
        """Return how instances of *cls* are stored.

        Raises:
            InvalidArgumentTypeException: Instances of *cls* are no documents, or it is `dict`, whose
                collection only `for_dict` knows.
            InvalidArgumentException: A name that it would get is not allowed.
        """
        try:
            mapping = self._by_class.get(cls)
        except TypeError:
            raise _no_class(cls) from None
        if mapping is None:
            with self._lock:
                mapping = self._by_class.get(cls) or self._by_class.setdefault(cls, self._map_class(cls))
        return mapping

    def renew_lock(self) -> None:
        """Let a forked child begin with a free lock."""
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """How many there are; it only grows."""
        return len(self._by_class) + len(self._by_collection)

    def known(self) -> list[DocumentMapping[Any]]:
        """Return every mapping that was asked for so far."""
        with self._lock:
            return [*self._by_class.values(), *self._by_collection.values()]

    def for_dict(self, collection: str) -> DocumentMapping[dict[str, Any]]:
        """Return how plain dicts of *collection* are stored."""
        mapping = self._by_collection.get(collection)
        if mapping is None:
            with self._lock:
                mapping = self._by_collection.setdefault(
                    collection, self._map(dict, check_collection(collection), None)
                )
        return mapping

    def for_value(self, annotation: object) -> DocumentMapping[Any]:
        """Return how a value of the type *annotation* is stored that stands alone, in a `holder_of` it.

        Raises:
            InvalidArgumentTypeException: *annotation* is no type.
        """
        try:
            mapping = self._by_annotation.get(annotation)
        except TypeError:
            raise _no_class(annotation) from None
        if mapping is None:
            holder = holder_of(annotation)
            with self._lock:
                made = DocumentMapping(holder, "", "", "", None, self._codec(holder, None))
                mapping = self._by_annotation.setdefault(annotation, made)
        return mapping

    def for_class_of(self, entity: T) -> DocumentMapping[T] | None:
        """Return how *entity* is stored where its class has been asked for before; never for a dict."""
        return self._by_class.get(type(entity))

    def for_entity(self, entity: T, key: str | None = None) -> DocumentMapping[T]:
        """Return how *entity* is stored; a dict's collection may follow from its *key*.

        Raises:
            InvalidArgumentTypeException: It is no document.
            InvalidArgumentException: It is a dict, and nothing says its collection.
        """
        mapping = self._by_class.get(type(entity))
        if mapping is not None:
            return mapping
        if isinstance(entity, dict) and type(entity) is dict:
            found = self.collection_of_dict(entity, key)
            if found is None:
                raise InvalidArgumentException(
                    "a dict needs a collection: give it a key with a prefix, as in store(entity, 'users/9'), "
                    "or name the collection in it: entity['@metadata'] = {'@collection': 'Users'}"
                )
            return self.for_dict(found)  # type: ignore[return-value]  # T is dict here
        if isinstance(entity, type):
            raise InvalidArgumentTypeException(f"{entity.__qualname__} is a class; store an instance of it")
        return self.for_class(type(entity))

    def collection_of_dict(self, entity: dict[str, Any], key: str | None = None) -> str | None:
        """Return the collection that a dict names in `@metadata`, else the prefix of its *key*, else None."""
        if names_collection(entity):
            return check_collection(entity[METADATA][COLLECTION])
        if key is None or is_blank(key):
            return None
        return prefix_of(key, self._conventions.identity_parts_separator) or None

    def of_document(
        self, asked: DocumentMapping[Any], key: str, data: bytes, stored: bytes | None
    ) -> tuple[DocumentMapping[Any], bytes, bytes | None]:
        """Return how a stored document is to be read that was asked for as a class: as which, and its columns.

        That is the subclass that its metadata names, and the document brought up to date. Where nothing
        is said of it, everything stays as it is.

        Args:
            asked: How instances of the class are stored that was asked for.
            key: The document's id.
            data: The column `data`.
            stored: The column `metadata`.

        Raises:
            DocumentMismatchException: It is of a class that is no subclass of the one asked for, of a version
                that is not known, or an upcaster failed.
        """
        metadata = stored_metadata(stored)
        mapping = self._of_alias(asked, key, metadata.get(TYPE))
        version = metadata.get(SCHEMA_VERSION, 1)
        is_current = type(version) is int and version == mapping.versions.current
        if is_current and (mapping.alias is None or TYPE in metadata):
            return mapping, data, stored
        if not is_current:
            types = metadata.pop(TYPES, None)
            text, types = mapping.versions.bring_up_to_date(
                key, data[1:], types if isinstance(types, dict) else {}, version
            )
            data = JSONB_VERSION + text
            metadata[SCHEMA_VERSION] = mapping.versions.current
            if types:
                metadata[TYPES] = types
        if mapping.alias is not None:
            metadata.setdefault(TYPE, mapping.alias)
        return mapping, data, metadata_column(metadata)

    def stored_as(self, asked: DocumentMapping[Any]) -> dict[str | None, DocumentMapping[Any]]:
        """Return the classes that documents may be of that are asked for as one class, by their aliases.

        None stands for documents without an alias, which are of the collection's own class.
        """
        found: dict[str | None, DocumentMapping[Any]] = {asked.alias: asked}
        for alias, cls in self._aliases().subclasses_of(asked.entity_class).items():
            mapping: DocumentMapping[Any] = asked if cls is asked.entity_class else self.for_class(cls)
            if mapping.collection == asked.collection and mapping.alias in {alias, asked.alias}:
                found[alias] = mapping
        return found

    def _of_alias(self, asked: DocumentMapping[Any], key: str, alias: object) -> DocumentMapping[Any]:
        found = None if alias is None or alias == asked.alias else class_named(alias, self._aliases())
        if found is None or found is asked.entity_class:
            return asked
        is_subclass = is_below(found, asked.entity_class)
        if not is_subclass and asked.alias is None:
            return asked  # a class of its own beside those that are stored there
        mapping: DocumentMapping[Any] = self.for_class(found)
        if mapping.collection != asked.collection or mapping.alias != alias:
            return asked
        if not is_subclass:
            raise other_class(key, asked.entity_class, alias, found)
        return mapping

    def _map_class(self, cls: type[T]) -> DocumentMapping[T]:
        if not isinstance(cls, type):
            raise _no_class(cls)
        check_entity_class(cls)
        if cls is dict:
            raise InvalidArgumentTypeException("a plain dict has no collection by itself; name one")
        settings = settings_of(cls)
        attribute = settings.id_attribute
        find_attribute = self._conventions.find_identity_property_name
        if attribute is None and find_attribute is not None:
            attribute = find_attribute(cls)
            if attribute is not None and not declares(cls, attribute) and not takes_attributes(cls):
                attribute = None  # one rule for all classes need not fit each
        versions = versions_of(cls, declared_version)
        collection = check_collection(self._collection_of(cls))
        alias = alias_in_collection(
            cls, self._aliases(), collection, self._collection_of_base, declared=SETTINGS in vars(cls)
        )
        mapping: DocumentMapping[T] = self._map(cls, collection, id_attribute_of(cls, attribute))
        return replace(mapping, alias=alias, versions=versions, metadata=first_metadata(alias, versions.current))

    def _collection_of(self, cls: type) -> str:
        settings = settings_of(cls)
        if settings.base is not None:
            return self._collection_of(settings.base)
        named_by_convention = self._conventions.find_collection_name
        return (
            settings.collection
            or (named_by_convention(cls) if named_by_convention else None)
            or pluralize(cls.__name__)
        )

    def _collection_of_base(self, cls: type) -> str | None:
        try:
            return self._collection_of(cls)
        except Exception:
            return None  # the convention was written for classes that are stored, and this one need not be

    def _map(self, cls: type[T], collection: str, id_attribute: str | None) -> DocumentMapping[T]:
        transform = self._conventions.transform_class_collection_name_to_document_id_prefix or id_prefix_of_collection
        return DocumentMapping(
            entity_class=cls,
            collection=collection,
            table=table_of_collection(collection),
            id_prefix=self._check_prefix(transform(collection)),
            id_attribute=id_attribute,
            codec=self._codec(cls, id_attribute),
        )

    def _check_prefix(self, prefix: object) -> str:
        """Return *prefix* if ids may begin with it, and still be ids when the longest of numbers follows."""
        checked = check_id(prefix)
        check_id(f"{checked}{self._conventions.identity_parts_separator}{2**63 - 1}-{self._conventions.node_tag}")
        return checked

    def _codec(self, cls: type[T], id_attribute: str | None) -> DocumentCodec[T]:
        return self._make_codec(cls, id_attribute, self._aliases())

    def _aliases(self) -> AliasRegistry:
        if self._registry is None:
            self._registry = AliasRegistry(self._conventions.aliases)
        return self._registry


def _no_class(given: object) -> InvalidArgumentTypeException:
    return InvalidArgumentTypeException(
        f"object_type is a class, such as Company, not {given!r:.80} (of type {type(given).__qualname__})"
    )


def names_collection(entity: dict[str, Any]) -> bool:
    """Return True where a dict says in its `@metadata` which collection it belongs to."""
    metadata = entity.get(METADATA)
    return isinstance(metadata, dict) and metadata.get(COLLECTION) is not None

"""How a class is stored: its collection, the prefix of its ids, the attribute that holds the id, its codec."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from docsession._conventions import DocumentConventions
from docsession._documents._aliases import DECLARED, AliasRegistry
from docsession._documents._codec import DocumentCodec, codec_for
from docsession._documents._identity import check_entity_class, declares, id_attribute_of, takes_attributes
from docsession._documents._ids import check_id, is_blank, prefix_of
from docsession._documents._metadata import COLLECTION, METADATA
from docsession._documents._naming import (
    check_collection,
    id_prefix_of_collection,
    pluralize,
    table_of_collection,
)
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

T = TypeVar("T")

_SETTINGS: Final = "__docsession__"


@dataclass(frozen=True, slots=True)
class DocumentSettings:
    """What `@document` says about one class."""

    collection: str | None = None
    alias: str | None = None
    id_attribute: str | None = None


def document(
    *, collection: str | None = None, alias: str | None = None, id_attribute: str | None = None
) -> Callable[[type[T]], type[T]]:
    """Say how instances of a class are stored; a decorator, above or below `@dataclass` and its like.

    Args:
        collection: The collection's name, instead of the English plural of the class's name. It
            holds for this class only; a subclass has a collection of its own.
        alias: The name by which stored data tells this class from others, in an untyped place or a
            union; by default it is the class's name.
        id_attribute: The attribute that holds the document's id, instead of `Id` or `id`. It holds
            for subclasses too.

    Raises:
        InvalidArgumentException: A name is not allowed.
    """
    if collection is not None:
        table_of_collection(collection)
    given: tuple[tuple[str, object], ...] = (("alias", alias), ("id_attribute", id_attribute))
    for name, value in given:
        if value is not None and (not isinstance(value, str) or not value.strip() or not value.isprintable()):
            raise InvalidArgumentException(f"{name} must be a name, not {value!r:.80}")
    if id_attribute is not None and (not id_attribute.isidentifier() or id_attribute.startswith("__")):
        raise InvalidArgumentException(f"id_attribute must be the name of an attribute, not {id_attribute!r:.80}")
    settings = DocumentSettings(collection, alias, id_attribute)

    def decorate(cls: type[T]) -> type[T]:
        if not isinstance(cls, type):
            raise InvalidArgumentTypeException(f"@document(…) stands above a class, not {cls!r}")
        setattr(cls, _SETTINGS, settings)
        DECLARED.declare(cls, alias)
        return cls

    return decorate


def settings_of(cls: type) -> DocumentSettings:
    """Return what `@document` says about *cls* itself, and of its bases the attribute of the id."""
    own: DocumentSettings = vars(cls).get(_SETTINGS, DocumentSettings())
    inherited = (vars(base)[_SETTINGS].id_attribute for base in cls.__mro__ if _SETTINGS in vars(base))
    return DocumentSettings(own.collection, own.alias, next(filter(None, inherited), None))


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
    """

    entity_class: type[T]
    collection: str
    table: str
    id_prefix: str
    id_attribute: str | None
    codec: DocumentCodec[T]


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

    def _map_class(self, cls: type[T]) -> DocumentMapping[T]:
        if not isinstance(cls, type):
            raise _no_class(cls)
        check_entity_class(cls)
        if cls is dict:
            raise InvalidArgumentTypeException("a plain dict has no collection by itself; name one")
        settings = settings_of(cls)
        named_by_convention = self._conventions.find_collection_name
        collection = (
            settings.collection
            or (named_by_convention(cls) if named_by_convention else None)
            or pluralize(cls.__name__)
        )
        attribute = settings.id_attribute
        find_attribute = self._conventions.find_identity_property_name
        if attribute is None and find_attribute is not None:
            attribute = find_attribute(cls)
            if attribute is not None and not declares(cls, attribute) and not takes_attributes(cls):
                attribute = None  # one rule for all classes need not fit each
        return self._map(cls, check_collection(collection), id_attribute_of(cls, attribute))

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
        if self._registry is None:
            self._registry = AliasRegistry(self._conventions.aliases)
        return self._make_codec(cls, id_attribute, self._registry)


def _no_class(given: object) -> InvalidArgumentTypeException:
    return InvalidArgumentTypeException(
        f"object_type is a class, such as Company, not {given!r:.80} (of type {type(given).__qualname__})"
    )


def names_collection(entity: dict[str, Any]) -> bool:
    """Return True where a dict says in its `@metadata` which collection it belongs to."""
    metadata = entity.get(METADATA)
    return isinstance(metadata, dict) and metadata.get(COLLECTION) is not None

"""What the user says of a class: `@document`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar, overload

from typing_extensions import is_typeddict

from docsession._declarations import IndexDeclaration
from docsession._documents._aliases import DECLARED
from docsession._documents._naming import table_of_collection
from docsession._documents._polymorphism import check_base
from docsession._documents._versions import check_version
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

T = TypeVar("T")

SETTINGS: Final = "__docsession__"
"""The attribute of a class that holds what is said of it."""


@dataclass(frozen=True, slots=True)
class DocumentSettings:
    """What `@document` says about one class."""

    collection: str | None = None
    alias: str | None = None
    id_attribute: str | None = None
    base: type | None = None
    version: int | None = None
    indexes: tuple[IndexDeclaration, ...] = ()


@overload
def document(cls: type[T], /) -> type[T]: ...
@overload
def document(
    *,
    collection: str | None = None,
    alias: str | None = None,
    id_attribute: str | None = None,
    base: type | None = None,
    version: int | None = None,
    indexes: Iterable[IndexDeclaration] = (),
) -> Callable[[type[T]], type[T]]: ...
def document(
    cls: type[T] | None = None,
    /,
    *,
    collection: str | None = None,
    alias: str | None = None,
    id_attribute: str | None = None,
    base: type | None = None,
    version: int | None = None,
    indexes: Iterable[IndexDeclaration] = (),
) -> type[T] | Callable[[type[T]], type[T]]:
    """Say how instances of a class are stored; a decorator, above or below `@dataclass` and its like.

    Args:
        cls: The class, where there is nothing more to say than that its instances are documents: `@document`.
        collection: The collection's name, instead of the English plural of the class's name. It
            holds for this class only; a subclass has a collection of its own.
        alias: The name by which stored data tells this class from others, in an untyped place, a
            union or the collection of a base; by default it is the class's name.
        id_attribute: The attribute that holds the document's id, instead of `Id` or `id`. It holds
            for subclasses too.
        base: A class above this one in whose collection instances are stored. What is loaded as the
            base comes back as this class, by its alias in the metadata. The collection's name given
            again says the same.
        version: The version of the class, from 1 on, which is written with its documents. Older ones are
            brought up to date by upcasters when they are read. It holds for subclasses too, unless
            they have one of their own.
        indexes: The indexes of its documents, `[Index(lambda o: o.company)]`. They hold for subclasses too,
            beside those of their own. `class Settings: indexes = […]` inside the class says the same.

    Raises:
        InvalidArgumentException: A name is not allowed, or the class no subclass of *base*.
    """
    if collection is not None:
        table_of_collection(collection)
    given: tuple[tuple[str, object], ...] = (("alias", alias), ("id_attribute", id_attribute))
    for name, value in given:
        if value is not None and (not isinstance(value, str) or not value.strip() or not value.isprintable()):
            raise InvalidArgumentException(f"{name} must be a name, not {value!r:.80}")
    if id_attribute is not None and (not id_attribute.isidentifier() or id_attribute.startswith("__")):
        raise InvalidArgumentException(f"id_attribute must be the name of an attribute, not {id_attribute!r:.80}")
    if version is not None:
        check_version("version", version)
    if base is not None and collection is not None:
        raise InvalidArgumentException(
            f"@document({collection=!s:.80}, base=…) says twice where documents are stored; say it once"
        )
    declared = check_indexes("@document(indexes=…)", indexes)
    settings = DocumentSettings(collection, alias, id_attribute, base, version, declared)

    def decorate(cls: type[T]) -> type[T]:
        given: object = cls
        if not isinstance(given, type):
            named = f"; say what it is, as in @document(collection={given!r:.80})" if isinstance(given, str) else ""
            raise InvalidArgumentTypeException(f"@document stands above a class, not {given!r:.80}{named}")
        if base is not None:
            check_base(cls, base)
        if version is not None and is_typeddict(cls):
            raise InvalidArgumentException(
                f"{cls.__qualname__} is a TypedDict, and cannot say of which version an instance is, which is a plain "
                "dict: say it in the dict, {'@metadata': {'@schema-version': …}}, or use a class of another kind"
            )
        setattr(cls, SETTINGS, settings)
        DECLARED.declare(cls, alias)
        return cls

    return decorate if cls is None else decorate(cls)


def settings_of(cls: type) -> DocumentSettings:
    """Return what `@document` says about *cls* itself, and of its bases the attribute of the id."""
    own: DocumentSettings = vars(cls).get(SETTINGS, DocumentSettings())
    inherited = (vars(base)[SETTINGS].id_attribute for base in cls.__mro__ if SETTINGS in vars(base))
    return replace(own, id_attribute=next(filter(None, inherited), None))


def declared_version(cls: type) -> int | None:
    """Return the version that `@document` gives to *cls* itself."""
    own: DocumentSettings | None = vars(cls).get(SETTINGS)
    return None if own is None else own.version


def check_indexes(what: str, given: object) -> tuple[IndexDeclaration, ...]:
    """Return a list of declarations.

    Raises:
        InvalidArgumentTypeException: It holds something else.
    """
    if isinstance(given, Iterable) and not isinstance(given, str):
        declared = tuple(given)
        if all(isinstance(each, IndexDeclaration) for each in declared):
            return declared
        given = next(each for each in declared if not isinstance(each, IndexDeclaration))
    raise InvalidArgumentTypeException(
        f"{what} is a list of declarations, [Index(lambda o: o.name)], not {given!r:.60}"
    )


def declared_indexes(cls: type) -> Sequence[IndexDeclaration]:
    """Return the indexes that `@document` and a nested `class Settings` declare, for *cls* and the classes above it."""
    found: list[IndexDeclaration] = []
    for each in reversed(cls.__mro__):
        own = vars(each)
        if SETTINGS in own:
            found += own[SETTINGS].indexes
        nested = own.get("Settings")
        if isinstance(nested, type):
            found += check_indexes(f"{each.__qualname__}.Settings.indexes", getattr(nested, "indexes", ()))
    return list(dict.fromkeys(found))

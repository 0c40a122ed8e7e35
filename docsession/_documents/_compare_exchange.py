"""Compare-exchange values: what users hold, and how a value of any type becomes JSON.

A value that stands alone is written and read as the only field of an object, `{"Object": value}`, so that
everything that holds for the fields of documents holds for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from typing_extensions import is_typeddict, override

from docsession._documents._identity import may_be_entity
from docsession._documents._ids import MAX_ID_BYTES, check_id
from docsession._documents._metadata import MetadataAsDictionary
from docsession._errors import ConversionException, InvalidArgumentException, InvalidArgumentTypeException

T = TypeVar("T")

FIELD: Final = "Object"


class CompareExchangeValue(Generic[T]):
    """A value that is only written where nobody else has written it meanwhile (RavenDB: CompareExchangeValue).

    One that a session has given out is tracked: the next `save_changes()` writes what was changed of it, in place or
    by setting `value`.

    Attributes:
        key: Its key, unique in a database.
        index: Which writing of it this is; 0 for one that was never saved.
        value: An object, dict, list or plain value.
    """

    __slots__ = ("__weakref__", "_metadata", "index", "key", "value")

    def __init__(self, key: str, index: int, value: T, metadata: Mapping[str, Any] | None = None) -> None:
        self.key = key
        self.index = index
        self.value = value
        self._metadata = MetadataAsDictionary(metadata)

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self.key!r}, index {self.index}: {self.value!r:.200}>"

    @property
    def metadata(self) -> MetadataAsDictionary:
        """Free keys that are stored with the value; changes of them are saved like changes of the value."""
        return self._metadata

    @property
    def has_metadata(self) -> bool:
        """True where there is any."""
        return bool(self._metadata)


def holder_of(annotation: object) -> type[Any]:
    """Return a class with one field, `Object`, of the type *annotation*.

    Raises:
        InvalidArgumentTypeException: *annotation* is no type.
    """
    if annotation is None or isinstance(annotation, str | int | float | bytes | dict | list):
        raise InvalidArgumentTypeException(
            f"object_type is a class, or a type such as list[str], not {annotation!r:.80}"
        )
    name = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
    return dataclasses.make_dataclass(name, [(FIELD, annotation)], slots=True)  # the name is for errors


def annotation_for(declared: object, value: object) -> object:
    """Return as what type *value* is written.

    Args:
        declared: What it was asked for as; None where nobody said.
        value: The value.
    """
    kind = type(value)
    # An instance of a subclass is written as what it is, with all of its fields.
    if declared is not None and (not isinstance(declared, type) or kind is declared):
        return declared
    if is_typeddict(declared) and kind is dict:
        return declared
    return Any if kind is dict or not may_be_entity(kind) else kind


@contextmanager
def named(keys: Sequence[str]) -> Iterator[None]:
    """Let the errors of codecs, which know of documents only, speak of the compare-exchange values *keys*."""
    try:
        yield
    except ConversionException as error:
        key = error.id if error.id in keys or len(keys) != 1 else keys[0]
        error.id = key
        error.args = (str(error).replace(f"document {key!r}", f"the compare-exchange value {key!r}", 1),)
        raise


def check_key(key: object) -> str:
    """Return *key* if a compare-exchange value may have it.

    Raises:
        InvalidArgumentTypeException: It is not a str.
        InvalidArgumentException: It is blank, too long, or holds a character that nobody can see.
    """
    if not isinstance(key, str):
        raise InvalidArgumentTypeException(
            f"the key of a compare-exchange value is a str, not {type(key).__qualname__} ({key!r:.80})"
        )
    try:
        return check_id(key)
    except InvalidArgumentException as error:
        raise InvalidArgumentException(
            f"{key!r:.80} cannot be the key of a compare-exchange value: it must be printable, not blank, and "
            f"{MAX_ID_BYTES} bytes at most"
        ) from error


def check_index(index: object, *, least: int) -> int:
    """Return *index* if it may be that of a compare-exchange value.

    Raises:
        InvalidArgumentException: It is no int, or less than *least*.
    """
    if not isinstance(index, int) or isinstance(index, bool) or not least <= index < 2**63 - 2048:
        raise InvalidArgumentException(
            f"the index of a compare-exchange value is an int of {least} or more, as its attribute `index` says, "
            f"not {index!r:.40}"
        )
    return index

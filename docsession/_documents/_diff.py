"""What changed between two states of a document, member by member."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, ClassVar, TypeAlias

from docsession._documents._exact import decode_exact, plain, same


class ChangeType(enum.StrEnum):
    """The kinds of change; each is also the str that it is named by (RavenDB: DocumentsChanges.ChangeType)."""

    DOCUMENT_DELETED = "document_deleted"
    DOCUMENT_ADDED = "document_added"
    FIELD_CHANGED = "field_changed"
    NEW_FIELD = "new_field"
    REMOVED_FIELD = "removed_field"
    ARRAY_VALUE_CHANGED = "array_value_changed"
    ARRAY_VALUE_ADDED = "array_value_added"
    ARRAY_VALUE_REMOVED = "array_value_removed"


_ChangeType: TypeAlias = ChangeType
_ARRAY_CHANGES = frozenset(
    {ChangeType.ARRAY_VALUE_CHANGED, ChangeType.ARRAY_VALUE_ADDED, ChangeType.ARRAY_VALUE_REMOVED}
)


@dataclass(frozen=True, slots=True)
class DocumentsChanges:
    """One change of one document (RavenDB: DocumentsChanges).

    A path names members with dots and list items by position, as in `lines[2].price`; a member whose
    name holds one of `. [ ] "` or is empty is written `["a.b"]`.

    Attributes:
        field_old_value: The JSON value before; None where there was none.
        field_new_value: The JSON value now; None where there is none.
        change: The kind of change.
        field_name: The name of the member that changed, or of the member whose list changed; "" where
            the whole document was added or deleted.
        field_path: For a member the path of the object that holds it, "" being the document; for a
            list item the path of the item, such as `lines[2]`.
    """

    ChangeType: ClassVar[type[_ChangeType]] = ChangeType

    field_old_value: Any
    field_new_value: Any
    change: _ChangeType
    field_name: str = ""
    field_path: str = ""

    @property
    def field_full_name(self) -> str:
        """The path of what changed, `lines[2].price` for a member, `lines[2]` for a list item."""
        if self.change in _ARRAY_CHANGES:
            return self.field_path
        if self.change in {ChangeType.DOCUMENT_ADDED, ChangeType.DOCUMENT_DELETED}:
            return ""
        return _member(self.field_path, self.field_name)

    def to_json(self) -> dict[str, Any]:
        """Return the change as a dict of JSON values."""
        return {
            "old_value": self.field_old_value,
            "new_value": self.field_new_value,
            "change": self.change.value,
            "field_name": self.field_name,
            "field_path": self.field_path,
        }


def what_changed(before: bytes | None, now: bytes | None) -> list[DocumentsChanges]:
    """Return how a document differs from its earlier state; empty where it does not.

    Args:
        before: Its canonical JSON then; None where the document is new.
        now: Its canonical JSON now; None where it is deleted.
    """
    if before == now:
        return []
    if before is None:
        return [DocumentsChanges(None, None, ChangeType.DOCUMENT_ADDED)]
    if now is None:
        return [DocumentsChanges(None, None, ChangeType.DOCUMENT_DELETED)]
    return list(_objects("", decode_exact(before), decode_exact(now)))


def _objects(path: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[DocumentsChanges]:
    for name, old in before.items():
        if name not in now:
            yield DocumentsChanges(plain(old), None, ChangeType.REMOVED_FIELD, name, path)
            continue
        new = now[name]
        if type(old) is dict and type(new) is dict:
            yield from _objects(_member(path, name), old, new)
        elif type(old) is list and type(new) is list:
            yield from _lists(name, _member(path, name), old, new)
        elif not same(old, new):
            yield DocumentsChanges(plain(old), plain(new), ChangeType.FIELD_CHANGED, name, path)
    for name, new in now.items():
        if name not in before:
            yield DocumentsChanges(None, plain(new), ChangeType.NEW_FIELD, name, path)


_NOTHING: Any = object()


def _lists(name: str, path: str, before: list[Any], now: list[Any]) -> Iterator[DocumentsChanges]:
    for position, (old, new) in enumerate(zip_longest(before, now, fillvalue=_NOTHING)):
        where = f"{path}[{position}]"
        if new is _NOTHING:
            yield DocumentsChanges(plain(old), None, ChangeType.ARRAY_VALUE_REMOVED, name, where)
        elif old is _NOTHING:
            yield DocumentsChanges(None, plain(new), ChangeType.ARRAY_VALUE_ADDED, name, where)
        elif type(old) is dict and type(new) is dict:
            yield from _objects(where, old, new)
        elif type(old) is list and type(new) is list:
            yield from _lists(name, where, old, new)
        elif not same(old, new):
            yield DocumentsChanges(plain(old), plain(new), ChangeType.ARRAY_VALUE_CHANGED, name, where)


def _member(path: str, name: str) -> str:
    if not name or any(character in name for character in '.[]"'):
        return f"{path}[{json.dumps(name, ensure_ascii=False)}]"
    return f"{path}.{name}" if path else name

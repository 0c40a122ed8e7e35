"""What to write of a changed document, so that nothing is lost that its class does not know.

Three trees: *raw*, the document as it is stored; *base*, what the entity was when it was loaded; *now*,
what the entity is. Where base and now agree, raw stays, to the digit. Objects merge by key. A list item
keeps what is unknown of the stored item that it was loaded from:

1. the same Python object, wherever in the document it moved;
2. for immutable items, rebuilt lists and values: the equal item, that of the same position first;
3. for these too, if the lengths agree: the item of the same position;
4. anything else is new.
"""

from __future__ import annotations

import operator
from decimal import Decimal
from typing import Any, TypeAlias

from docsession._documents._exact import canonical_exact, decode_exact, encode_exact, same
from docsession._documents._pairing import UNKNOWN, align, is_immutable, pair

Path: TypeAlias = tuple[str | int, ...]
"""A place in a document: JSON keys and list positions."""
Anchors: TypeAlias = tuple[tuple[Path, object], ...]
"""What recognises objects again: for a list of objects its path and a tuple of its items, for an object
whose class its place leaves open its path and the object itself."""


def merge(raw: bytes, base: bytes, now: bytes, before: Anchors = (), after: Anchors = ()) -> bytes:
    """Return the JSON to write.

    Args:
        raw: The document as it is stored: JSON text, members in any order.
        base: The canonical JSON of the entity when it agreed with *raw*.
        now: The canonical JSON of the entity as it is.
        before: The objects of *base*.
        after: The objects of *now*.
    """
    if raw == base:
        return now
    stored, known = decode_exact(raw), decode_exact(base)
    if stored == known and canonical_exact(stored) == canonical_exact(known):
        return now
    merger = _Merger(stored, known, before, after)
    return encode_exact(merger.members(stored, known, decode_exact(now), (), ()))


class _Item:
    """One item of a list as it was loaded: its stored and its known form, and where it was."""

    __slots__ = ("known", "path", "stored")

    def __init__(self, stored: Any, known: Any, path: Path) -> None:
        self.stored = stored
        self.known = known
        self.path = path


class _Merger:
    """One merge; in its methods *was* is a path in base and *here* the path in now."""

    __slots__ = ("_classes_after", "_classes_before", "_found", "_lists_after", "_lists_before", "_still", "_taken")

    def __init__(self, stored: Any, known: Any, before: Anchors, after: Anchors) -> None:
        self._lists_before, self._classes_before = _split(before)
        self._lists_after, self._classes_after = _split(after)
        self._found: dict[Path, list[_Item | None]] = {}
        self._taken: set[int] = set()
        self._still = _same_objects(self._lists_before, self._lists_after)
        if not self._still:
            self._recognise(self._items_by_object(stored, known))

    def members(self, stored: Any, known: Any, now: Any, was: Path, here: Path) -> dict[str, Any]:
        """Merge two objects by key."""
        merged = {}
        missing = len(now)
        for key, old in stored.items():
            if key not in now:
                if key not in known:
                    merged[key] = old
                continue
            missing -= 1
            new = now[key]
            if key not in known:
                merged[key] = self._new(new, (*here, key))
                continue
            base = known[key]
            kind = type(new)
            if kind is dict or kind is list:
                place = (*here, key)
                merged[key] = self._container(old, base, new, place if was is here else (*was, key), place)
            elif kind is type(base) and new == base and (kind is not Decimal or same(base, new)):
                merged[key] = old
            else:
                merged[key] = new
        if missing:
            for key, new in now.items():
                if key not in stored:
                    merged[key] = self._new(new, (*here, key))
        return merged

    def _value(self, stored: Any, known: Any, now: Any, was: Path, here: Path) -> Any:
        if type(now) is dict or type(now) is list:
            return self._container(stored, known, now, was, here)
        return stored if same(known, now) else now

    def _container(self, stored: Any, known: Any, now: Any, was: Path, here: Path) -> Any:
        if stored == known and canonical_exact(stored) == canonical_exact(known):
            return self._new(now, here)  # nothing is unknown
        if type(now) is type(known) is type(stored):
            if type(now) is list:
                return self._items(stored, known, now, was, here)
            if self._class_stays(was, here):
                return self.members(stored, known, now, was, here)
        elif same(known, now):
            return stored
        return self._new(now, here)

    def _class_stays(self, was: Path, here: Path) -> bool:
        if not self._classes_before:
            return True
        before, after = self._classes_before.get(was), self._classes_after.get(here)
        return before is after or before is None or after is None

    def _new(self, now: Any, here: Path) -> Any:
        """Return what has no stored form, in which lists may yet hold objects that have one."""
        if not self._found:
            return now
        if type(now) is dict:
            return {key: self._new(member, (*here, key)) for key, member in now.items()}
        if type(now) is list:
            found = self._found_in(here, len(now))
            return [self._item(item, new, (*here, i)) for i, (item, new) in enumerate(zip(found, now, strict=True))]
        return now

    def _item(self, item: _Item | None, now: Any, here: Path) -> Any:
        if item is None or item.stored is UNKNOWN:
            return self._new(now, here)
        return self._value(item.stored, item.known, now, item.path, here)

    def _items(self, stored: list[Any], known: list[Any], now: list[Any], was: Path, here: Path) -> list[Any]:
        before, after = self._lists_before.get(was, ()), self._lists_after.get(here, ())
        if self._still and was in self._lists_before and len(known) == len(stored) == len(now):
            merged = []
            for position, new in enumerate(now):
                place = (*here, position)
                merged.append(self._value(stored[position], known[position], new, place, place))
            return merged
        if not len(before) == len(known) == len(stored) or len(after) != len(now):
            # A list of values, or one of which no object can be recognised.
            before = after = ()
            if same(known, now) and not any(type(item) is dict or type(item) is list for item in now):
                return stored
            stored = align(stored, known)
        found = self._found_in(here, len(now))
        rebuilt = not any(item is not None and item.path[:-1] == was for item in found)
        wanting = [
            position
            for position, item in enumerate(found)
            if item is None and (rebuilt or not after or is_immutable(after[position]))
        ]
        if wanting:
            found = found.copy()
            free = {position for position, item in enumerate(known) if id(item) not in self._taken}
            for position, source in pair(known, now, before=before, after=after, wanting=wanting, free=free):
                found[position] = _Item(stored[source], known[source], (*was, source))
        return [self._item(item, new, (*here, i)) for i, (item, new) in enumerate(zip(found, now, strict=True))]

    def _found_in(self, here: Path, count: int) -> list[_Item | None]:
        found = self._found.get(here)
        return found if found is not None and len(found) == count else [None] * count

    def _items_by_object(self, stored: Any, known: Any) -> dict[int, list[_Item]]:
        owners: dict[int, list[_Item]] = {}
        for path, objects in self._lists_before.items():
            old, base = _at(stored, path), _at(known, path)
            if type(old) is list and type(base) is list and len(old) == len(base) == len(objects):
                for position, each in enumerate(objects):
                    if type(base[position]) is dict:
                        item = _Item(old[position], base[position], (*path, position))
                        owners.setdefault(id(each), []).append(item)
        return owners

    def _recognise(self, owners: dict[int, list[_Item]]) -> None:
        used: set[Path] = set()
        for path, objects in self._lists_after.items():
            found: list[_Item | None] = [None] * len(objects)
            for position, each in enumerate(objects):
                items = owners.get(id(each))
                if items is not None:
                    # An object that stood in several places: that place, else the first one not used yet.
                    item = next((item for item in items if item.path == (*path, position)), None)
                    item = item or next((item for item in items if item.path not in used), items[0])
                    used.add(item.path)
                    self._taken.add(id(item.known))
                    found[position] = item
            if any(found):
                self._found[path] = found


def _split(anchors: Anchors) -> tuple[dict[Path, tuple[Any, ...]], dict[Path, type]]:
    lists: dict[Path, tuple[Any, ...]] = {}
    classes: dict[Path, type] = {}
    for path, anchor in anchors:
        if type(anchor) is tuple:
            lists[path] = anchor
        else:
            classes[path] = type(anchor)
    return lists, classes


def _same_objects(before: dict[Path, tuple[Any, ...]], after: dict[Path, tuple[Any, ...]]) -> bool:
    """Return True where every list holds the objects that it held, in the same order."""
    if before.keys() != after.keys():
        return False
    for path, objects in before.items():
        others = after[path]
        if len(objects) != len(others) or not all(map(operator.is_, objects, others)):
            return False
        # A list within a list whose items cannot be recognised may have moved with it.
        if any(type(step) is int and path[:depth] not in before for depth, step in enumerate(path)):
            return False
    return True


def _at(tree: Any, path: Path) -> Any:
    for step in path:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return None
    return tree

"""Names that stored data uses for Python classes.

Stored data never says what to import: it holds an alias, and only classes that the application
has registered under one are ever built from it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

BUILTIN_NAMES: Final = frozenset({
    "None", "bool", "int", "float", "str", "list", "dict", "tuple", "set", "frozenset", "bytes", "bytearray",
    "Decimal", "datetime", "date", "time", "timedelta", "UUID",
})  # fmt: skip
"""What `@types` calls values of Python's own types; no class takes one of these as its alias."""


class AliasRegistry:
    """The classes that stored data may name, each under one alias.

    Classes that are declared with `@document(…)` are known to every registry through `DECLARED`.

    Args:
        classes: The first classes, by alias.
    """

    __slots__ = ("_aliases", "_ambiguous", "_by_name", "_classes", "_lock")

    def __init__(self, classes: Mapping[str, type] | None = None) -> None:
        self._classes: dict[str, type] = {}
        self._aliases: dict[type, str] = {}
        self._by_name: set[type] = set()
        self._ambiguous: set[str] = set()
        self._lock = Lock()
        for alias, cls in (classes or {}).items():
            self.register(cls, alias)

    def register(self, cls: type, alias: str | None = None) -> None:
        """Let stored data name *cls* as *alias* (default: the name of the class).

        A class that was defined again (a reloaded module, a notebook's cell, `dataclass(slots=True)`)
        takes the place of its former self.

        Raises:
            InvalidArgumentException: The alias is empty, names a built-in type, or is taken.
            InvalidArgumentTypeException: *cls* is no class, or the alias no str.
        """
        # Callers without a type checker may hand over anything.
        given: Any = alias
        if not isinstance(cls, type):
            raise InvalidArgumentTypeException(f"only a class can be registered, not {cls!r}")
        name = cls.__name__ if given is None else given
        if not isinstance(name, str):
            raise InvalidArgumentTypeException(f"the alias of {cls.__qualname__} is a str, not {alias!r}")
        if not name.strip() or name in BUILTIN_NAMES or not name.isprintable():
            raise InvalidArgumentException(f"{name!r} cannot be the alias of {cls.__qualname__}: choose another name")
        with self._lock:
            taken = self._classes.get(name)
            if taken is not None and taken in self._by_name and not _is_same(taken, cls):
                # It has the name only because nobody claimed it.
                del self._aliases[taken]
                taken = None
            if taken is not None and not _is_same(taken, cls):
                raise InvalidArgumentException(
                    f"the alias {name!r} of {_where(cls)} belongs to {_where(taken)}: give one of them another alias"
                )
            former = self._aliases.get(cls)
            if former is not None and former != name and cls in self._by_name:
                del self._classes[former]
            elif former not in {None, name}:
                raise InvalidArgumentException(
                    f"{_where(cls)} is registered as {former!r} already and cannot be {name!r} too"
                )
            self._by_name.discard(cls)
            self._classes[name] = cls
            self._aliases[cls] = name

    def declare(self, cls: type, alias: str | None) -> None:
        """Register a class that its module declares; without *alias* under its name, if no other class has it.

        Two classes of one name get no alias by it: which of them is meant, only `alias=` can say.

        Raises:
            InvalidArgumentException: *alias* is given and not allowed, or taken.
        """
        if alias is not None:
            self.register(cls, alias)
            return
        name = cls.__name__
        with self._lock:
            taken = self._classes.get(name)
            if name in self._ambiguous or (taken is not None and not _is_same(taken, cls)):
                self._ambiguous.add(name)
                if taken is not None and self._aliases.get(taken) == name and taken in self._by_name:
                    del self._classes[name], self._aliases[taken]
                return
            self._classes[name] = cls
            self._aliases[cls] = name
            self._by_name.add(cls)

    def alias_of(self, cls: type) -> str | None:
        """Return the alias of *cls*, None where it has none."""
        found = self._aliases.get(cls)
        if found is None and self is not DECLARED:
            found = DECLARED.alias_of(cls)
        if found is None and "__docsession__" in vars(cls):
            # `dataclass(slots=True)` above `@document` has made another class of the one that was registered.
            former = next((alias for known, alias in list(self._aliases.items()) if _is_same(known, cls)), None)
            if former is not None:
                self.register(cls, former)
            return former
        return found

    def subclasses_of(self, cls: type) -> dict[str, type]:
        """Return *cls* and its subclasses by their aliases, as far as they have any."""
        with self._lock:
            own = list(self._classes.items())
        found = {} if self is DECLARED else DECLARED.subclasses_of(cls)
        return found | {alias: current for alias, known in own if cls in (current := _current(known)).__mro__}

    def class_of(self, alias: str) -> type | None:
        """Return the class registered as *alias*, None where there is none."""
        found = self._classes.get(alias)
        if found is None:
            return None if self is DECLARED else DECLARED.class_of(alias)
        return _current(found)


def _where(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_same(one: type, other: type) -> bool:
    return one is other or _where(one) == _where(other)


def _current(cls: type) -> type:
    """Return the class that now has the place of *cls* in its module; *cls* itself where there is none."""
    found: object = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) and _is_same(found, cls) else cls


DECLARED: Final = AliasRegistry()
"""The classes that were declared with `@document(…)`, known to every store of the process."""

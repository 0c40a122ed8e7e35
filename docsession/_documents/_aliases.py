"""Names that stored data uses for Python classes.

Stored data never says what to import: it holds an alias, and only classes that the application
has registered under one are ever built from it.
"""

from __future__ import annotations

from threading import Lock

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

BUILTIN_NAMES = frozenset({
    "None", "bool", "int", "float", "str", "list", "dict", "tuple", "set", "frozenset", "bytes",
    "Decimal", "datetime", "date", "time", "timedelta", "UUID",
})  # fmt: skip
"""What `@types` calls values of Python's own types; no class takes one of these as its alias."""


class AliasRegistry:
    """The classes that stored data may name, each under one alias.

    Args:
        parent: Asked for what this registry does not have.
    """

    __slots__ = ("_aliases", "_classes", "_lock", "_parent")

    def __init__(self, parent: AliasRegistry | None = None) -> None:
        self._parent = parent
        self._classes: dict[str, type] = {}
        self._aliases: dict[type, str] = {}
        self._lock = Lock()

    def register(self, cls: type, alias: str | None = None) -> None:
        """Let stored data name *cls* as *alias* (default: the name of the class).

        A class that was defined again (a reloaded module, a notebook's cell) takes the place of its
        former self.

        Raises:
            InvalidArgumentException: The alias is empty, names a built-in type, or is taken.
            InvalidArgumentTypeException: *cls* is no class, or the alias no str.
        """
        if not isinstance(cls, type):
            raise InvalidArgumentTypeException(f"Only a class can be registered, got {cls!r}")
        name = cls.__name__ if alias is None else alias
        if not isinstance(name, str):
            raise InvalidArgumentTypeException(f"The alias of {cls.__qualname__} must be a str, got {alias!r}")
        if not name or name in BUILTIN_NAMES or not name.isprintable():
            raise InvalidArgumentException(f"{name!r} cannot be the alias of {cls.__qualname__}: choose another name")
        with self._lock:
            taken = self._classes.get(name)
            if taken is not None and taken is not cls and _where(taken) != _where(cls):
                raise InvalidArgumentException(
                    f"The alias {name!r} of {_where(cls)} is taken by {_where(taken)}: give one of them another alias"
                )
            if taken is not None:
                self._aliases.pop(taken, None)
            former = self._aliases.get(cls)
            if former is not None and former != name:
                raise InvalidArgumentException(
                    f"{_where(cls)} is registered as {former!r} already and cannot be {name!r} too"
                )
            self._classes[name] = cls
            self._aliases[cls] = name

    def alias_of(self, cls: type) -> str | None:
        """Return the alias of *cls*, None where it has none."""
        found = self._aliases.get(cls)
        if found is None and self._parent is not None:
            return self._parent.alias_of(cls)
        return found

    def class_of(self, alias: str) -> type | None:
        """Return the class registered as *alias*, None where there is none."""
        found = self._classes.get(alias)
        if found is None and self._parent is not None:
            return self._parent.class_of(alias)
        return found


def _where(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"

"""The settings of a store as a framework's configuration has them."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from typing_extensions import override

from docsession._conventions import DocumentConventions
from docsession._errors import DocSessionError, InvalidArgumentException, InvalidArgumentTypeException
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._store import DocumentStore
from docsession._options import ReadPreference

_OPTIONS: Final = tuple(
    name for name, each in inspect.signature(DocumentStore).parameters.items() if each.kind is each.KEYWORD_ONLY
)
_OF_STORES: Final = frozenset({"URL", "DATABASE", *(name.upper() for name in _OPTIONS)})
_BESIDE: Final = frozenset({"MODELS", "MIGRATIONS", "PREPARE"})
DEFAULT: Final = "default"
Store = TypeVar("Store", DocumentStore, AsyncDocumentStore)
Prepare: TypeAlias = Callable[[Any], object]


@dataclass(frozen=True, slots=True, repr=False)
class StoreSettings:
    """What a configuration says about one store.

    Attributes:
        source: Where it says so, for errors.
        options: The arguments of the store; never shown.
        models: Modules whose classes are documents, or `package.module:Class`, for migrations.
        migrations: The folder of the project's own revisions; None where it names none.
        prepare: What is called with each store that is made, or the path of it.
        others: The settings that the framework reads itself, by name.
    """

    source: str
    options: Mapping[str, Any]
    models: tuple[str, ...] = ()
    migrations: Path | None = None
    prepare: Prepare | str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    @override
    def __repr__(self) -> str:
        """Name what is set, without a value: there are passwords and keys among them."""
        return f"<{type(self).__qualname__} of {self.source}: {', '.join(sorted(self.options)) or 'the defaults'}>"

    @classmethod
    def read(cls, mapping: object, source: str, *, also: Iterable[str] = ()) -> StoreSettings:
        """Return the settings of one store.

        `URL` is what the store connects to; where it is left out the environment variable `DOCSESSION_URL` is taken,
        else the embedded server. `DATABASE` is a schema, `CONVENTIONS` a mapping of the settings of
        `DocumentConventions`, or such conventions. `MODELS` and `MIGRATIONS` are what `docsession.toml` calls by these
        names. `PREPARE` is a function, or its path (`shop.telemetry:prepare`), that is called with each store before
        its first use, to add handlers of events to it, say. All else is called as the store's argument, in capitals:
        `MAX_SIZE`, `PREPARE_THRESHOLD`.

        Args:
            mapping: Name -> value, as the configuration has it.
            source: Where it stands, as in `DOCSESSION` or `DOCSESSION['other']`, for errors.
            also: Names of further settings, which the framework reads itself.

        Raises:
            InvalidArgumentTypeException: There is no such setting, or one has the wrong type.
            InvalidArgumentException: A value cannot be used.
        """
        if not isinstance(mapping, Mapping):
            raise InvalidArgumentTypeException(f"{source} is a dict of settings, not {type(mapping).__qualname__}")
        known = _OF_STORES | _BESIDE | frozenset(also)
        for name in mapping:
            if name not in known:
                raise InvalidArgumentTypeException(
                    f"{source}: there is no setting {name!r:.80}; there are {', '.join(sorted(known))}"
                )
        options = {name.lower(): value for name, value in mapping.items() if name in _OF_STORES}
        _convert(options, source)
        settings = cls(
            source,
            MappingProxyType(options),
            _modules(mapping.get("MODELS", ()), source),
            _folder(mapping.get("MIGRATIONS"), source),
            _function(mapping.get("PREPARE"), source),
            MappingProxyType({name: mapping[name] for name in also if name in mapping}),
        )
        settings._make(DocumentStore)  # refused now, if it is to be refused; nothing is started
        return settings

    @classmethod
    def read_all(cls, mapping: object, source: str, *, also: Iterable[str] = ()) -> dict[str, StoreSettings]:
        """Return the settings of several stores by name, `{"default": {…}, "other": {…}}`, or of one, the default.

        Args:
            mapping: One store's settings, or name -> settings.
            source: Where it stands, for errors.
            also: Names of further settings, which the framework reads itself, for each store.

        Raises:
            InvalidArgumentTypeException: There is no such setting, or one has the wrong type.
            InvalidArgumentException: A value cannot be used, or none of several stores is the default one.
        """
        names = tuple(also)
        known = _OF_STORES | _BESIDE | frozenset(names)
        several = (
            isinstance(mapping, Mapping)
            and bool(mapping)
            and all(isinstance(value, Mapping) and name not in known for name, value in mapping.items())
        )
        if not isinstance(mapping, Mapping) or not several:
            return {DEFAULT: cls.read(mapping, source, also=names)}
        if DEFAULT not in mapping:
            raise InvalidArgumentException(
                f"{source} names several stores, {', '.join(map(repr, mapping))}, and none of them is {DEFAULT!r}"
            )
        return {name: cls.read(value, f"{source}[{name!r}]", also=names) for name, value in mapping.items()}

    def store(self) -> DocumentStore:
        """Return a store with these settings; it is started by its first use."""
        return self._prepared(self._make(DocumentStore))

    def async_store(self) -> AsyncDocumentStore:
        """Return an async store with these settings; it is started by its first use."""
        return self._prepared(self._make(AsyncDocumentStore))

    def _make(self, kind: Callable[..., Store]) -> Store:
        options = dict(self.options)
        url = (options.pop("url"),) if "url" in options else ()
        try:
            return kind(*url, **options)
        except DocSessionError as error:
            raise _refused(self.source, error) from error

    def _prepared(self, store: Store) -> Store:
        prepare = self.prepare
        if isinstance(prepare, str):
            try:
                prepare = pkgutil.resolve_name(prepare)
            except (ImportError, AttributeError, ValueError) as error:
                raise _refused(f"{self.source}: PREPARE = {self.prepare!r:.80} cannot be imported", error) from error
            if not callable(prepare):
                raise InvalidArgumentTypeException(f"{self.source}: PREPARE = {self.prepare!r:.80} is no function")
        if prepare is not None:
            prepare(store)
        return store


def _refused(place: str, error: Exception) -> InvalidArgumentException:
    """Return the same error with the place of the setting."""
    of_type = isinstance(error, TypeError)
    return (InvalidArgumentTypeException if of_type else InvalidArgumentException)(f"{place}: {error}")


def _convert(options: dict[str, Any], source: str) -> None:
    """Turn what a configuration can write into what a store takes."""
    conventions = options.get("conventions")
    if isinstance(conventions, Mapping):
        try:
            options["conventions"] = DocumentConventions(**conventions)
        except (DocSessionError, TypeError) as error:
            raise _refused(f"{source}: CONVENTIONS", error) from error
    preference = options.get("read_preference")
    if isinstance(preference, str):
        try:
            options["read_preference"] = ReadPreference[preference]
        except KeyError as error:
            raise InvalidArgumentException(
                f"{source}: READ_PREFERENCE is {' or '.join(each.name for each in ReadPreference)}, "
                f"not {preference!r:.40}"
            ) from error


def _modules(value: object, source: str) -> tuple[str, ...]:
    modules = (value,) if isinstance(value, str) else value
    if not isinstance(modules, list | tuple) or not all(isinstance(each, str) and each for each in modules):
        raise InvalidArgumentTypeException(
            f"{source}: MODELS is a list of modules, as ['shop.models'], not {value!r:.80}"
        )
    return tuple(dict.fromkeys(modules))


def _function(value: object, source: str) -> Prepare | str | None:
    if value is None or isinstance(value, str) or callable(value):
        return value
    raise InvalidArgumentTypeException(
        f"{source}: PREPARE is a function that takes a store, or its path, not {value!r:.80}"
    )


def _folder(value: object, source: str) -> Path | None:
    if value is not None and not isinstance(value, str | Path):
        raise InvalidArgumentTypeException(f"{source}: MIGRATIONS is the path of a folder, not {value!r:.80}")
    return None if value is None else Path(value)

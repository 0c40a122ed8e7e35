"""What `DOCSESSION` in Django's settings says, and where Django's own connections lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.connection import ConnectionDoesNotExist, ConnectionProxy
from django.utils.module_loading import import_string, module_has_submodule
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from docsession._errors import DocSessionError, InvalidArgumentException, InvalidArgumentTypeException
from docsession.contrib._http import ProblemMap, StoreSettings

NAME: Final = "DOCSESSION"
DOCUMENTS: Final = "documents"
"""The module of an app in which its documents are looked for."""

_ALSO: Final = ("USING", "AUTOSAVE", "ADMIN_WRITES", "PROBLEMS")
_PLACE: Final = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
_KEYWORDS: Final = frozenset(option.keyword.decode() for option in Conninfo.get_defaults()) - {"client_encoding"}


@dataclass(frozen=True, slots=True)
class DjangoSettings:
    """What the settings say about one store.

    Attributes:
        name: Its name, "default" where there is but one.
        store: What the store is made of, without the place of Django's connection.
        using: The alias of the connection that blocking sessions join; None: the store's own are used.
        autosave: True: what a request has changed is saved after its view.
        admin_writes: True: the pages of the admin may change documents.
    """

    name: str
    store: StoreSettings
    using: str | None
    autosave: bool
    admin_writes: bool

    @property
    def source(self) -> str:
        """Where it stands, for messages."""
        return self.store.source

    def placed(self) -> StoreSettings:
        """Return the settings of the store with the place that its connections lead to.

        Without a `URL` it is that of Django's connection as it is now: tests have a database of their own.

        Raises:
            ImproperlyConfigured: There is no such connection, or it is not to PostgreSQL.
        """
        if not self.follows_django:
            return self.store
        options = {**self.store.options, "url": _conninfo_of(str(self.using), self.source)}
        return replace(self.store, options=options)

    @property
    def follows_django(self) -> bool:
        """True where the store is where Django's connection leads to."""
        return "url" not in self.store.options and self.using is not None

    def place(self) -> tuple[object, ...]:
        """Return what changes where Django's connection is led elsewhere; quicker than `placed`."""
        if not self.follows_django:
            return ()
        try:
            settings_dict = connections[str(self.using)].settings_dict
        except ConnectionDoesNotExist:
            return ()  # told by `placed`
        return tuple(settings_dict.get(name) for name in _PLACE)

    def connection(self) -> Any:
        """Return what stands for the connection that sessions join, in whatever thread; None where they join none."""
        return None if self.using is None else ConnectionProxy(connections, self.using)

    def models(self) -> tuple[str, ...]:
        """Return the modules of the documents: those that are named, else those called `documents` of the apps."""
        if self.store.models or self.name != DEFAULT_DB_ALIAS:
            return self.store.models
        return tuple(
            f"{config.name}.{DOCUMENTS}"
            for config in apps.get_app_configs()
            if module_has_submodule(cast("Any", config.module), DOCUMENTS)
        )

    def migrations(self) -> Path:
        """Return the folder of the project's own revisions; it need not be there."""
        base = Path(getattr(settings, "BASE_DIR", "."))
        return base / (self.store.migrations or "docsession_migrations")


def read_settings() -> dict[str, DjangoSettings]:
    """Return what the settings say about each store, by name; the default one is first.

    Raises:
        ImproperlyConfigured: They say something that cannot be.
    """
    given = getattr(settings, NAME, {})
    try:
        found = {name: _one(name, each) for name, each in StoreSettings.read_all(given, NAME, also=_ALSO).items()}
        read_problems(found)
    except DocSessionError as error:
        raise ImproperlyConfigured(str(error)) from error
    return found


def read_problems(found: Mapping[str, DjangoSettings]) -> ProblemMap:
    """Return how errors become answers: as `PROBLEMS` of the default store says.

    Raises:
        InvalidArgumentException: Another store says so, or it is no such mapping.
    """
    for name, each in found.items():
        if "PROBLEMS" in each.store.others and name != DEFAULT_DB_ALIAS:
            raise InvalidArgumentException(
                f"{each.source}: PROBLEMS holds for all stores, and stands in the settings of the default one"
            )
    default = found[DEFAULT_DB_ALIAS]
    given = default.store.others.get("PROBLEMS", {})
    if isinstance(given, str):
        try:
            given = import_string(given)
        except ImportError as error:
            raise InvalidArgumentException(f"{default.source}: PROBLEMS: {error}") from error
    if isinstance(given, ProblemMap):
        return given
    if not isinstance(given, Mapping):
        raise InvalidArgumentTypeException(
            f"{default.source}: PROBLEMS is a dict of error classes and statuses, a ProblemMap, or the path of either, "
            f"not {given!r:.80}"
        )
    try:
        return ProblemMap().with_(given)
    except DocSessionError as error:
        raise InvalidArgumentException(f"{default.source}: PROBLEMS: {error}") from error


def _one(name: str, store: StoreSettings) -> DjangoSettings:
    others = store.others
    using = others.get("USING", None if "url" in store.options else DEFAULT_DB_ALIAS)
    if using is not None and not isinstance(using, str):
        raise InvalidArgumentTypeException(
            f"{store.source}: USING is the alias of one of DATABASES, or None, not {using!r:.80}"
        )
    if using is None and "url" not in store.options:
        raise InvalidArgumentException(
            f"{store.source}: USING = None needs a URL: without either nothing says where the documents are"
        )
    return DjangoSettings(name, store, using, _flag(store, "AUTOSAVE"), _flag(store, "ADMIN_WRITES"))


def _flag(store: StoreSettings, name: str) -> bool:
    value = store.others.get(name, False)
    if not isinstance(value, bool):
        raise InvalidArgumentTypeException(f"{store.source}: {name} is True or False, not {value!r:.80}")
    return value


def _conninfo_of(alias: str, source: str) -> str:
    """Return how the store comes to the same database as Django's connection, by connections of its own."""
    try:
        connection = connections[alias]
    except ConnectionDoesNotExist as error:
        raise ImproperlyConfigured(f"{source}: USING: {error}") from error
    if connection.vendor != "postgresql":
        raise ImproperlyConfigured(
            f"{source}: documents are stored in PostgreSQL, and {alias!r} of DATABASES leads to {connection.vendor!r}: "
            "name another alias as USING, or the URL of a PostgreSQL"
        )
    parameters = {
        name: str(value)
        for name, value in connection.get_connection_params().items()
        if name in _KEYWORDS and value is not None
    }
    role = connection.settings_dict["OPTIONS"].get("assume_role")
    if role:
        # Django's own connection takes it after connecting; the tables that the store makes belong to it, too.
        escaped = str(role).replace("\\", "\\\\").replace(" ", "\\ ")
        parameters["options"] = f"{parameters.get('options', '')} -c role={escaped}".strip()
    return make_conninfo("", **parameters)

"""What one application has of it: settings, stores, and the scopes of its contexts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from flask import Flask, Response, request_started

from docsession._errors import InvalidArgumentException
from docsession._faces._store import DocumentStore
from docsession._migrate._project import DEFAULT_MIGRATIONS, Project
from docsession._options import SessionOptions
from docsession.contrib._http import StoreSettings, watch_requests
from docsession.contrib.flask._counts import Count
from docsession.contrib.flask._scopes import Opened, Scope, Scopes
from docsession.contrib.flask._sqlalchemy import Joint, SqlalchemySessions

SETTING: Final = "DOCSESSION"
DEFAULT: Final = "default"

_logger: Final = logging.getLogger("docsession.http")


class State:
    """The part of an extension that belongs to one application.

    Attributes:
        scopes: The sessions that are open.
    """

    def __init__(
        self,
        app: Flask,
        sqlalchemy: SqlalchemySessions | None,
        session_options: Callable[[str], SessionOptions | None] | None,
    ) -> None:
        given = app.config.setdefault(SETTING, {})
        self.settings: Mapping[str, StoreSettings] = StoreSettings.read_all(given, SETTING, also=("BIND",))
        self.scopes = Scopes()
        self._root = Path(app.root_path)
        self._joints = _joints(self.settings, sqlalchemy)
        self._session_options = session_options
        self._stores: dict[str, DocumentStore] = {}
        self._lock = threading.Lock()
        self._counts = False

    def store(self, name: str) -> DocumentStore:
        """Return the store of that name, which is started by its first use."""
        found = self._stores.get(name)
        if found is not None and not found.disposed:
            return found
        made = self.make_store(name)
        with self._lock:
            found = self._stores.get(name)
            if found is None or found.disposed:
                found = self._stores[name] = made
                if self._counts:
                    watch_requests(found)
            return found

    def make_store(self, name: str) -> DocumentStore:
        """Make a store with the settings of that name."""
        settings = self._settings_of(name)
        joint = self._joints.get(name)
        if joint is not None and "url" not in settings.options:
            settings = replace(settings, options=MappingProxyType({**settings.options, "url": joint.url()}))
        return settings.store()

    def project(self, name: str | None) -> Project:
        """Return what the commands need to know of a store."""
        chosen = DEFAULT if name is None else name
        settings = self._settings_of(chosen)
        return Project(
            models=settings.models,
            migrations=self._root / (settings.migrations or DEFAULT_MIGRATIONS),
            names_migrations=settings.migrations is not None,
            source=settings.source,
            make_store=lambda: self.make_store(chosen),
        )

    def open_session(self, name: str, database: str | None) -> Opened:
        """Open a session of a store, in the transaction of SQLAlchemy's if the store joins it."""
        store, joint = self.store(name), self._joints.get(name)
        options = None if self._session_options is None else self._session_options(name)
        if joint is None:
            return Opened(store.open_session(database, options), None)
        owner = joint.current()
        options = replace(options or SessionOptions(), request_executor=joint.executor(owner))
        return Opened(store.open_session(database, options), owner)

    def close(self) -> None:
        """Close the stores; the next use makes new ones."""
        with self._lock:
            stores, self._stores = self._stores, {}
        for store in stores.values():
            store.close()

    # what is sent for each request

    def count_requests(self, app: Flask) -> None:
        """Count what is sent for each request of the application, where the log or a developer wants to know."""
        request_started.connect(self._begin_to_count, app)
        app.after_request(self._show_count)

    def _begin_to_count(self, app: Flask, **_: object) -> None:
        if not (app.debug or _logger.isEnabledFor(logging.INFO)):
            return
        if not self._counts:
            with self._lock:
                self._counts = True
                for store in self._stores.values():
                    watch_requests(store)
        self._scope().count = Count()

    def _show_count(self, response: Response) -> Response:
        count = self._scope().count
        if count is not None:
            count.see(response)
        return response

    def _scope(self) -> Scope:
        return self.scopes.current()

    def _settings_of(self, name: str) -> StoreSettings:
        settings = self.settings.get(name)
        if settings is None:
            raise InvalidArgumentException(
                f"{SETTING} has no store {name!r:.60}; there are: {', '.join(map(repr, self.settings))}"
            )
        return settings


def _joints(settings: Mapping[str, StoreSettings], sqlalchemy: SqlalchemySessions | None) -> dict[str, Joint]:
    """Return what each store joins: the default one SQLAlchemy's default engine, any one that its BIND names."""
    joints: dict[str, Joint] = {}
    for name, each in settings.items():
        bind = each.others.get("BIND")
        if sqlalchemy is None:
            if bind is not None:
                raise InvalidArgumentException(f"{each.source}: BIND needs DocSession(sqlalchemy=db)")
        elif bind is not None or name == DEFAULT:
            joints[name] = Joint(sqlalchemy, bind, each.source)
    return joints

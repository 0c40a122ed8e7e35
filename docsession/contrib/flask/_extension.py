"""The extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast, overload

from flask import Flask, abort, current_app, has_app_context
from flask.cli import with_appcontext
from typing_extensions import override

from docsession._cli import commands_for
from docsession._errors import InvalidOperationException
from docsession._faces._includes import Includes
from docsession._faces._run import run
from docsession._faces._session import DocumentSession
from docsession._faces._store import DocumentStore
from docsession._options import SessionOptions
from docsession.contrib._http import ProblemMap, find_document
from docsession.contrib.flask._problems import register
from docsession.contrib.flask._sqlalchemy import SqlalchemySessions
from docsession.contrib.flask._state import DEFAULT, State
from docsession.contrib.flask._views import save_after_views

T = TypeVar("T")

_NAME: Final = "docsession"


class DocSession:
    """Gives each request of a Flask application a session, and ends it with the request.

    `DocSession(app)`, or `docs = DocSession()` and later `docs.init_app(app)` for each application that a factory
    makes. The settings are `app.config["DOCSESSION"]`: `URL`, `DATABASE`, `CONVENTIONS`, and further ones as the
    arguments of `DocumentStore` in capitals; `MODELS` and `MIGRATIONS` for `flask docsession`. Of several stores it is
    a dict of such dicts by name, one of them "default". They are read once, by `init_app`.

    Errors of docsession become answers of HTTP (`ProblemMap` says which), which the application's handlers of the
    status or of the error may give themselves.

    Args:
        app: The application; None: `init_app` follows.
        sqlalchemy: The `SQLAlchemy()` of Flask-SQLAlchemy (or of Flask-SQLAlchemy-Lite, or a `scoped_session`) whose
            transactions the sessions join: documents and rows are committed by `db.session.commit()`, together.
            The default store joins the default engine, a store with the setting `BIND` the engine of that name; others
            do not. A store without a URL takes that of its engine.
        autosave: True saves after each view that has returned normally, with a status below 400, before the response
            starts; a transaction of SQLAlchemy's that holds saved documents is committed. False: the views save.
        problems: Which errors become which answers; None leaves all of them to the application.
        session_options: Asked for the options of each session, with the name of its store; it may return None.

    Raises:
        InvalidArgumentException: A setting cannot be used.
        InvalidOperationException: The application has such an extension already.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        sqlalchemy: SqlalchemySessions | None = None,
        autosave: bool = False,
        problems: ProblemMap | None = ProblemMap(),  # noqa: B008  # it never changes
        session_options: Callable[[str], SessionOptions | None] | None = None,
    ) -> None:
        self._sqlalchemy = sqlalchemy
        self._autosave = autosave
        self._problems = problems
        self._session_options = session_options
        if app is not None:
            self.init_app(app)

    @override
    def __repr__(self) -> str:
        """Name the stores of the current application."""
        state = self._find_state(current_app) if has_app_context() else None
        if state is None:
            return f"<{type(self).__qualname__}>"
        return f"<{type(self).__qualname__} of {current_app.name!r}: {', '.join(state.settings)}>"

    def init_app(self, app: Flask) -> None:
        """Prepare an application; nothing is connected yet.

        Raises:
            InvalidArgumentException: A setting cannot be used.
            InvalidOperationException: The application has such an extension already.
        """
        if _NAME in app.extensions:
            raise InvalidOperationException(f"the application {app.name!r} has a DocSession already: use that one")
        state = State(app, self._sqlalchemy, self._session_options)
        app.extensions[_NAME] = _Registered(self, state)
        app.teardown_request(state.scopes.end_request)
        app.teardown_appcontext(state.scopes.end_context)
        state.count_requests(app)
        if self._autosave:
            save_after_views(app, state.scopes)
        if self._problems is not None:
            register(app, self._problems)
        commands = commands_for(state.project)
        commands.callback = with_appcontext(cast("Callable[..., Any]", commands.callback))
        app.cli.add_command(commands)

    @property
    def session(self) -> DocumentSession:
        """The session of the current request, on the default store; `get_session()` has those on others.

        Raises:
            InvalidOperationException: There is no request, nor another context of an application.
        """
        return self.get_session()

    def get_session(self, name: str = DEFAULT, *, database: str | None = None) -> DocumentSession:
        """Return the session of the current request, or of the application's context outside of one.

        It is opened by its first use, and closed at the end of the request or context. What was not saved is lost.

        Args:
            name: The store, by its name in the settings.
            database: The database (a schema) to work on; None is the store's. Each has a session of its own.

        Raises:
            InvalidArgumentException: There is no such store.
            InvalidOperationException: There is no request, nor another context of an application.
        """
        state = self._state()
        return state.scopes.current().get((name, database), lambda: state.open_session(name, database))

    @property
    def store(self) -> DocumentStore:
        """The current application's default store, for sessions of your own: `docs.store.open_session()`.

        Raises:
            InvalidOperationException: There is no application.
        """
        return self.get_store()

    def get_store(self, name: str = DEFAULT) -> DocumentStore:
        """Return a store of the current application, by its name in the settings; its first use starts it.

        Raises:
            InvalidArgumentException: There is no such store.
            InvalidOperationException: There is no application.
        """
        return self._state().store(name)

    @overload
    def load_or_404(
        self, key: str, object_type: type[T], includes: Includes = None, *, description: str | None = None
    ) -> T: ...
    @overload
    def load_or_404(
        self, key: str, object_type: None = None, includes: Includes = None, *, description: str | None = None
    ) -> Any: ...
    def load_or_404(
        self,
        key: str,
        object_type: type[Any] | None = None,
        includes: Includes = None,
        *,
        description: str | None = None,
    ) -> Any:
        """Return a document as `session.load` does; where there is none the request ends with 404.

        So it does where *key*, which comes from the client, is no id at all or that of another collection's document.

        Args:
            key: Its id.
            object_type: Its class; None gives a dict.
            includes: As for `session.load`.
            description: What the answer says; None is Flask's own text.

        Raises:
            NotFound: There is no such document.
        """
        found = run(find_document(self.session, key, object_type, includes))
        if found is None:
            abort(404, description)
        return found

    def close(self, app: Flask | None = None) -> None:
        """Close the application's stores; a test that makes applications does so at its end. Use makes new ones.

        Args:
            app: The application; None is the current one.
        """
        self._state(app).close()

    def _state(self, app: Flask | None = None) -> State:
        if app is None:
            if not has_app_context():
                raise InvalidOperationException(
                    "docs.session and docs.store are those of the current request or application, and there is none "
                    "here. In a script: with app.app_context(): …; for a thread or a stream hand on docs.store, and "
                    "open a session of its own: with store.open_session() as session: …"
                )
            app = current_app
        state = self._find_state(app)
        if state is None:
            raise InvalidOperationException(
                f"the application {app.name!r} does not have this DocSession: docs.init_app(app) gives it to it"
            )
        return state

    def _find_state(self, app: Flask) -> State | None:
        registered = app.extensions.get(_NAME)
        return registered.state if isinstance(registered, _Registered) and registered.extension is self else None


class _Registered:
    """What an application has under "docsession" in its extensions."""

    def __init__(self, extension: DocSession, state: State) -> None:
        self.extension = extension
        self.state = state

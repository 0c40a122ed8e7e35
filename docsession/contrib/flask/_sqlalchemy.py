"""The SQLAlchemy sessions of an application, whose transactions the sessions of documents join."""

from __future__ import annotations

import inspect
from typing import Any, Protocol, TypeAlias

import sqlalchemy
from sqlalchemy.orm import Session, scoped_session

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._faces._request_executor import RequestExecutor


class HasSession(Protocol):
    """What has the current session, as the extensions `SQLAlchemy` of Flask-SQLAlchemy and of its -Lite do."""

    @property
    def session(self) -> Any:
        """The session of the current context."""
        ...


SqlalchemySessions: TypeAlias = HasSession | scoped_session[Any]


class Joint:
    """The sessions of one engine among them, for one store of documents.

    Attributes:
        bind: The name of the engine; None is the default one.
    """

    def __init__(self, sessions: SqlalchemySessions, bind: str | None, source: str) -> None:
        given: object = sessions
        # Looked at without asking for it: there is no context yet.
        if not isinstance(given, scoped_session) and inspect.getattr_static(given, "session", None) is None:
            raise InvalidArgumentTypeException(
                "DocSession(sqlalchemy=…) takes the SQLAlchemy() of Flask-SQLAlchemy, or a scoped_session, not "
                f"{type(given).__module__}.{type(given).__qualname__}"
            )
        self._sessions = sessions
        self.bind = bind
        self._source = source

    def current(self) -> Session:
        """Return the session of the current context."""
        sessions = self._sessions
        found = sessions if isinstance(sessions, scoped_session) else sessions.session
        session: Session = found() if isinstance(found, scoped_session) else found
        return session

    def engine(self) -> sqlalchemy.Engine:
        """Return the engine that the documents are in."""
        if self.bind is None:
            return self.current().get_bind().engine
        engines = getattr(self._sessions, "engines", None)
        if engines is None or self.bind not in engines:
            known = ", ".join(repr(name) for name in engines or () if name is not None) or "none"
            raise InvalidArgumentException(
                f"{self._source}: BIND is the name of an engine of Flask-SQLAlchemy, and {self.bind!r:.60} is none; "
                f"there are: {known}"
            )
        engine: sqlalchemy.Engine = engines[self.bind]
        return engine

    def url(self) -> str:
        """Return the engine's URL, its password with it."""
        return self.engine().url.render_as_string(hide_password=False)

    def executor(self, session: Session) -> RequestExecutor:
        """Return what lets a session of documents work in the transaction of *session*."""
        return RequestExecutor.for_connection(session, bind=None if self.bind is None else self.engine())

"""The sessions that are open in the contexts of Flask: those of a request, and those of an application's context."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import flask.globals
from flask import current_app
from flask.globals import app_ctx
from sqlalchemy.orm import Session

from docsession._faces._run import run
from docsession._faces._session import DocumentSession
from docsession.contrib._http import save_session
from docsession.contrib.flask._counts import Count

_REQUEST: Final[Any] = vars(flask.globals).get("request_ctx")
"""The context of a request, where it is another than the application's: up to Flask 3.1."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session of a context, and the session of SQLAlchemy whose transaction it is in."""

    session: DocumentSession
    joins: Session | None

    @property
    def is_closed(self) -> bool:
        """True where the view has closed it."""
        return self.session._core.context.closed

    @property
    def is_pending(self) -> bool:
        """True where SQLAlchemy's transaction holds saved documents."""
        joined = self.session._core.context.joined
        return joined is not None and joined.is_pending


class Scope:
    """The sessions of one context, by what they were asked for with, in the order of their first use.

    Attributes:
        count: What counts their requests, if anything does.
    """

    def __init__(self) -> None:
        self.count: Count | None = None
        self._opened: list[Opened] = []
        self._by_key: dict[object, Opened] = {}

    def get(self, key: object, open_session: Callable[[], Opened]) -> DocumentSession:
        """Return the session under *key*, a new one where there is none that is open."""
        found = self._by_key.get(key)
        if found is None or found.is_closed:
            found = self._by_key[key] = open_session()
            self._opened.append(found)
        return found.session

    def save(self) -> None:
        """Save what has changed, and commit it; documents that share SQLAlchemy's transaction come first.

        So if one of the saves is refused, that transaction has not been committed, and is rolled back. Where no
        document was written in it, it is left to the view.
        """
        opened = sorted(self._opened, key=lambda each: each.joins is None)
        try:
            for each in opened:
                run(save_session(each.session))
            for each in opened:
                # The commit for one session is that for all others of the same transaction.
                if each.joins is not None and each.is_pending:
                    each.joins.commit()
        except BaseException:
            with ExitStack() as stack:
                for each in opened:
                    if each.joins is not None:
                        stack.callback(each.joins.rollback)
            raise

    def close(self) -> None:
        """Close all of them. Nothing is raised, so that other extensions clean up, too; it is logged."""
        for each in self._opened:
            try:
                run(each.session._core.abandon())
            except Exception:
                current_app.logger.exception("docsession: a session could not be closed at the end of its context")
        self._opened.clear()
        self._by_key.clear()
        if self.count is not None:
            self.count.end()


class Scopes:
    """The scopes of one application's contexts; each is gone with its context."""

    def __init__(self) -> None:
        self._scopes: WeakKeyDictionary[object, WeakKeyDictionary[object, Scope]] = WeakKeyDictionary()

    def current(self) -> Scope:
        """Return the scope of the current request, or of the application's context outside of one.

        Tests like to keep an application's context around requests, which Flask up to 3.1 uses for them too; so each
        request has a scope of its own in it.
        """
        of_context = self._scopes.setdefault(_context(), WeakKeyDictionary())
        return of_context.setdefault(_request_context() or _context(), Scope())

    def end_request(self, _error: BaseException | None = None) -> None:
        """Close what is open in the request that ends."""
        of_context = self._scopes.get(_context())
        scope = None if of_context is None else of_context.pop(_request_context() or _context(), None)
        if scope is not None:
            scope.close()

    def end_context(self, _error: BaseException | None = None) -> None:
        """Close what is open in the application's context that ends."""
        for scope in (self._scopes.pop(_context(), None) or {}).values():
            scope.close()


def _context() -> object:
    return app_ctx._get_current_object()  # type: ignore[attr-defined]  # it is a LocalProxy


def _request_context() -> object | None:
    return _REQUEST._get_current_object() if _REQUEST else None

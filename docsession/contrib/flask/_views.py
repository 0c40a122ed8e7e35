"""Saving what a view has changed."""

from __future__ import annotations

import functools
from typing import Any, Final

from flask import Flask, Response, current_app, request
from flask.typing import RouteCallable

from docsession.contrib.flask._scopes import Scopes

_SAVES: Final = "__docsession_saves__"


def save_after_views(app: Flask, scopes: Scopes) -> None:
    """Save after each view that returns normally, with a status below 400.

    It is done around the view, not in `after_request`: there an error would find no handler of the application, and
    headers that others have set would be lost.
    """

    @app.before_request
    def wrap() -> None:
        endpoint = request.endpoint
        view = app.view_functions.get(endpoint) if endpoint is not None else None
        if endpoint is not None and view is not None and not hasattr(view, _SAVES):
            app.view_functions[endpoint] = _saving(view, scopes)


def _saving(view: RouteCallable, scopes: Scopes) -> RouteCallable:
    @functools.wraps(view)
    def saving(**arguments: Any) -> Response:
        response = current_app.make_response(current_app.ensure_sync(view)(**arguments))
        if response.status_code < 400:
            scopes.current().save()
        return response

    setattr(saving, _SAVES, True)
    return saving

"""Views that are saved after they have returned."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http.response import HttpResponseBase

from docsession.contrib.django._scopes import async_scope_here, scope_here

View = TypeVar("View", bound=Callable[..., HttpResponseBase | Awaitable[HttpResponseBase]])

_MARK: Final = "_docsession_saves"
"""The attribute of views that the setting AUTOSAVE is not for; decorators hand it on, as they do Django's own."""


def autosave(view: View) -> View:
    """Save what the sessions of the request have changed, after *view* has returned.

    Nothing is saved where it raises, or where the status is 400 or above. The save is a part of the transaction in
    which Django calls the view, and comes before the response is sent, so that a conflict is answered with 409. For
    classes: `@method_decorator(autosave, name="dispatch")`.
    """
    function: Callable[..., Any] = view

    @functools.wraps(function)
    def saving(*args: Any, **kwargs: Any) -> Any:
        with scope_here() as scope:
            response = function(*args, **kwargs)
            if not inspect.isawaitable(response):
                if is_good(response):
                    scope.save_all()
                return response
        # A coroutine, of which nothing has run yet.
        return _finished(response)

    return cast("View", _marked(saving, function))


async def _finished(answering: Awaitable[Any]) -> Any:
    async with async_scope_here() as scope:
        response = await answering
        if is_good(response):
            await scope.asave()
        return response


def no_autosave(view: View) -> View:
    """Leave saving to *view* itself, where the setting `AUTOSAVE` is on."""
    function: Callable[..., Any] = view

    @functools.wraps(function)
    def left_alone(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return cast("View", _marked(left_alone, function))


def is_left_alone(view: object) -> bool:
    """Return True where the setting AUTOSAVE is not for *view*."""
    return getattr(view, _MARK, False)


def is_good(response: HttpResponseBase) -> bool:
    """Return True for a response after which there is something to save."""
    return response.status_code < 400


def _marked(made: Callable[..., Any], view: Callable[..., Any]) -> Callable[..., Any]:
    setattr(made, _MARK, True)
    return markcoroutinefunction(made) if iscoroutinefunction(view) else made

"""The sessions of each request, and errors as responses."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template import TemplateDoesNotExist, loader
from django.utils.cache import patch_vary_headers
from django.utils.html import escape
from django.utils.log import log_response

from docsession._errors import DocSessionError
from docsession.contrib._http import PROBLEM_TYPE, Problem, RequestSummary
from docsession.contrib.django._autosave import is_good, is_left_alone
from docsession.contrib.django._scopes import Scope
from docsession.contrib.django._stores import STORES

_ACCEPTED: Final = (PROBLEM_TYPE, "application/json", "text/html")
_PAGE: Final = (
    '<!doctype html>\n<html lang="en">\n<head><title>{title}</title></head>\n'
    "<body><h1>{title}</h1><p>{message}</p></body>\n</html>\n"
)
_SCOPE: Final = "_docsession_scope"

_logger: Final = logging.getLogger("docsession.http")

GetResponse: TypeAlias = Callable[[HttpRequest], Any]


class DocumentSessionMiddleware:
    """Gives each request its sessions (`get_session()`), and makes responses of docsession's errors.

    It works under WSGI and ASGI. Of an error that a view does not handle, or of the save after it (`AUTOSAVE`), the
    client gets a problem document (RFC 9457), or, if it prefers HTML, a page: the template `409.html`, say, where the
    project has one. A document that is not there is Django's own 404.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        # Django would call one that is not a coroutine function in a thread of the request's own.
        self.process_view = self._process_async if self._is_async else self._process
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Handle a request."""
        if self._is_async:
            return self._handle_async(request)
        scope = self._begin(request)
        with RequestSummary.collect() as summary, scope.entered():
            try:
                try:
                    response = self.get_response(request)
                except BaseException:
                    scope.blocks.__exit__(*sys.exc_info())
                    raise
                response = self._finish(request, scope, response)
            finally:
                with _told():
                    scope.close()
        return _summarised(summary, request, response)

    async def _handle_async(self, request: HttpRequest) -> HttpResponseBase:
        scope = self._begin(request)
        with RequestSummary.collect() as summary, scope.entered():
            try:
                try:
                    response = await self.get_response(request)
                except BaseException:
                    if scope.has_blocks:
                        await sync_to_async(scope.blocks.__exit__)(*sys.exc_info())
                    raise
                if scope.has_blocks:
                    # In the thread in which they were begun, and in which the view was called.
                    response = await sync_to_async(self._finish)(request, scope, response)
                if scope.autosaves and is_good(response):
                    try:
                        await scope.asave(scope.autosaves)
                    except DocSessionError as error:
                        response = await sync_to_async(self._instead)(request, response, error)
            finally:
                with _told():
                    await scope.aclose()
        return _summarised(summary, request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Return the response for an error of docsession, None for any other."""
        return self._response_to(request, exception) if isinstance(exception, DocSessionError) else None

    def problem_response(self, request: HttpRequest, problem: Problem, error: DocSessionError) -> HttpResponseBase:
        """Return the response for a problem; to be overridden where it shall look otherwise.

        Args:
            request: The request.
            problem: Status, message and headers, of which the client may see everything.
            error: What happened, which it may not.

        Raises:
            Http404: The client prefers HTML, and the document is not there.
        """
        if request.get_preferred_type(_ACCEPTED) != "text/html":
            response = HttpResponse(problem.json(), status=problem.status, content_type=PROBLEM_TYPE)
        elif problem.status == 404:
            raise Http404(problem.message) from error
        else:
            response = HttpResponse(_page(request, problem), status=problem.status)
        for name, value in problem.headers.items():
            response[name] = value
        patch_vary_headers(response, ("Accept",))
        return response

    def _process(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> None:
        """Find out which sessions are to be saved after *view*, and begin the transactions of that."""
        scope: Scope = getattr(request, _SCOPE)
        if _plan(scope, view):
            scope.begin_blocks(view)

    async def _process_async(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> None:
        """Do the same; transactions are begun in the thread in which the view will be called."""
        scope: Scope = getattr(request, _SCOPE)
        if _plan(scope, view):
            await sync_to_async(scope.begin_blocks)(view)

    def _begin(self, request: HttpRequest) -> Scope:
        scope = Scope(is_threaded=not self._is_async)
        setattr(request, _SCOPE, scope)
        return scope

    def _finish(self, request: HttpRequest, scope: Scope, response: HttpResponseBase) -> HttpResponseBase:
        """Save, and end the transactions; where that is refused, return what tells so."""
        try:
            with scope.blocks:
                if is_good(response):
                    scope.save_all(scope.autosaves)
        except DocSessionError as error:
            return self._instead(request, response, error)
        return response

    def _instead(self, request: HttpRequest, response: HttpResponseBase, error: DocSessionError) -> HttpResponseBase:
        told = self._response_to(request, error)
        if told is None:
            raise error
        # To be closed are files that the first one would have sent; closing it would tell that the request is over.
        closers: list[Callable[[], None]] = vars(response)["_resource_closers"]
        vars(told)["_resource_closers"] += closers
        return told

    def _response_to(self, request: HttpRequest, error: DocSessionError) -> HttpResponseBase | None:
        conditional = "HTTP_IF_MATCH" in request.META or "HTTP_IF_NONE_MATCH" in request.META
        problem = STORES.problems().problem_of(error, conditional=conditional)
        if problem is None:
            return None
        response = self.problem_response(request, problem, error)
        if response.status_code >= 500:
            log_response(
                "%s: %s",
                response.reason_phrase,
                request.path,
                response=cast("HttpResponse", response),
                request=request,
                exception=error,
            )
        return response


def _plan(scope: Scope, view: object) -> bool:
    """Note which sessions are to be saved; return True where there may be transactions for that."""
    if not is_left_alone(view):
        scope.autosaves = frozenset(name for name, each in STORES.all_settings().items() if each.autosave)
    return bool(scope.autosaves) and not iscoroutinefunction(view)


@contextmanager
def _told() -> Iterator[None]:
    """Log what a handler of the end of sessions raises: the response is made, and what was saved is saved."""
    try:
        yield
    except Exception:
        _logger.exception("a session could not be closed at the end of its request")


def _page(request: HttpRequest, problem: Problem) -> str:
    try:
        template = loader.get_template(f"{problem.status}.html")
    except TemplateDoesNotExist:
        return _PAGE.format(title=escape(problem.title), message=escape(problem.message))
    return template.render({"problem": problem}, request)


def _summarised(summary: RequestSummary, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Log what was asked of PostgreSQL, and in debug mode tell the browser."""
    summary.log(request.method or "", request.path, response.status_code)
    if settings.DEBUG:
        for name, value in summary.headers().items():
            response[name] = value
    return response

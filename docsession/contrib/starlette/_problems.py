"""Errors of docsession as responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from docsession._query._listening import is_coroutine_function
from docsession.contrib._http import PROBLEM_TYPE, Problem, ProblemMap


class ProblemResponse(Response):
    """What went wrong, for the client: a problem document of RFC 9457, as `application/problem+json`.

    Args:
        problem: Status, code and words.
        headers: Further headers, beside those of the problem.
        background: What is done once the response is sent.
    """

    media_type = PROBLEM_TYPE

    def __init__(
        self, problem: Problem, headers: Mapping[str, str] | None = None, background: BackgroundTask | None = None
    ) -> None:
        together = {**problem.headers, **(headers or {})}
        super().__init__(problem.json(), problem.status, together, background=background)


def problem_handler(problems: ProblemMap) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return what an application has to handle docsession's errors with; those without an answer it raises again."""

    async def answer(request: Request, error: Exception) -> Response:
        if request.scope["type"] != "http":
            raise error
        conditional = "if-match" in request.headers or "if-none-match" in request.headers
        problem = problems.problem_of(error, conditional=conditional)
        if problem is None:
            raise error
        return ProblemResponse(problem)

    return answer


async def handled(app: Starlette, connection: HTTPConnection, error: Exception) -> Response:
    """Return the response that the application's own handler makes of an error, which is raised where it has none."""
    handlers: Mapping[Any, ExceptionHandler] = app.exception_handlers
    for kind in type(error).__mro__:
        if kind is Exception:
            break
        handler: Any = handlers.get(kind)
        if handler is not None:
            return await _call(handler, connection, error)
    raise error


async def _call(handler: Any, connection: HTTPConnection, error: Exception) -> Response:
    """Call a handler as Starlette does: one that cannot be awaited in a thread."""
    if is_coroutine_function(handler):
        answer = await handler(connection, error)
    else:
        answer = await run_in_threadpool(handler, connection, error)
    response: Response = answer
    return response

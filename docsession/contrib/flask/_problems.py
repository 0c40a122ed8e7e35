"""Errors of docsession as errors of HTTP, which an application's own handlers may answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, current_app, request
from flask.globals import app_ctx
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, default_exceptions

from docsession._errors import DocSessionError
from docsession.contrib._http import PROBLEM_TYPE, Problem, ProblemMap


def handler_of(problems: ProblemMap) -> Callable[[DocSessionError], ResponseReturnValue]:
    """Return a handler of errors, for `Flask.register_error_handler`.

    It asks the application's handlers of the status (`@app.errorhandler(409)`) first. An error that is none of the
    client's business is raised again: it becomes the application's 500.
    """

    def handle(error: DocSessionError) -> ResponseReturnValue:
        conditional = "If-Match" in request.headers or "If-None-Match" in request.headers
        problem = problems.problem_of(error, conditional=conditional)
        if problem is None:
            raise error
        response = problem_response(problem)
        kind = default_exceptions.get(problem.status)
        if kind is None:
            return response
        raised = kind(problem.message, response)
        raised.__cause__ = error
        answer = _answer_of_application(raised)
        return response if isinstance(answer, HTTPException) else answer

    return handle


def _answer_of_application(error: HTTPException) -> Any:
    """Return what the application's handlers make of an error; the error where there is none."""
    handle: Any = current_app.handle_http_exception
    if "ctx" in inspect.signature(handle).parameters:  # from Flask 3.2 on
        return handle(app_ctx._get_current_object(), error)  # type: ignore[attr-defined]  # it is a LocalProxy
    return handle(error)


def register(app: Flask, problems: ProblemMap) -> None:
    """Let the application answer docsession's errors, unless it does so itself."""
    if DocSessionError not in app.error_handler_spec[None][None]:
        app.register_error_handler(DocSessionError, handler_of(problems))


def problem_response(problem: Problem) -> Response:
    """Return a problem as an answer, in the form of RFC 9457 (`application/problem+json`).

    Args:
        problem: What the client is told.
    """
    return current_app.response_class(
        problem.json(), problem.status, headers=dict(problem.headers), content_type=PROBLEM_TYPE
    )

"""What the shop refuses, in the same form as docsession's own errors: RFC 9457."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from docsession.contrib.django import Problem


class Refused(Exception):  # not an error of the shop's
    """A request that cannot be carried out, with what the client is told."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(status, "refused", message)


class ProblemMiddleware(MiddlewareMixin):
    """Answers for views that refuse."""

    def process_exception(self, _request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the response for what was refused, None for anything else."""
        return answer(exception.problem) if isinstance(exception, Refused) else None


def answer(problem: Problem) -> HttpResponse:
    """Return the response for a problem."""
    return HttpResponse(problem.json(), status=problem.status, content_type="application/problem+json")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for what is not there."""
    del request, exception
    return answer(Problem(404, "not-found", "There is nothing here."))

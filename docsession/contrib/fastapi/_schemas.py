"""What OpenAPI is told of responses that no model makes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel

from docsession.contrib._http import PROBLEM_TYPE

T = TypeVar("T")


class JsonPage(BaseModel, Generic[T]):
    """The body of `JsonDocuments(query, size=…)`: `response_model=JsonPage[Customer]`.

    `total` is there with `envelope=True`, `includes` where the query has `include`.
    """

    items: list[T]
    next: str | None
    previous: str | None
    total: int | None = None
    includes: dict[str, Any] | None = None


class JsonEnvelope(BaseModel, Generic[T]):
    """The body of `JsonDocuments(query, envelope=True)`: `response_model=JsonEnvelope[Customer]`.

    `includes` is there where the query has `include`.
    """

    items: list[T]
    total: int
    includes: dict[str, Any] | None = None


_PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
    },
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route takes as `responses`, so that OpenAPI knows of the errors that it answers with.

    Args:
        statuses: As in `problem_responses(404, 409, 412)`.
    """
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {PROBLEM_TYPE: {"schema": _PROBLEM}}}
        for status in statuses
    }

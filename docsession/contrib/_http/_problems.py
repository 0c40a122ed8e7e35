"""Errors of docsession as HTTP: which status, and what the client may know."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from typing_extensions import override

from docsession._errors import (
    AuthenticationException,
    ConflictException,
    ConnectionFailedException,
    ConnectionLostException,
    DocSessionError,
    DocumentDoesNotExistException,
    ForeignKeyViolation,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidPageTokenException,
    NoResultException,
    PoolTimeoutException,
    TransactionRetryException,
    UniqueConstraintViolation,
    UnknownOutcomeException,
)

PROBLEM_TYPE: Final = "application/problem+json"
"""The media type of `Problem.json()`, RFC 9457."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a client is told of an error.

    Attributes:
        status: The HTTP status, 400 to 599.
        code: The error's code, such as `ds111`.
        message: A sentence that holds nothing which the client may not see.
        headers: Further headers of the response, such as `Retry-After`.
    """

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_status(self.status)

    @property
    def title(self) -> str:
        """The status in words."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return f"Status {self.status}"

    def body(self) -> dict[str, Any]:
        """Return the members of a problem document, RFC 9457."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.message,
            "code": self.code,
        }

    def json(self) -> bytes:
        """Return the problem document as it is sent, under the media type `application/problem+json`."""
        return json.dumps(self.body(), ensure_ascii=False, separators=(",", ":")).encode()


Answer: TypeAlias = int | Callable[[Any], Problem | None] | None
"""What an error becomes: a status, what a function of the error returns, or None: nothing, it is the framework's."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A status and what goes with it by default."""

    status: int
    message: str
    retry_after: int | None = None
    conditional_status: int | None = None


_SOON: Final = 1
"""Seconds after which a deadlock's transaction may be repeated; its opponent has ended long before."""

_LATER: Final = 5
"""Seconds in which a server is back after a short break, or a full pool has become less busy."""

_BUSY: Final = _Told(503, "The server is busy. Try again.", retry_after=_LATER)

_NOT_FOUND: Final = _Told(404, "There is no such document.")

# The nearest class of an error's ancestors counts, so exceptions stand beside their rule.
_DEFAULTS: Final[Mapping[type[DocSessionError], _Told | None]] = MappingProxyType(
    {
        NoResultException: _NOT_FOUND,
        DocumentDoesNotExistException: _NOT_FOUND,
        ConflictException: _Told(
            409,
            "Somebody else has changed it meanwhile; nothing was saved. Read it again, and repeat the change on "
            "what is there now.",
            conditional_status=412,
        ),
        UniqueConstraintViolation: _Told(409, "Another document has the same values already; nothing was saved."),
        ForeignKeyViolation: _Told(
            409, "It refers to what is not there, or is referred to by something else; nothing was saved."
        ),
        InvalidPageTokenException: _Told(400, "This is no token of a page of this list. Begin with the first page."),
        TransactionRetryException: _Told(
            503, "The request got in the way of another one; nothing was saved. Try again.", retry_after=_SOON
        ),
        ConnectionFailedException: _Told(503, "The database cannot be reached now. Try again.", retry_after=_LATER),
        AuthenticationException: None,  # it would be refused the next time too
        PoolTimeoutException: _BUSY,
        ConnectionLostException: _Told(503, "The connection to the database broke. Try again.", retry_after=_LATER),
        # Without Retry-After, which a client would take for the permission to repeat it.
        UnknownOutcomeException: _Told(
            503,
            "The database's answer was lost: what was to be saved may have been saved, or not. Read it before you "
            "repeat the request.",
        ),
    }
)

_RETRYABLE: Final = _Told(503, "The database is busy. Try again.", retry_after=_LATER)


class ProblemMap:
    """Which errors become which answers; a value, which `with_` returns anew.

    By default:

    * a document that does not exist, or is not found, is 404;
    * a conflict is 409, and 412 where the request had a condition (`If-Match`);
    * a value that a unique index has already is 409;
    * a page token that is none of the list is 400;
    * what may be repeated, a server that cannot be reached, and a pool without a free connection are 503 with
      `Retry-After`;
    * a save whose outcome is not known is 503, without a word on whether anything was written;
    * all else is none of the client's business: there is no answer, and the framework makes its 500.
    """

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given: dict[type[DocSessionError], Answer] = {}

    @override
    def __repr__(self) -> str:
        """Name what differs from the defaults."""
        return f"<{type(self).__qualname__} with {', '.join(each.__name__ for each in self._given) or 'the defaults'}>"

    def with_(self, answers: Mapping[type[DocSessionError], Answer]) -> ProblemMap:
        """Return a map that answers as *answers* say, and else as this one.

        Args:
            answers: Class of error -> a status (400 to 599), None for none, or a function that takes the error and
                returns a `Problem` or None. It holds for subclasses too, except for those that are named themselves,
                here or by default. Another status than 409 for conflicts holds for conditional requests as well.

        Raises:
            InvalidArgumentTypeException: A class is none of docsession's errors, or an answer none of these.
            InvalidArgumentException: A status is none of an error.
        """
        for kind, answer in answers.items():
            given: object = kind
            if not (isinstance(given, type) and issubclass(given, DocSessionError)):
                raise InvalidArgumentTypeException(f"errors are classes below DocSessionError, not {given!r:.80}")
            if not (answer is None or callable(answer)):
                _check_status(answer)
        changed = ProblemMap()
        changed._given = {**self._given, **answers}
        return changed

    def problem_of(self, error: BaseException, *, conditional: bool = False) -> Problem | None:
        """Return what the client is told of *error*; None leaves it to the framework.

        Args:
            error: Any error.
            conditional: True where the request had the header `If-Match` or `If-None-Match`.
        """
        if not isinstance(error, DocSessionError):
            return None
        for kind in type(error).__mro__:
            if kind in self._given:
                answer = self._given[kind]
                if answer is None:
                    return None
                return answer(error) if callable(answer) else _problem(error, conditional=conditional, status=answer)
            if kind in _DEFAULTS:
                break
        return _problem(error, conditional=conditional)


def _problem(error: DocSessionError, *, conditional: bool, status: int | None = None) -> Problem | None:
    """Return the default, with another *status* where one is given."""
    told = _told(error)
    if told is None:
        return None if status is None else Problem(status, error.code, _plain(status))
    if conditional and told.conditional_status is not None and status in {None, told.status}:
        status = told.conditional_status
    chosen = told.status if status is None else status
    invites = told.retry_after is not None and chosen in {429, 503}
    headers = {"Retry-After": str(told.retry_after)} if invites else {}
    return Problem(chosen, error.code, told.message, headers)


def _told(error: DocSessionError) -> _Told | None:
    for kind in type(error).__mro__:
        if kind in _DEFAULTS:
            return _DEFAULTS[kind]
    return _RETRYABLE if error.retryable else None


def _plain(status: int) -> str:
    return "The request could not be carried out." if status < 500 else "The server could not carry out the request."


def _check_status(status: object) -> None:
    if not isinstance(status, int) or isinstance(status, bool):
        raise InvalidArgumentTypeException(f"a status is a number from 400 to 599, not {status!r:.80}")
    if not 400 <= status <= 599:
        raise InvalidArgumentException(f"the status of an error is 400 to 599, not {status}")


_DEFAULT_MAP: Final = ProblemMap()


def problem_of(error: BaseException, *, conditional: bool = False) -> Problem | None:
    """Return what a client is told of *error* by default; None leaves it to the framework.

    Args:
        error: Any error.
        conditional: True where the request had the header `If-Match` or `If-None-Match`.
    """
    return _DEFAULT_MAP.problem_of(error, conditional=conditional)

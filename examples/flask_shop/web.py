"""What the views share: JSON by msgspec, and mistakes of clients as problems."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from flask import Response, abort, jsonify, request
from flask.json.provider import JSONProvider
from typing_extensions import override
from werkzeug.exceptions import HTTPException

from docsession.contrib.flask import Problem, etag_of, problem_response
from examples.flask_shop.extensions import docs

T = TypeVar("T")


class MsgspecJson(JSONProvider):
    """Lets `jsonify` take what msgspec takes: its own classes, and dates and decimals as documents have them."""

    @override
    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return msgspec.json.encode(obj).decode()

    @override
    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return msgspec.json.decode(s)


def body_of(kind: type[T]) -> T:
    """Return the body of the request as *kind*; one that is not ends it with 422."""
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except msgspec.ValidationError as error:
        abort(422, str(error))
    except msgspec.DecodeError as error:
        abort(400, str(error))


def argument(name: str, default: str | None = None) -> str | None:
    """Return an argument of the URL, which has to be a text that PostgreSQL can compare with."""
    value = request.args.get(name, default)
    if value is not None and "\0" in value:
        abort(422, f"{name} holds the character NUL")
    return value


def document_response(shown: object, entity: object, location: str | None = None) -> Response:
    """Return a document with its version, and with its place where it has just been made."""
    response = jsonify(shown)
    response.headers["ETag"] = etag_of(docs.session, entity)
    if location is not None:
        response.status_code = 201
        response.location = location
    response.make_conditional(request)
    return response


def refused(error: HTTPException) -> HTTPException | Response:
    """Answer with what a view, or Flask itself, has refused; docsession's own errors are answers already."""
    if error.response is not None or error.code is None:
        return error
    return problem_response(Problem(error.code, "refused", str(error.description), dict(error.get_headers())))

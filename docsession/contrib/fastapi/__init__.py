"""docsession in FastAPI: a store for the application, a session for each request, and responses of stored JSON."""

try:
    import fastapi  # noqa: F401  # to say what is missing
except ImportError as error:
    from docsession._errors import MissingDependencyException

    raise MissingDependencyException(
        "docsession.contrib.fastapi needs FastAPI: pip install docsession[fastapi]"
    ) from error

from docsession.contrib.fastapi._dependencies import (
    DocSession,
    IfMatch,
    IfMatchHeader,
    Session,
    Store,
    document_session,
    document_store,
)
from docsession.contrib.fastapi._schemas import JsonEnvelope, JsonPage, problem_responses
from docsession.contrib.starlette import (
    JsonDocument,
    JsonDocuments,
    Problem,
    ProblemMap,
    ProblemResponse,
    check_if_match,
    etag_of,
    expect_change_vector,
    load_or_404,
)

__all__ = [
    "DocSession",
    "IfMatch",
    "IfMatchHeader",
    "JsonDocument",
    "JsonDocuments",
    "JsonEnvelope",
    "JsonPage",
    "Problem",
    "ProblemMap",
    "ProblemResponse",
    "Session",
    "Store",
    "check_if_match",
    "document_session",
    "document_store",
    "etag_of",
    "expect_change_vector",
    "load_or_404",
    "problem_responses",
]

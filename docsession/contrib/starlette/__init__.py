"""docsession in Starlette: a store for the application, a session for each request, and responses of stored JSON.

`docsession.contrib.fastapi` has the same, and the dependencies of FastAPI.
"""

try:
    import starlette  # noqa: F401  # to say what is missing
except ImportError as error:
    from docsession._errors import MissingDependencyException

    raise MissingDependencyException(
        "docsession.contrib.starlette needs Starlette: pip install docsession[starlette]"
    ) from error

from docsession.contrib._http import Problem, ProblemMap, etag_of, expect_change_vector
from docsession.contrib.starlette._conditions import check_if_match
from docsession.contrib.starlette._documents import DocSession
from docsession.contrib.starlette._loading import load_or_404
from docsession.contrib.starlette._problems import ProblemResponse
from docsession.contrib.starlette._responses import JsonDocument, JsonDocuments

__all__ = [
    "DocSession",
    "JsonDocument",
    "JsonDocuments",
    "Problem",
    "ProblemMap",
    "ProblemResponse",
    "check_if_match",
    "etag_of",
    "expect_change_vector",
    "load_or_404",
]

"""docsession in Django: `INSTALLED_APPS += ["docsession.contrib.django"]`.

Documents and models are written in one transaction: sessions work on Django's own connection.
"""

try:
    import django as _django  # noqa: F401  # to say what is missing
except ImportError as _error:
    from docsession._errors import MissingDependencyException

    raise MissingDependencyException(
        'docsession.contrib.django needs Django: pip install "docsession[binary,django]"'
    ) from _error

from docsession.contrib._http import Problem, ProblemMap
from docsession.contrib.django._autosave import autosave, no_autosave
from docsession.contrib.django._documents import (
    aload_or_404,
    check_if_match,
    etag_of,
    expect_change_vector,
    json_response,
    load_or_404,
)
from docsession.contrib.django._forms import DocumentForm
from docsession.contrib.django._middleware import DocumentSessionMiddleware
from docsession.contrib.django._migrations import RunRevision
from docsession.contrib.django._scopes import (
    async_document_session,
    document_session,
    get_async_session,
    get_session,
)
from docsession.contrib.django._stores import get_async_store, get_store

__all__ = [
    "DocumentForm",
    "DocumentSessionMiddleware",
    "Problem",
    "ProblemMap",
    "RunRevision",
    "aload_or_404",
    "async_document_session",
    "autosave",
    "check_if_match",
    "document_session",
    "etag_of",
    "expect_change_vector",
    "get_async_session",
    "get_async_store",
    "get_session",
    "get_store",
    "json_response",
    "load_or_404",
    "no_autosave",
]

"""What the web frameworks share: errors as HTTP, conditional requests, settings, and a summary of each request.

No framework is imported here, and nothing here knows one.
"""

from docsession.contrib._http._conditional import etag, if_match, if_none_match
from docsession.contrib._http._documents import check_json, collection_of, find_document, may_be_id
from docsession.contrib._http._problems import PROBLEM_TYPE, Answer, Problem, ProblemMap, problem_of
from docsession.contrib._http._saving import save_session
from docsession.contrib._http._settings import StoreSettings
from docsession.contrib._http._summary import Repetition, RequestSummary, watch_requests
from docsession.contrib._http._versions import check_version, etag_of, expect_change_vector

__all__ = [
    "PROBLEM_TYPE",
    "Answer",
    "Problem",
    "ProblemMap",
    "Repetition",
    "RequestSummary",
    "StoreSettings",
    "check_json",
    "check_version",
    "collection_of",
    "etag",
    "etag_of",
    "expect_change_vector",
    "find_document",
    "if_match",
    "if_none_match",
    "may_be_id",
    "problem_of",
    "save_session",
    "watch_requests",
]

"""The public names of the packages beside the session: a promise, so a list that only grows."""

CONTRIB = {
    "docsession.contrib.django": [
        "DocumentForm",
        "DocumentSessionMiddleware",
        "Problem",
        "ProblemMap",
        "RunRevision",
        "async_document_session",
        "autosave",
        "document_session",
        "get_async_session",
        "get_async_store",
        "get_session",
        "get_store",
        "no_autosave",
    ],
    "docsession.contrib.flask": [
        "DocSession",
        "Problem",
        "ProblemMap",
        "check_if_match",
        "etag_of",
        "expect_change_vector",
        "json_response",
        "problem_response",
    ],
    "docsession.contrib.otel": ["instrument"],
}

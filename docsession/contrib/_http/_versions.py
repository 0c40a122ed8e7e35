"""Versions of the documents of a session, as clients know them; the same for both faces."""

from __future__ import annotations

from typing import TypeAlias

from docsession._errors import ConcurrencyException, Conflict, InvalidOperationException
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._session import DocumentSession
from docsession._options import TransactionMode
from docsession.contrib._http._conditional import etag, if_match

AnySession: TypeAlias = DocumentSession | AsyncDocumentSession


def etag_of(session: AnySession, entity: object) -> str:
    """Return the header `ETag` of a tracked entity, its change vector in quotes.

    Args:
        session: The session that tracks it.
        entity: The document.

    Raises:
        InvalidArgumentException: *entity* is not tracked.
        InvalidOperationException: It has no version yet.
    """
    vector = session.advanced.get_change_vector_for(entity)
    if vector is None:
        key = session.advanced.get_document_id(entity)
        raise InvalidOperationException(f"{key!r} has no version before it is saved: call save_changes() first")
    return etag(vector)


def check_version(header: str | None, session: AnySession, entity: object) -> None:
    """Let a request go on only if its `If-Match`, if it has one, names the version of *entity*.

    The next save checks it again, so that nobody can come between.

    Args:
        header: The header's value; None: the request has none, and nothing is checked.
        session: The session that *entity* was loaded in.
        entity: The document that is to be changed or deleted.

    Raises:
        ConcurrencyException: The client has seen another version.
        InvalidArgumentException: *entity* is not tracked.
    """
    if header is None:
        return
    vector = session.advanced.get_change_vector_for(entity)
    if not if_match(header, None if vector is None else etag(vector)):
        raise _conflict(session, entity, header)
    _keep(session, entity)


def expect_change_vector(session: AnySession, entity: object, change_vector: str) -> None:
    """Let the request go on only if *entity* has the change vector that the client has sent, in a form's field, say.

    The next save checks it again, so that nobody can come between. The answer is 409 both times.

    Args:
        session: The session that *entity* was loaded in.
        entity: The document that is to be changed or deleted.
        change_vector: What the client believes to be the version; any text.

    Raises:
        ConcurrencyException: The client has seen another version.
        InvalidArgumentException: *entity* is not tracked.
    """
    if change_vector != session.advanced.get_change_vector_for(entity):
        raise _conflict(session, entity, change_vector)
    _keep(session, entity)


def _keep(session: AnySession, entity: object) -> None:
    """Have the next save check the version once more; a cluster-wide session does so by itself."""
    advanced = session.advanced
    if advanced.transaction_mode is TransactionMode.CLUSTER_WIDE:
        return
    key, vector = advanced.get_document_id(entity), advanced.get_change_vector_for(entity)
    if key is not None and vector is not None:
        advanced.register_for_concurrency_check(key, vector)


def _conflict(session: AnySession, entity: object, expected: str) -> ConcurrencyException:
    key, actual = session.advanced.get_document_id(entity) or "", session.advanced.get_change_vector_for(entity)
    return ConcurrencyException(
        f"{key!r} has the change vector {actual}, and the request expects {expected!r:.80}: somebody has changed it "
        "since the client read it, which has to read it again",
        [Conflict(key, expected[:80], actual)],
    )

"""Stores whose server is a script, for tests without a database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from docsession._conventions import DocumentConventions
from docsession._documents._mapping import DocumentMapping
from docsession._errors import InvalidArgumentTypeException
from docsession._executors._scripted import ScriptedExecutor
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._store import DocumentStore
from docsession._faces._store_common import DEFAULT_DATABASE, StoreCommon
from docsession._port import JSONB_VERSION, Row
from docsession.testing._freezing import START, postgres_microseconds

_NOWHERE: Final = "postgresql://nobody@scripted.invalid/nothing"


def scripted_store(
    executor: ScriptedExecutor,
    *models: type,
    database: str = DEFAULT_DATABASE,
    conventions: DocumentConventions | None = None,
) -> DocumentStore:
    """Return a store whose requests *executor* answers; nothing is connected.

    Args:
        executor: The script.
        models: Classes whose collections have tables already. Nothing has to be answered for their catalogue.
        database: The name of the database, as it stands in the SQL.
        conventions: Those of the store.
    """
    store = DocumentStore(_NOWHERE, database, conventions=conventions)
    _put_in(store, executor, models)
    return store


def async_scripted_store(
    executor: ScriptedExecutor,
    *models: type,
    database: str = DEFAULT_DATABASE,
    conventions: DocumentConventions | None = None,
) -> AsyncDocumentStore:
    """Return an async store whose requests *executor* answers; see `scripted_store`."""
    store = AsyncDocumentStore(_NOWHERE, database, conventions=conventions)
    _put_in(store, executor, models)
    return store


def _put_in(store: StoreCommon, executor: ScriptedExecutor, models: tuple[type, ...]) -> None:
    given: object = executor
    if not isinstance(given, ScriptedExecutor):
        raise InvalidArgumentTypeException(f"a scripted store takes a ScriptedExecutor, not {given!r:.60}")
    store._make_executor = lambda _settings: executor
    mappings = store._known_mappings()
    found: list[DocumentMapping[Any]] = [mappings.for_class(model) for model in models]
    database = store._database_of(store.database)
    database.know([(each.id_prefix, each.collection, each.table) for each in found])


def document_row(
    key: str,
    data: Mapping[str, Any],
    *,
    version: int = 1,
    metadata: Mapping[str, Any] | None = None,
    last_modified: datetime = START,
) -> Row:
    """Return the row of a document as a server would send it, for the script of a `ScriptedExecutor`.

        executor = ScriptedExecutor([[[document_row("companies/1-A", {"name": "Ayende"})]]])

    Args:
        key: The document's id.
        data: What it holds, of JSON's types; the id is no part of it.
        version: Its version, the change vector as a number.
        metadata: Its metadata, without what is a column of its own.
        last_modified: When it was last written, with a time zone.
    """
    stored = None if metadata is None else JSONB_VERSION + msgspec.json.encode(metadata)
    return key, JSONB_VERSION + msgspec.json.encode(data), stored, version, postgres_microseconds(last_modified)

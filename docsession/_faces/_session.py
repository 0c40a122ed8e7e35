"""The blocking session."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, overload

from typing_extensions import override

from docsession._commands import CommandData
from docsession._documents._paths import PathLike
from docsession._faces._advanced import AdvancedSession
from docsession._faces._cluster_transaction import ClusterTransactionOperations
from docsession._faces._document_query import DocumentQuery
from docsession._faces._events import DocumentEvents, SessionEvents
from docsession._faces._includes import IncludeBuilder, Includes, collect_includes
from docsession._faces._lazy_reading import Batch
from docsession._faces._raw_query import RawDocumentQuery
from docsession._faces._run import run
from docsession._query._query import Query, specification_from, specification_of_collection
from docsession._query._raw_sql import RawQuery
from docsession._session._context import SessionContext
from docsession._session._core import SessionCore
from docsession._session._raw_json import DocumentJson, RawJson

T = TypeVar("T")

Keys: TypeAlias = list[str] | tuple[str, ...] | AbstractSet[str]
"""Several ids: any collection of them, which a str, itself a collection of str, is not."""


class DocumentSession(SessionEvents, DocumentEvents):
    """A unit of work over one database (RavenDB: DocumentSession).

    Opened by `DocumentStore.open_session()`. One thread uses it at a time, and it holds no connection
    between calls. Entities that it loads or stores are tracked: one instance per id, every change
    found by `save_changes()`, which writes all of them in one request and one transaction.
    """

    __slots__ = ("__weakref__", "_advanced", "_core")

    _is_async = False

    def __init__(self, context: SessionContext, core: SessionCore | None = None) -> None:
        self._core = core or SessionCore(context)
        self._keep_face()
        self._advanced: AdvancedSession | None = None

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self._core.context!r}>"

    @property
    def advanced(self) -> AdvancedSession:
        """What is needed less often."""
        if self._advanced is None:
            self._advanced = AdvancedSession(self._core)
        return self._advanced

    @property
    def cluster_transaction(self) -> ClusterTransactionOperations:
        """The same as `advanced.cluster_transaction`."""
        return ClusterTransactionOperations(self._core.context)

    def store(self, entity: object, key: str | None = None, change_vector: str | None = None) -> None:
        """Track *entity*; the next `save_changes()` writes it (RavenDB: session.store).

        Args:
            entity: An instance of a class, or a dict.
            key: Its id. None takes the entity's own, or makes one (`companies/1-A`);
                `"companies/"` makes a time-ordered one, `"invoices|"` the next of an identity (`invoices/1`).
            change_vector: The version that the save must find; "": the document must not exist.

        Raises:
            NonUniqueObjectException: The session tracks another instance with that id.
            InvalidArgumentTypeException: *entity* is no document.
            InvalidArgumentException: The id cannot be used.
        """
        core = self._core
        if key is not None or change_vector is not None or not core.storing.store_new(entity):
            run(core.storing.store(entity, key, change_vector))

    @overload
    def load(self, key_or_keys: str | None, object_type: type[T], includes: Includes = None) -> T | None: ...
    @overload
    def load(self, key_or_keys: str | None, object_type: None = None, includes: Includes = None) -> Any: ...
    @overload
    def load(self, key_or_keys: Keys, object_type: type[T], includes: Includes = None) -> dict[str, T | None]: ...
    @overload
    def load(self, key_or_keys: Keys, object_type: None = None, includes: Includes = None) -> dict[str, Any]: ...
    def load(
        self, key_or_keys: str | Keys | None, object_type: type[T] | None = None, includes: Includes = None
    ) -> object:
        """Return the document with an id, or those with several (RavenDB: session.load).

        What the session tracks already is returned as it is, without a request.

        Args:
            key_or_keys: An id, or ids.
            object_type: The class of the documents; None gives dicts.
            includes: `lambda builder: builder.include_documents(path)`: further documents to bring
                along in the same request.

        Returns:
            For an id the entity, or None; for ids a dict with every one of them.

        Raises:
            TooManyRequestsException: The session has used up its requests.
            DocumentMismatchException: A document does not fit *object_type*.
        """
        core = self._core
        paths = collect_includes(includes, object_type, core.context.mappings) if includes is not None else ()
        if key_or_keys is None or isinstance(key_or_keys, str):
            return run(core.loads.load(key_or_keys, object_type, paths))
        return run(core.loads.load_many(key_or_keys, object_type, paths))

    def include(self, path: PathLike, object_type: type | None = None) -> LoaderWithInclude:
        """Bring along the documents whose ids stand at *path*, in the request of the following `load`.

        Args:
            path: As in `IncludeBuilder.include_documents`.
            object_type: The class of those documents.
        """
        return LoaderWithInclude(self._core).include(path, object_type)

    def load_json(self, key: str, object_type: type[Any] | None = None) -> DocumentJson | None:
        """Return a document as JSON, as it is stored, with its id as the first member; None where there is none.

        Nothing is parsed or tracked. One request. The bytes know the document's `change_vector` and `last_modified`,
        and its `etag` for HTTP.

        Args:
            key: The id.
            object_type: The class, whose attribute of the id gives that member its name; None: `id`.
        """
        return run(RawJson(self._core.context).load(key, object_type))

    def batch(self) -> Batch:
        """Return a block that collects loads and queries and sends them in one request at its end.

        `with session.batch() as batch:` gives `batch.load(…)`, `batch.all(query)`, `batch.count(query)`;
        what they return has its `value` afterwards.
        """
        return Batch(self._core.context)

    def query_sql(self, object_type: type[T], sql: str, /, **values: Any) -> RawDocumentQuery[T]:
        """Ask for documents with SQL of your own, which may join the application's tables.

        Args:
            object_type: The class of the documents; `dict` where the collection follows from their ids.
            sql: A SELECT whose result has the columns `id`, `data`, `metadata`, `version` and `last_modified`:
                `"SELECT o.* FROM {table} AS o WHERE o.data ->> 'company' = %(company)s"`. `{table}` is the
                class's table, `%(name)s` a value, `%%` a percent sign.
            values: The values by name; they are bound, never put into the text.
        """
        return RawDocumentQuery(self._core.context, RawQuery(object_type, sql, values))

    @overload
    def query(self, source: type[T] | Query[T], /) -> DocumentQuery[T]: ...
    @overload
    def query(self, source: type[dict[str, Any]], collection: str, /) -> DocumentQuery[dict[str, Any]]: ...
    @overload
    def query(self, *, object_type: type[T]) -> DocumentQuery[T]: ...
    def query(
        self, source: Any = None, collection: str | None = None, object_type: type[Any] | None = None
    ) -> DocumentQuery[Any]:
        """Ask for the documents of a class that fulfil conditions (RavenDB: session.query).

        Args:
            source: The class, or a `Query`; `dict` for documents as dicts, with their collection.
            collection: The collection of dicts.
            object_type: The class, by RavenDB's name for it.

        Raises:
            InvalidArgumentTypeException: It is neither.
        """
        return DocumentQuery(self._core.context, specification_from(source, collection, object_type))

    @overload
    def query_collection(self, collection_name: str, object_type: type[T]) -> DocumentQuery[T]: ...
    @overload
    def query_collection(self, collection_name: str, object_type: None = None) -> DocumentQuery[dict[str, Any]]: ...
    def query_collection(self, collection_name: str, object_type: type[Any] | None = None) -> DocumentQuery[Any]:
        """Ask for the documents of a collection (RavenDB: session.query_collection).

        Args:
            collection_name: As in `"Orders"`.
            object_type: The class that is stored there; None gives dicts.
        """
        return DocumentQuery(self._core.context, specification_of_collection(collection_name, object_type))

    def delete(self, key_or_entity: object, expected_change_vector: str | None = None) -> None:
        """Have the next `save_changes()` delete a document (RavenDB: session.delete).

        Args:
            key_or_entity: A tracked entity, or an id, loaded or not.
            expected_change_vector: The version that the save must find.

        Raises:
            InvalidOperationException: The entity is not tracked, or an id is given of one that was changed.
        """
        self._core.storing.delete(key_or_entity, expected_change_vector)

    def defer(self, *commands: CommandData) -> None:
        """Have the next `save_changes()` run raw commands, too; see `AdvancedSession.defer`."""
        self._core.storing.defer(commands)

    def save_changes(self) -> None:
        """Write everything that changed, in one request and one transaction (RavenDB: session.save_changes).

        With nothing changed there is no request. A save that fails has written nothing and leaves the
        session as it was, so that it may be repeated once the cause is gone.

        Raises:
            ConcurrencyException: Documents were changed by others; names all of them.
            UnsupportedValueException: An entity holds a value that cannot be stored.
            UnknownOutcomeException: The connection broke before the answer; call it again.
        """
        run(self._core.save_changes(self))

    def close(self) -> None:
        """End the session; what was not saved is lost."""
        run(self._core.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            run(self._core.abandon())


class LoaderWithInclude:
    """A load that brings along what the documents refer to (RavenDB: MultiLoaderWithInclude)."""

    __slots__ = ("_builder", "_core")

    def __init__(self, core: SessionCore) -> None:
        self._core = core
        self._builder = IncludeBuilder()

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}, whose load(id, Company) returns a dict of documents by id>"

    def include(self, path: PathLike, object_type: type | None = None) -> Self:
        """Add a path; see `DocumentSession.include`."""
        self._builder.include_documents(path, object_type)
        return self

    @overload
    def load(self, id_or_ids: str | Keys, object_type: type[T]) -> dict[str, T | None]: ...
    @overload
    def load(self, id_or_ids: str | Keys, object_type: None = None) -> dict[str, Any]: ...
    def load(self, id_or_ids: str | Keys, object_type: type[T] | None = None) -> object:
        """Return a dict with every id that was asked for, also for a single one."""
        keys = [id_or_ids] if isinstance(id_or_ids, str) else id_or_ids
        paths = self._builder.paths(object_type, self._core.context.mappings)
        return run(self._core.loads.load_many(keys, object_type, paths))

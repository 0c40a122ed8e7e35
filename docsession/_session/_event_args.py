"""What the handlers of events are given.

Their order and names are RavenDB's. No `repr` shows what a document holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from docsession._documents._metadata import MetadataAsDictionary


@dataclass(frozen=True, slots=True, eq=False)
class SessionCreatedEventArgs:
    """A session was opened (RavenDB: SessionCreatedEventArgs).

    Attributes:
        session: The session.
    """

    session: Any


@dataclass(frozen=True, slots=True, eq=False)
class SessionClosingEventArgs:
    """A session is about to be closed (RavenDB: SessionClosingEventArgs).

    Attributes:
        session: The session.
    """

    session: Any


@dataclass(frozen=True, slots=True, eq=False)
class BeforeStoreEventArgs:
    """A document is about to be written (RavenDB: BeforeStoreEventArgs).

    Attributes:
        session: The session.
        document_id: The document's id.
        entity: The entity; changes of it are written.
    """

    session: Any
    document_id: str
    entity: Any = field(repr=False)
    _metadata: list[MetadataAsDictionary] = field(default_factory=list, init=False, repr=False)

    @property
    def document_metadata(self) -> MetadataAsDictionary:
        """The document's metadata; changes of it are written."""
        if not self._metadata:
            self._metadata.append(self.session.advanced.get_metadata_for(self.entity))
        return self._metadata[0]

    @property
    def is_metadata_accessed(self) -> bool:
        """True once a handler has asked for `document_metadata`."""
        return bool(self._metadata)


@dataclass(frozen=True, slots=True, eq=False)
class AfterSaveChangesEventArgs:
    """A document was written (RavenDB: AfterSaveChangesEventArgs).

    Attributes:
        session: The session.
        document_id: The document's id.
        entity: The entity.
    """

    session: Any
    document_id: str
    entity: Any = field(repr=False)

    @property
    def document_metadata(self) -> MetadataAsDictionary:
        """The document's metadata, with its new change vector."""
        metadata: MetadataAsDictionary = self.session.advanced.get_metadata_for(self.entity)
        return metadata


@dataclass(frozen=True, slots=True, eq=False)
class BeforeDeleteEventArgs:
    """A loaded document is about to be deleted (RavenDB: BeforeDeleteEventArgs).

    Attributes:
        session: The session.
        key: The document's id.
        entity: The entity.
    """

    session: Any
    key: str
    entity: Any = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class BeforeConversionToDocumentEventArgs:
    """An entity is about to become a document (RavenDB: BeforeConversionToDocumentEventArgs).

    Attributes:
        key: The document's id.
        entity: The entity; changes of it are written.
        session: The session.
    """

    key: str
    entity: Any = field(repr=False)
    session: Any


@dataclass(frozen=True, slots=True, eq=False)
class AfterConversionToDocumentEventArgs:
    """An entity became a document (RavenDB: AfterConversionToDocumentEventArgs).

    Attributes:
        session: The session.
        key: The document's id.
        entity: The entity.
        document: What is about to be written, as JSON's types; changes of it are written. Its
            `@metadata` can only be read.
    """

    session: Any
    key: str
    entity: Any = field(repr=False)
    document: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class BeforeConversionToEntityEventArgs:
    """A document that was loaded is about to become an entity (RavenDB: BeforeConversionToEntityEventArgs).

    Attributes:
        session: The session.
        key: The document's id.
        object_type: The class of the entity; `dict` for documents without one.
        document: The document as JSON's types; the entity is made of what handlers leave. Its
            `@metadata` can only be read.
    """

    session: Any
    key: str
    object_type: type
    document: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class AfterConversionToEntityEventArgs:
    """A document that was loaded became an entity (RavenDB: AfterConversionToEntityEventArgs).

    Attributes:
        session: The session.
        key: The document's id.
        document: The document that the entity was made of.
        entity: The entity; changes of it do not count as changes of the document.
    """

    session: Any
    key: str
    document: dict[str, Any] = field(repr=False)
    entity: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestDescription:
    """One request: what it is, not what it holds.

    Attributes:
        operation: The session's method that sends it, such as `load`; else what the store does, such as `take_ids`.
        statements: How many SQL statements it carries.
        is_write: True where they change something.
        collections: The collections that it is about, sorted, as far as the store knows them.
        by_store: True where it is none of a session's requests: ranges of ids, the catalogue, tables that are made on
            first use, and what `store.maintenance` and `store.operations` do.
    """

    operation: str
    statements: int
    is_write: bool
    collections: tuple[str, ...] = ()
    by_store: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BeforeRequestEventArgs:
    """A request is about to be sent (RavenDB: BeforeRequestEventArgs).

    Attributes:
        database: The database (a schema).
        url: The server, without a password; empty where somebody else owns the connection.
        request: What the request is.
        attempt_number: 1; a read that is sent again is no new request.
    """

    database: str
    url: str
    request: RequestDescription
    attempt_number: int


@dataclass(frozen=True, slots=True, eq=False)
class SucceedRequestEventArgs:
    """A request was answered (RavenDB: SucceedRequestEventArgs).

    Attributes:
        database: The database (a schema).
        url: The server, without a password; empty where somebody else owns the connection.
        request: What the request was.
        attempt_number: How often it was sent: 2 where the connection of a read broke, and another one carried it; 0
            where others had taken a range of ids meanwhile, which did for this one, too.
        rows: How many rows came back.
        seconds: How long it took, waiting for a connection included.
        documents: How many documents a save wrote, deleted or checked; else how many of the rows are documents.
        bytes_sent: About how many bytes the values took that were sent.
        bytes_received: The same for what came back.
    """

    database: str
    url: str
    request: RequestDescription
    attempt_number: int
    rows: int
    seconds: float
    documents: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class FailedRequestEventArgs:
    """A request failed, or was refused by the server (RavenDB: FailedRequestEventArgs).

    Attributes:
        database: The database (a schema).
        url: The server, without a password; empty where somebody else owns the connection.
        exception: What happened.
        request: What the request was.
        attempt_number: How often it was sent; 0 where nothing was.
        seconds: How long it took, waiting for a connection included.
    """

    database: str
    url: str
    exception: BaseException
    request: RequestDescription
    attempt_number: int
    seconds: float

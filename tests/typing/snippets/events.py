"""What a type checker makes of events; checked, never run."""

from typing import assert_type

from docsession import (
    AfterSaveChangesEventArgs,
    AsyncDocumentSession,
    AsyncDocumentStore,
    BeforeQueryEventArgs,
    BeforeStoreEventArgs,
    DocumentSession,
    DocumentStore,
    MetadataAsDictionary,
    SessionClosingEventArgs,
)


def blocking(store: DocumentStore, session: DocumentSession) -> None:
    @store.add_before_store
    def stamp(args: BeforeStoreEventArgs) -> None:
        assert_type(args.document_id, str)
        assert_type(args.document_metadata, MetadataAsDictionary)

    store.remove_before_store(stamp)
    session.add_before_store(stamp)
    session.advanced.add_before_store(stamp)
    session.add_before_query(narrow)
    store.add_before_store(lambda args: args.document_metadata.update(by="ann"))
    store.add_before_close(lambda: print("closing"))
    store.add_on_session_creation(lambda args: args.session.add_before_store(stamp))


def narrow(args: BeforeQueryEventArgs) -> None:
    args.query_customization.query = args.query_customization.query.where(deleted=False)
    args.query_customization.no_tracking()


async def awaited(store: AsyncDocumentStore, session: AsyncDocumentSession) -> None:
    @store.add_after_save_changes
    async def tell(args: AfterSaveChangesEventArgs) -> None:
        assert_type(args.document_id, str)

    store.remove_after_save_changes(tell)
    session.add_after_save_changes(tell)

    async def close() -> None: ...

    store.add_before_close(close)


def mistakes(store: DocumentStore, session: DocumentSession) -> None:
    def closing(args: SessionClosingEventArgs) -> None: ...

    store.add_before_store(closing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    store.add_before_close(closing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    session.add_on_before_request(closing)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

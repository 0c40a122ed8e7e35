"""What store, session and conventions look like in a debugger: short, and without secrets."""

import pytest

from docsession import (
    AsyncDocumentStore,
    DocumentConventions,
    DocumentStore,
    OptimisticConcurrencyMode,
)

URL = "postgresql://ann:secret@db.example:5433/app"


@pytest.mark.parametrize("cls", [DocumentStore, AsyncDocumentStore])
def test_a_store_names_its_place(cls):
    store = cls(URL, "shop")
    assert repr(store) == f"<{cls.__name__} of 'shop' on db.example:5433, database 'app' as 'ann'>"
    assert repr(cls()) == f"<{cls.__name__} of 'docsession' on its default server>"


def test_a_closed_store_says_so():
    store = DocumentStore(URL)
    store.close()
    assert repr(store).endswith(", closed>")
    assert "secret" not in repr(store)


def test_a_session_says_what_it_holds():
    class Note:
        pass

    with DocumentStore(URL) as store:
        session = store.open_session("shop")
        session.store(Note(), "notes/1")
        assert repr(session) == "<DocumentSession of 'shop', 1 tracked, 0 of 30 requests>"
        session.close()
        assert repr(session) == "<DocumentSession of 'shop', closed>"
        assert repr(store.open_session()) == "<DocumentSession of 'docsession', 0 tracked, 0 of 30 requests>"


def test_a_loader_says_that_it_is_none():
    with DocumentStore(URL) as store, store.open_session() as session:
        assert repr(session.include("company")) == (
            "<LoaderWithInclude, whose load(id, Company) returns a dict of documents by id>"
        )
        assert repr(session.advanced.lazily.include("company")) == (
            "<LazyLoaderWithInclude, whose load(id, Company) returns a Lazy of a dict of documents by id>"
        )


def test_conventions_name_what_was_set():
    assert repr(DocumentConventions()) == "DocumentConventions()"
    conventions = DocumentConventions(auto_create=False, optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
    mode = OptimisticConcurrencyMode.WRITES
    assert repr(conventions) == f"DocumentConventions(auto_create=False, optimistic_concurrency_mode={mode!r})"

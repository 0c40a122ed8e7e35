"""Whatever is used wrongly is an error of one tree, each reason its own, that says what to do."""

import asyncio
import inspect
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

import docsession
from docsession import (
    AsyncAdvancedSession,
    AsyncDocumentSession,
    DocSessionError,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    SessionBusyException,
    SessionClosedException,
    StoreClosedException,
)
from docsession import _errors as tree
from tests.support.beside import begin, outsider, settle
from tests.support.documents import read, save
from tests.support.operations import OPERATIONS, TAKE_IDS, TAKE_VECTORS, Company
from tests.support.refusals import PAGE, refused


@dataclass
class Note:
    text: str
    id: str | None = None


def test_every_method_of_a_session_is_among_the_operations():
    methods = {
        name
        for face in (AsyncDocumentSession, AsyncAdvancedSession)
        for name, value in inspect.getmembers(face, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods - {name for name, _ in OPERATIONS} == {
        "batch",
        "document_query",
        "query_collection",
        "close",
        "include",
        "rolled_back",
        "transaction",
        "raw_query",
    }


class TestTwoAtOnce:
    """A second thread or task inside a busy session."""

    async def test_every_operation_is_refused_and_both_are_named(self, store, face, postgres_url, database):
        await save(store, (Company("old"), "companies/1"))
        session = store.open_session()
        company = await session.load("companies/1", Company)
        company.name = "new"
        with outsider(postgres_url, database) as program:
            program.hold("companies", "companies/1")
            saving = begin(face, session.save_changes)
            await program.until_others_wait()
            for name, operation in [*OPERATIONS, ("close", lambda s, e: s.close())]:
                with refused(SessionBusyException, f"{name}()", "save_changes()", "open one for each"):
                    await settle(operation(session, company))
            program.let_go()
        await saving
        # The first operation is none the worse for it.
        assert not session.advanced.has_changes()
        assert (await read(store, "companies/1", Company)).name == "new"

    async def test_leaving_by_an_error_keeps_the_error(self, store, face, postgres_url, database):
        """The call that is inside ends as it would; none is possible after it."""
        await save(store, (Company("old"), "companies/1"))
        session = store.open_session()
        company = await session.load("companies/1", Company)
        company.name = "new"
        with outsider(postgres_url, database) as program:
            program.hold("companies", "companies/1")
            saving = begin(face, session.save_changes)
            await program.until_others_wait()
            with refused(SessionBusyException, "close()", "save_changes()"):
                async with session:
                    pass
            with pytest.raises(ZeroDivisionError):
                async with session:
                    raise ZeroDivisionError
            program.let_go()
        await saving
        assert (await read(store, "companies/1", Company)).name == "new"
        with refused(SessionClosedException, "load()"):
            await session.load("companies/1", Company)

    async def test_tasks_at_once(self, store, face):
        await save(store, (Company("old"), "companies/1"))
        if not face.is_async:
            return
        async with store.open_session() as session:
            results = await asyncio.gather(
                *(session.load(f"companies/{i}", Company) for i in range(1, 4)), return_exceptions=True
            )
            assert [type(each) for each in results] == [Company, SessionBusyException, SessionBusyException]
            assert await session.load("companies/2", Company) is None
        with refused(SessionBusyException, "load() was called while load()"):
            async with store.open_session() as session:
                await asyncio.gather(*(session.load(f"companies/{i}", Company) for i in range(1, 4)))

    async def test_a_session_that_failed_is_not_busy(self, store):
        async with store.open_session() as session:
            with refused(InvalidArgumentTypeException):
                await session.load(5)
            assert await session.load("companies/1") is None


class TestAfterClose:
    async def test_every_operation_of_a_closed_session_is_refused(self, store):
        await save(store, (Company("old"), "companies/1"))
        session = store.open_session()
        company = await session.load("companies/1", Company)
        await session.close()
        for name, operation in OPERATIONS:
            with refused(SessionClosedException, f"{name}()", "open a new one"):
                await settle(operation(session, company))
        await session.close()

    async def test_every_use_of_a_closed_store_is_refused(self, store):
        await save(store, (Company("old"), "companies/1"))
        session = store.open_session()
        company = await session.load("companies/1", Company)
        await store.close()
        company.name = "new"
        for use in (
            store.open_session,
            store.initialize,
            lambda: store.maintenance.get_database_names(),  # noqa: PLW0108  # `maintenance` refuses already
            lambda: store.maintenance.get_collection_statistics(),  # noqa: PLW0108  # the same
            lambda: store.maintenance.create_database("other"),
            lambda: store.maintenance.delete_database("other"),
            lambda: session.load("companies/2"),
            session.save_changes,
            lambda: session.store(Company("without an id")),
        ):
            with refused(StoreClosedException, "closed", "make a new one"):
                await settle(use())
        await store.close()
        assert store.disposed

    async def test_what_asks_the_server_nothing_still_works_after_the_store_is_closed(self, store):
        async with store.open_session() as session:
            company = Company("new")
            await session.store(company, "companies/1")
            await store.close()
            assert session.advanced.get_document_id(company) == "companies/1"


class Unusual(dict):
    pass


NO_ENTITIES = {
    "an int": 1, "a str": "companies/1", "bytes": b"x", "a float": 1.5, "a bool": True, "a list": [Company("x")],
    "a tuple": (1,), "a set": {1}, "a class": Company, "a module": docsession, "None": None, "a function": lambda: 1,
    "a method": Company("x").__eq__, "a built-in": len, "a generator": (x for x in ()), "an object": object(),
    "a UUID": uuid.uuid4(), "an Enum": OptimisticConcurrencyMode.NONE, "an error": ValueError("x"), "a range": range(3),
    "another dict": Unusual(), "an Ellipsis": ...,
}  # fmt: skip


class TestEntities:
    @pytest.mark.parametrize("what", NO_ENTITIES)
    async def test_what_is_no_entity_is_refused_with_what_can_be_stored(self, store, what):
        async with store.open_session() as session:
            for key in ("things/1", None):
                with refused(InvalidArgumentTypeException):
                    await session.store(NO_ENTITIES[what], key)
            assert not session.advanced.has_changes()
            assert not session.advanced.get_tracked_entities()

    @pytest.mark.parametrize("what", [each for each in NO_ENTITIES if each != "None"])
    async def test_it_is_no_class_to_load_either(self, store, what):
        async with store.open_session() as session:
            for asked in ("things/1", ["things/1"]):
                with refused(InvalidArgumentTypeException):
                    await session.load(asked, type(NO_ENTITIES[what]))

    async def test_an_untracked_entity_is_not_deleted(self, store):
        await save(store, (Company("old"), "companies/1"))
        async with store.open_session() as session:
            for entity in (Company("x"), Company("x", "companies/1"), {"id": "companies/1"}):
                with refused(InvalidOperationException, "not associated with the session", "delete()"):
                    session.delete(entity)
            assert not session.advanced.has_changes()

    async def test_an_entity_of_another_session_is_not_deleted(self, store):
        await save(store, (Company("old"), "companies/1"))
        company = await read(store, "companies/1", Company)
        async with store.open_session() as session:
            await session.load("companies/1", Company)
            with refused(InvalidOperationException, "not associated with the session"):
                session.delete(company)

    async def test_what_is_asked_about_an_untracked_entity_is_refused(self, store):
        async with store.open_session() as session:
            advanced = session.advanced
            for ask in (advanced.what_changed_for, advanced.ignore_changes_for):
                with refused(InvalidOperationException, "not associated with the session"):
                    ask(Company("x"))
            for ask in (
                advanced.refresh, advanced.get_metadata_for, advanced.get_change_vector_for,
                advanced.get_last_modified_for,
            ):  # fmt: skip
                with refused(InvalidArgumentException, "not associated with the session"):
                    await settle(ask(Company("x")))
            with refused(InvalidOperationException):
                advanced.replace(Company("x"), Company("y"))
            assert advanced.get_document_id(Company("x")) is None
            assert not advanced.has_changed(Company("x"))


WRONG_TYPES = [5, 1.5, True, b"companies/1", uuid.uuid4(), object(), Path("companies/1"), {"a": 1}.items(), Company]


class TestWrongTypes:
    @pytest.mark.parametrize("entry", TAKE_IDS)
    async def test_an_id_that_is_no_str_is_refused_everywhere(self, store, entry):
        async with store.open_session() as session:
            for wrong in WRONG_TYPES:
                with refused(InvalidArgumentTypeException):
                    await settle(TAKE_IDS[entry](session, wrong))
            assert not session.advanced.has_changes()
            assert session.advanced.number_of_requests == 0

    @pytest.mark.parametrize("entry", TAKE_VECTORS)
    async def test_a_change_vector_that_is_no_str_is_refused_everywhere(self, store, entry):
        async with store.open_session() as session:
            for wrong in (5, 1.5, True, b"1", object()):
                with refused(InvalidArgumentTypeException, "get_change_vector_for()"):
                    await settle(TAKE_VECTORS[entry](session, wrong))
            assert not session.advanced.has_changes()

    async def test_an_entitys_own_id_that_is_no_str(self, store):
        async with store.open_session() as session:
            for wrong in (5, b"companies/1", uuid.uuid4()):
                with refused(InvalidArgumentTypeException, "str"):
                    await session.store(Company("x", wrong))

    async def test_numbers_of_documents(self, store):
        async with store.open_session() as session:
            for wrong in (-1, "1", 1.5, 2**63):
                for name in ("start", "page_size"):
                    with refused(InvalidArgumentException, name):
                        await session.advanced.load_starting_with("companies/", **{name: wrong})
            for wrong in (0, -1, "30", None):
                with refused(InvalidArgumentException, "1 request or more"):
                    session.advanced.max_number_of_requests_per_session = wrong

    async def test_includes_that_are_no_function_and_paths_that_are_none(self, store):
        async with store.open_session() as session:
            with refused(InvalidArgumentTypeException, "lambda", "include_documents"):
                await session.load("companies/1", Company, includes="name")
            for path in (5, None, ["name"]):
                with refused(InvalidArgumentTypeException, "path"):
                    session.include(path)
            for path in ("", ".", "a..b", lambda c: 5, lambda c: c, lambda c: c.name + 1):
                with refused(InvalidArgumentException, "path"):
                    session.include(path)
            for target in (5, "Company", dict, int):
                with refused(InvalidArgumentTypeException):
                    await session.include("name", target).load("companies/1", Company)

    async def test_an_optimistic_concurrency_mode_that_is_none(self, store):
        async with store.open_session() as session:
            with refused(InvalidArgumentTypeException, "OptimisticConcurrencyMode"):
                session.advanced.optimistic_concurrency_mode = "Writes"

    async def test_replacing_by_another_class(self, store):
        async with store.open_session() as session:
            company = Company("x")
            await session.store(company, "companies/1")
            with refused(InvalidArgumentTypeException, "Company", "Note"):
                session.advanced.replace(company, Note("x"))


class TestTheTree:
    CLASSES = [
        value
        for name, value in vars(tree).items()
        if isinstance(value, type) and issubclass(value, DocSessionError) and not name.startswith("_")
    ]

    @pytest.mark.parametrize("kind", CLASSES)
    def test_every_error_is_public_has_a_code_of_its_own_and_a_section(self, kind):
        assert getattr(docsession, kind.__name__) is kind
        assert kind.__name__ in docsession.__all__
        assert re.fullmatch(r"ds\d{3}", vars(kind)["code"])
        assert isinstance(kind.retryable, bool)
        assert f"({kind.code})=\n## {kind.code}: {kind.__name__}\n" in PAGE

    def test_every_error_stands_in_the_drawing_of_the_tree(self):
        drawn = re.findall(r"^ +(?:\|? +)*\+-- (\w+)", tree.__doc__, re.MULTILINE)
        assert sorted([*drawn, "DocSessionError"]) == sorted(kind.__name__ for kind in self.CLASSES)

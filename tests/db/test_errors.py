"""Whatever goes wrong is an error of one tree, each reason its own; it says what to do and holds no password."""

import asyncio
import contextlib
import inspect
import logging
import re
import socket
import time
import traceback
import uuid
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import docsession
from docsession import (
    AsyncAdvancedSession,
    AsyncDocumentSession,
    AuthenticationException,
    ConnectionFailedException,
    DatabaseDoesNotExistException,
    DocSessionError,
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    PermissionDeniedException,
    PoolTimeoutException,
    RavenException,
    RequestTimeoutException,
    SessionBusyException,
    SessionClosedException,
    SessionOptions,
    StoreClosedException,
    TableDoesNotExistException,
    TransactionMode,
    TransactionRetryException,
)
from docsession import _errors as tree
from tests.support.beside import begin, outsider, settle
from tests.support.documents import read, remove, save
from tests.support.operations import OPERATIONS, TAKE_IDS, TAKE_VECTORS, Company
from tests.support.proxy import Proxy

SECRET = "s3cret-Pässword"
PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")


@dataclass
class Note:
    text: str
    id: str | None = None


@contextlib.contextmanager
def refused(kind, *words, cause=None):
    """Expect an error of exactly this class, with these words, a section in the docs, and no password anywhere."""
    with pytest.raises(DocSessionError) as caught:
        yield caught
    error = caught.value
    assert type(error) is kind
    for word in words:
        assert word in str(error), str(error)
    assert f"({error.code})=" in PAGE
    if cause is not None:
        assert isinstance(error.__cause__, cause)
    assert SECRET not in "".join(traceback.format_exception(error)) + repr(error)


def test_every_method_of_a_session_is_among_the_operations():
    methods = {
        name
        for face in (AsyncDocumentSession, AsyncAdvancedSession)
        for name, value in inspect.getmembers(face, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods - {name for name, _ in OPERATIONS} == {"close", "include"}


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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def every_request(store):
    """Yield what asks the server, of session and store."""
    # The first two are answered without the server.
    for name, operation in OPERATIONS[2:]:
        if name in {"load", "exists", "conditional_load", "load_starting_with"}:
            async with store.open_session() as session:
                yield operation(session, None)
    async with store.open_session() as session:
        yield session.store(Company("without an id"))
    async with store.open_session() as session:
        await session.store(Company("x"), "companies/1")
        yield session.save_changes()
    async with store.open_session() as session:
        session.delete("companies/1")
        yield session.save_changes()
    yield store.maintenance.get_database_names()
    yield store.maintenance.get_collection_statistics()
    yield store.maintenance.create_database("other")
    yield store.maintenance.delete_database("other")


class TestConnecting:
    async def all_fail(self, store, kind, *words):
        """Every request fails for the same reason, at once, and leaves the session as it was."""
        async for request in every_request(store):
            begun = time.monotonic()
            with refused(kind, *words, cause=psycopg.OperationalError):
                await request
            assert time.monotonic() - begun < 2

    async def test_a_server_that_is_down(self, make_store):
        store = make_store(f"postgresql://ann:{SECRET}@127.0.0.1:{free_port()}/shop")
        await self.all_fail(store, ConnectionFailedException, "127.0.0.1", "Check that the server runs")

    async def test_a_wrong_password(self, make_store, postgres_url):
        store = make_store(make_conninfo(postgres_url, password=SECRET))
        await self.all_fail(store, AuthenticationException, "Check those of the URL")

    async def test_a_role_that_does_not_exist(self, make_store, postgres_url):
        store = make_store(make_conninfo(postgres_url, user="no_such_role", password=SECRET))
        await self.all_fail(store, AuthenticationException, "no_such_role", "Check those of the URL")

    async def test_a_postgresql_database_that_does_not_exist(self, make_store, postgres_url):
        store = make_store(make_conninfo(postgres_url, dbname="no such db"))
        await self.all_fail(store, DatabaseDoesNotExistException, "no such db", "Create it, or name another one")

    async def test_only_what_cannot_help_is_not_retryable(self):
        assert ConnectionFailedException.retryable
        assert PoolTimeoutException.retryable
        assert not AuthenticationException.retryable

    async def test_a_save_that_failed_so_is_repeated_when_the_server_is_back(self, make_store, postgres_url):
        with Proxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            proxy.refuse()
            async with store.open_session() as session:
                company = Company("x")
                await session.store(company, "companies/1")
                with refused(ConnectionFailedException):
                    await session.save_changes()
                assert session.advanced.has_changes()
                proxy.refuse(False)
                await session.save_changes()
                assert not session.advanced.has_changes()

    async def test_a_store_closes_though_its_server_is_gone(self, make_store, postgres_url):
        with Proxy(postgres_url) as proxy:
            store = make_store(proxy.url)
            await save(store, Company("x"))
            proxy.refuse()
            proxy.cut_all()
            await store.close()


@pytest.fixture
def production(make_store):
    """A store as in production: it makes nothing by itself."""
    conventions = DocumentConventions()
    conventions.auto_create = False
    return make_store(conventions=conventions)


class TestMissingTables:
    async def test_a_database_that_is_missing_names_the_command(self, production, database):
        async with production.open_session() as session:
            await session.store(Company("x"), "companies/1")
            for use in (
                session.save_changes,
                lambda: session.store(Company("without an id")),
                lambda: session.store({"name": "without a class"}, "companies/2"),
                lambda: session.load("companies/2", Company),
                lambda: session.load(["companies/2", "x"]),
                lambda: session.include("name").load("companies/2"),
                lambda: session.advanced.exists("companies/2"),
                lambda: session.advanced.conditional_load("companies/2", "1"),
                lambda: session.advanced.load_starting_with("companies/"),
                production.maintenance.get_collection_statistics,
            ):
                with refused(
                    DatabaseDoesNotExistException, f"docsession upgrade --database {database}", "auto_create",
                    cause=TableDoesNotExistException,
                ):  # fmt: skip
                    await settle(use())

    async def test_a_table_that_is_missing_names_the_command(self, production, make_store, database, rows):
        maker = make_store()
        await save(maker, (Note("n"), "notes/1"))
        command = f"docsession upgrade --database {database} --collection Companies"
        async with production.open_session() as session:
            for entities in ([(Company("x"), "companies/1")], [(Company("y"), "companies/2"), (Note("m"), "notes/2")]):
                for entity, key in entities:
                    await session.store(entity, key)
                with refused(TableDoesNotExistException, command, "Companies", cause=TableDoesNotExistException):
                    await session.save_changes()
                assert session.advanced.has_changes()
            assert rows.ids("notes") == ["notes/1"]
            assert await maker.maintenance.get_collection_statistics() == {"Notes": 1}
            # A load finds nothing, and creates nothing.
            assert await session.load("companies/9", Company) is None
            # Another process has made it meanwhile: the same session saves.
            await save(maker, (Company("z"), "companies/3"))
            await session.save_changes()
            assert rows.ids("companies") == ["companies/1", "companies/2", "companies/3"]

    async def test_the_command_can_be_pasted_into_a_shell(self, make_store):
        conventions = DocumentConventions()
        conventions.auto_create = False
        store = make_store(database="it's $(date)", conventions=conventions)
        with refused(DatabaseDoesNotExistException, """docsession upgrade --database 'it'"'"'s $(date)'"""):
            await read(store, "companies/1")

    async def test_a_table_of_somebody_elses_is_not_taken(self, store, postgres_url, database):
        await save(store, (Note("n"), "notes/1"))
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(database, "companies")))
        with refused(RavenException, "companies", "not one of docsession", cause=psycopg.Error):
            await save(store, (Company("x"), "companies/1"))


@pytest.fixture
def make_role(postgres_url, database):
    """Make roles that may log in and nothing else; gives URLs."""
    made = []
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def make(*grants):
            name = f"role_{uuid.uuid4().hex[:10]}"
            made.append(name)
            role, schema = sql.Identifier(name), sql.Identifier(database)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(SECRET)))
            for grant in grants:
                connection.execute(sql.SQL(grant).format(role=role, schema=schema))
            return make_conninfo(postgres_url, user=name, password=SECRET)

        yield make
        for name in made:
            connection.execute(sql.SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=sql.Identifier(name)))


USAGE = "GRANT USAGE ON SCHEMA {schema} TO {role}"
READ = "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"
WRITE = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"


class TestRights:
    async def test_a_role_that_may_not_make_a_database(self, make_store, make_role):
        store = make_store(make_role())
        for use in (
            lambda: save(store, (Company("x"), "companies/1")),
            lambda: save(store, Company("x")),
            lambda: store.maintenance.create_database("other"),
        ):
            with refused(PermissionDeniedException, "Grant the right", cause=psycopg.Error):
                await use()
        assert await read(store, "companies/1") is None

    async def test_a_role_without_any_right(self, store, make_store, make_role):
        await save(store, (Company("x"), "companies/1"))
        other = make_store(make_role())
        for use in (
            lambda: read(other, "companies/1", Company),
            lambda: save(other, (Company("x"), "companies/1")),
            lambda: save(other, Company("x")),
            lambda: remove(other, "companies/1"),
            other.maintenance.get_collection_statistics,
        ):
            with refused(PermissionDeniedException, "Grant the right", cause=psycopg.Error):
                await use()

    async def test_a_role_that_may_only_read(self, store, make_store, make_role):
        await save(store, (Company("x"), "companies/1"))
        reader = make_store(make_role(USAGE, READ))
        assert (await read(reader, "companies/1", Company)).name == "x"
        for use in (
            lambda: save(reader, (Company("y"), "companies/1")),
            lambda: save(reader, Company("y")),
            lambda: remove(reader, "companies/1"),
        ):
            with refused(PermissionDeniedException, "Grant the right", cause=psycopg.Error):
                await use()
        assert (await read(reader, "companies/1", Company)).name == "x"

    async def test_a_role_that_may_write_needs_no_right_to_make_tables(self, store, make_store, make_role):
        await save(store, (Company("x"), "companies/1"), (Note("x"), "notes/1"))
        writer = make_store(make_role(USAGE, WRITE))
        await save(writer, (Company("y"), "companies/1"), (Note("y"), "companies/1/note"))
        key = await save(writer, Company("z"))
        await remove(writer, "companies/1", "nowhere/1")
        assert await read(writer, "companies/1", Company) is None
        assert (await read(writer, key, Company)).name == "z"
        assert (await read(writer, "companies/1/note", Note)).text == "y"

        class Order:
            pass

        with refused(PermissionDeniedException, "Grant the right", cause=psycopg.Error):
            await save(writer, (Order(), "orders/1"))
        await writer.maintenance.create_database(store.database)


class TestWaiting:
    async def test_an_exhausted_pool_is_an_error_after_the_timeout(self, make_store, face, postgres_url, database):
        store = make_store(max_size=1, timeout=0.4)
        await save(store, (Company("x"), "companies/1"), (Company("y"), "companies/2"))
        with outsider(postgres_url, database) as program:
            program.hold("companies", "companies/1")
            saving = begin(face, lambda: save(store, (Company("new"), "companies/1")))
            await program.until_others_wait()
            begun = time.monotonic()
            with refused(PoolTimeoutException, "max_size 1", "0.4 s", "raise max_size or timeout"):
                await read(store, "companies/2", Company)
            assert 0.4 <= time.monotonic() - begun < 2
            program.let_go()
        await saving
        assert (await read(store, "companies/1", Company)).name == "new"

    async def test_a_statement_that_takes_too_long(self, make_store, postgres_url, database):
        store = make_store(make_conninfo(postgres_url, options="-c statement_timeout=100ms"))
        await save(store, (Company("x"), "companies/1"), (Company("y"), "companies/2"))
        async with store.open_session() as session:
            companies = await session.load(["companies/1", "companies/2"], Company)
            with outsider(postgres_url, database) as program:
                program.hold("companies", "companies/2")
                for company in companies.values():
                    company.name = "new"
                with refused(RequestTimeoutException, "statement_timeout", cause=psycopg.errors.QueryCanceled):
                    await session.save_changes()
                assert (await read(store, "companies/1", Company)).name == "x"
                program.let_go()
                program.hold_table("companies")
                with refused(RequestTimeoutException, "statement_timeout", cause=psycopg.errors.QueryCanceled):
                    await read(store, "companies/1", Company)
                program.let_go()
            assert session.advanced.has_changes()
            await session.save_changes()
        assert (await read(store, "companies/1", Company)).name == "new"

    async def test_a_lock_that_does_not_become_free(self, make_store, postgres_url, database):
        store = make_store(make_conninfo(postgres_url, options="-c lock_timeout=100ms"))
        await save(store, (Company("x"), "companies/1"))
        with outsider(postgres_url, database) as program:
            program.hold("companies", "companies/1")
            with refused(RequestTimeoutException, "repeat it", cause=psycopg.errors.LockNotAvailable):
                await save(store, (Company("y"), "companies/1"))

    async def test_a_deadlock_with_another_program_may_be_repeated(self, make_store, face, postgres_url, database):
        store = make_store(make_conninfo(postgres_url, options="-c deadlock_timeout=300ms"))
        await save(store, (Company("x"), "companies/1"), (Company("x"), "companies/2"))
        async with store.open_session() as session:
            for company in (await session.load(["companies/1", "companies/2"], Company)).values():
                company.name = "new"
            with outsider(postgres_url, database) as program:
                program.hold("companies", "companies/2")
                saving = begin(face, session.save_changes)
                await program.until_others_wait()
                crossing = asyncio.ensure_future(asyncio.to_thread(program.hold, "companies", "companies/1"))
                with refused(
                    TransactionRetryException, "Nothing was written", cause=psycopg.errors.DeadlockDetected
                ) as caught:
                    await saving
                await crossing
            assert caught.value.retryable
            await session.save_changes()
        assert (await read(store, "companies/1", Company)).name == "new"

    async def test_a_serialization_failure_may_be_repeated(self, make_store, face, postgres_url, database):
        options = r"-c default_transaction_isolation=repeatable\ read"
        store = make_store(make_conninfo(postgres_url, options=options))
        await save(store, (Company("x"), "companies/1"))
        async with store.open_session() as session:
            company = await session.load("companies/1", Company)
            company.name = "new"
            with outsider(postgres_url, database) as program:
                program.run("UPDATE {} SET version = version + 1", "companies")
                saving = begin(face, session.save_changes)
                await program.until_others_wait()
                program.commit()
                with refused(TransactionRetryException, cause=psycopg.errors.SerializationFailure) as caught:
                    await saving
            assert caught.value.retryable
            await session.save_changes()

    async def test_a_server_that_may_only_be_read(self, make_store, postgres_url):
        store = make_store(make_conninfo(postgres_url, options="-c default_transaction_read_only=on"))
        with refused(RavenException, "read-only", "primary", cause=psycopg.errors.ReadOnlySqlTransaction):
            await save(store, (Company("x"), "companies/1"))


class TestUrls:
    @pytest.mark.parametrize(
        "urls",
        [None, "", "  ", [], [None], [""], "companies", "mysql://ann@host/db", "http://localhost:8080",
         "postgresql+asyncpg://ann@host/db", "host='x"],
    )  # fmt: skip
    def test_what_is_no_url_of_a_postgresql_is_refused_at_once(self, face, urls):
        with refused(InvalidArgumentException):
            face.store(urls)

    @pytest.mark.parametrize("urls", [5, b"postgresql://host/db", {"host": "x"}, [5], Path("/tmp")])
    def test_what_is_no_text_too(self, face, urls):
        with refused(InvalidArgumentTypeException, "postgresql://" if not isinstance(urls, list) else "str"):
            face.store(urls)

    def test_a_forgotten_variable_never_becomes_an_empty_database(self, face):
        for urls in (None, ""):
            with refused(InvalidArgumentException, "environment variable", "DOCSESSION_URL"):
                face.store(urls)

    async def test_an_empty_variable_is_refused_at_the_first_use(self, make_store, monkeypatch, face):
        for value in ("", " ", "http://localhost"):
            monkeypatch.setenv("DOCSESSION_URL", value)
            with refused(InvalidArgumentException, "DOCSESSION_URL"):
                await settle(face.store().initialize())

    async def test_the_variable_is_taken_where_nothing_is_given(self, face, postgres_url, database, monkeypatch):
        monkeypatch.setenv("DOCSESSION_URL", postgres_url)
        async with face.store(database=database) as store:
            await save(store, (Company("x"), "companies/1"))
            assert database in await store.maintenance.get_database_names()
            assert store.embedded_server is None

    async def test_every_form_of_url(self, make_store, postgres_url):
        info = conninfo_to_dict(postgres_url)
        host, port = info["host"], info.get("port", "5432")
        place = f"{info['user']}:{info['password']}@/{info['dbname']}?host={host}&port={port}"
        for url in (
            f"postgresql://{place}",
            f"postgres://{place}",
            f"postgresql+psycopg://{place}",
            make_conninfo(postgres_url),
            [f"postgresql://{place}"],
        ):
            store = make_store(url)
            await save(store, (Company("x"), "companies/1"))
            assert (await read(store, "companies/1", Company)).name == "x"
            await store.close()

    async def test_of_several_hosts_the_first_that_accepts_is_used(self, make_store, postgres_url):
        info = conninfo_to_dict(postgres_url)
        live, port = info["host"], info.get("port", "5432")
        dead = free_port()
        one = make_conninfo(postgres_url, host=f"127.0.0.1,{live}", port=f"{dead},{port}")
        several = [make_conninfo(postgres_url, host="127.0.0.1", port=str(dead)), make_conninfo(postgres_url)]
        for urls in (one, several):
            store = make_store(urls)
            await save(store, (Company("x"), "companies/1"))
            assert (await read(store, "companies/1", Company)).name == "x"

    def test_several_urls_are_of_one_database(self, face):
        with refused(InvalidArgumentException, "dbname", "password"):
            face.store([f"postgresql://ann:{SECRET}@one/shop", "postgresql://ann:other@two/bookshop"])

    @pytest.mark.parametrize(
        "options",
        [{"min_size": -1}, {"max_size": 0}, {"min_size": 3, "max_size": 2}, {"timeout": 0}, {"timeout": float("nan")},
         {"connect_timeout": 0}, {"max_idle": -1}, {"max_lifetime": 0}, {"prepare_threshold": -1}, {"prepared_max": 0},
         {"database": ""}, {"database": "pg_shop"}, {"database": "x" * 64}],
    )  # fmt: skip
    def test_options_out_of_range_are_refused_by_name(self, face, options):
        with refused(InvalidArgumentException, next(iter(options)).split("_")[0]):
            face.store("postgresql://host/db", **options)


class TestOpeningSessions:
    def test_a_database_given_twice_differently_is_refused(self, store):
        with refused(InvalidArgumentException, "'shop'", "'bookshop'", "two databases"):
            store.open_session("shop", SessionOptions(database="bookshop"))

    @pytest.mark.parametrize(
        "option",
        [{"no_caching": True}, {"request_executor": object()}, {"transaction_mode": TransactionMode.CLUSTER_WIDE},
         {"transaction_mode": TransactionMode.SINGLE_NODE},
         {"disable_atomic_document_writes_in_cluster_wide_transaction": True}],
    )  # fmt: skip
    def test_an_option_that_comes_later_is_refused_by_name(self, store, option):
        with refused(InvalidArgumentException, next(iter(option)), "leave it out"):
            store.open_session(session_options=SessionOptions(**option))

    @pytest.mark.parametrize(
        "wrong",
        [5, b"shop", ["shop"], {}, SessionOptions(), SessionOptions(database="shop"), object()],
    )
    def test_a_database_that_is_no_name_is_refused(self, store, wrong):
        with refused(InvalidArgumentTypeException):
            store.open_session(wrong)
        with refused(InvalidArgumentTypeException):
            store.open_session(session_options=SessionOptions(database=wrong))

    @pytest.mark.parametrize("wrong", [5, "shop", {}, object(), DocumentConventions()])
    def test_options_that_are_none_are_refused(self, store, wrong):
        with refused(InvalidArgumentTypeException, "session_options"):
            store.open_session(None, wrong)

    @pytest.mark.parametrize("name", ["", " ", "pg_shop", "information_schema", "x" * 64, "ä" * 32, "a\0b", "a\nb"])
    def test_a_name_that_cannot_be_a_databases_is_refused(self, store, name):
        for form in (lambda: store.open_session(name), lambda: store.open_session(None, SessionOptions(database=name))):
            with refused(InvalidArgumentException, "name"):
                form()

    def test_without_tracking_there_is_nothing_to_check(self, store):
        options = SessionOptions(no_tracking=True, optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        with refused(InvalidOperationException, "no_tracking"):
            store.open_session(session_options=options)


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


class TestPasswords:
    async def test_no_error_log_or_repr_holds_one(self, make_store, postgres_url, caplog):
        """Searched is all that a program could print: messages, causes, tracebacks, logs and reprs."""
        caplog.set_level(logging.DEBUG)
        seen = []
        urls = [
            f"postgresql://ann:{SECRET}@127.0.0.1:{free_port()}/shop",
            f"host=127.0.0.1 port={free_port()} user=ann password='{SECRET}'",
            make_conninfo(postgres_url, password=SECRET),
            make_conninfo(postgres_url, user="no_such_role", password=SECRET),
            make_conninfo(postgres_url, dbname="no such db"),
            make_conninfo(postgres_url, options="-c no_such_setting=1"),
        ]
        for url in urls:
            store = make_store(url, max_size=2, timeout=0.5)
            plain = getattr(store, "wrapped", store)
            for use in (read(store, "companies/1"), save(store, Company("x"))):
                with pytest.raises(DocSessionError) as caught:
                    await use
                seen += traceback.format_exception(caught.value)
                seen += chain_of(caught.value)
            seen += [repr(plain), str(plain), repr(plain._executor), repr(plain.maintenance)]
        for url in (
            f"mysql://ann:{SECRET}@host/db", f"postgresql+asyncpg://ann:{SECRET}@host/db",
            f"postgresql://ann:{SECRET}@host:port/db", f"postgresql://ann:{SECRET}/@@host:1:2/db",
            f"postgresql://host/db?password={SECRET}&nonsense=1", f"host=h passwordd={SECRET}",
            f"host=h password='{SECRET}", f"host=h password='with blank {SECRET}", f"password={SECRET} nonsense",
            f"postgresql://ann:with blank {SECRET}@ho st:x/db", f"postgresql://ann:%zz{SECRET}@host/db",
            [f"postgresql://ann:{SECRET}@host/db", f"postgresql://ann:{SECRET}2@host/db"], SECRET,
            f"{SECRET}@host", f"ann:{SECRET}@host/db",
        ):  # fmt: skip
            with pytest.raises(DocSessionError) as caught:
                await read(make_store(url, connect_timeout=1), "companies/1")
            seen += [str(caught.value), *chain_of(caught.value)]
        password = conninfo_to_dict(postgres_url)["password"]
        for text in [*seen, caplog.text]:
            assert SECRET not in text
            assert password not in text


def chain_of(error):
    """What an error, its causes and all that they carry would print."""
    texts = []
    while error is not None:
        texts += [repr(error), str(error), repr(vars(error)), repr(error.args)]
        pgconn = getattr(error, "pgconn", None)
        if pgconn is not None:
            texts += [repr(pgconn), repr(pgconn.info)]
        error = error.__cause__ or error.__context__
    return texts

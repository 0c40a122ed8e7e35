"""Whatever a server refuses or cannot do is an error of one tree; it says what to do and holds no password."""

import asyncio
import logging
import time
import traceback
import uuid
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from docsession import (
    AuthenticationException,
    ConnectionFailedException,
    DatabaseDoesNotExistException,
    DocSessionError,
    DocumentConventions,
    PermissionDeniedException,
    PoolTimeoutException,
    RavenException,
    RequestTimeoutException,
    TableDoesNotExistException,
    TransactionRetryException,
)
from tests.support.beside import begin, outsider, settle
from tests.support.documents import read, remove, save
from tests.support.operations import OPERATIONS, Company
from tests.support.proxy import Proxy
from tests.support.refusals import SECRET, free_port, refused


@dataclass
class Note:
    text: str
    id: str | None = None


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
        """Every request fails for the same reason, not after what a pool waits, and leaves the session as it was."""
        async for request in every_request(store):
            begun = time.monotonic()
            with refused(kind, *words, cause=psycopg.OperationalError):
                await request
            assert time.monotonic() - begun < 15  # half of it

    async def test_a_server_that_is_down(self, make_store):
        store = make_store(f"postgresql://ann:{SECRET}@127.0.0.1:{free_port()}/shop")
        await self.all_fail(store, ConnectionFailedException, "127.0.0.1", "Check that the server runs")

    async def test_a_wrong_password(self, make_store, postgres_url):
        store = make_store(make_conninfo(postgres_url, password=SECRET))
        await self.all_fail(store, AuthenticationException, "Check those of the URL")

    async def test_a_role_that_does_not_exist(self, make_store, postgres_url):
        store = make_store(make_conninfo(postgres_url, user="no_such_role", password=SECRET))
        await self.all_fail(store, AuthenticationException, "no_such_role", "Check those of the URL")

    @pytest.mark.direct("pgbouncer looks for the database only for the first request")
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
        store = make_store(max_size=1, timeout=1)
        await save(store, (Company("x"), "companies/1"), (Company("y"), "companies/2"))
        with outsider(postgres_url, database) as program:
            program.hold("companies", "companies/1")
            saving = begin(face, lambda: save(store, (Company("new"), "companies/1")))
            await program.until_others_wait()
            begun = time.monotonic()
            with refused(PoolTimeoutException, "max_size 1", "within 1 s", "raise max_size or timeout"):
                await read(store, "companies/2", Company)
            assert time.monotonic() - begun >= 1
            program.let_go()
        await saving
        assert (await read(store, "companies/1", Company)).name == "new"

    @pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
    async def test_a_statement_that_takes_too_long(self, make_store, postgres_url, database):
        await save(make_store(), (Company("x"), "companies/1"), (Company("y"), "companies/2"))
        store = make_store(make_conninfo(postgres_url, options="-c statement_timeout=300ms"))
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

    @pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
    async def test_a_lock_that_does_not_become_free(self, make_store, postgres_url, database):
        await save(make_store(), (Company("x"), "companies/1"))
        store = make_store(make_conninfo(postgres_url, options="-c lock_timeout=300ms"))
        with outsider(postgres_url, database) as program:
            program.hold("companies", "companies/1")
            with refused(RequestTimeoutException, "repeat it", cause=psycopg.errors.LockNotAvailable):
                await save(store, (Company("y"), "companies/1"))

    @pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
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

    @pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
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

    @pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
    async def test_a_server_that_may_only_be_read(self, make_store, postgres_url):
        store = make_store(make_conninfo(postgres_url, options="-c default_transaction_read_only=on"))
        with refused(RavenException, "read-only", "primary", cause=psycopg.errors.ReadOnlySqlTransaction):
            await save(store, (Company("x"), "companies/1"))


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

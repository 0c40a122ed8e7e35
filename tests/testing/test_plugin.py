"""The fixtures of the pytest plugin, as a test suite that uses them sees them."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest

import docsession.testing._fixtures  # noqa: F401  # runs inside this one forget what was not imported before
from docsession.testing import DocumentDatabase

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]

QUIET = [option for name in ("randomly", "cacheprovider", "hypothesispytest") for option in ("-p", f"no:{name}")]

MODEL = """
import asyncio
import dataclasses

import pytest

import docsession
from docsession import DocumentConventions, DocumentStore


@dataclasses.dataclass
class Company:
    name: str = ""
    Id: str | None = None


def save(store, *names):
    with store.open_session() as session:
        saved = [Company(name) for name in names]
        for company in saved:
            session.store(company)
        session.save_changes()
        return [company.Id for company in saved]


def names(store):
    with store.open_session() as session:
        return sorted(company.name for company in session.query(Company).all())


async def save_and_count(store):
    async with store.open_session() as session:
        company = Company("async")
        await session.store(company)
        await session.save_changes()
        assert company.Id == "companies/1-A"
        return await session.query(Company).count()
"""


def schemas(url):
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")}


def in_a_process_of_its_own(pytester, *path, options=()):
    """Run the tests that were written, with *path* before everything else that can be imported."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), str(ROOT), *sys.path[1:]])}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *QUIET, *options],
        cwd=pytester.path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def made(monkeypatch):
    """The names of the databases that are made in this process."""
    names, create = [], DocumentDatabase.create
    monkeypatch.setattr(DocumentDatabase, "create", lambda self: (names.append(self.name), create(self))[1])
    return names


@pytest.fixture
def suite(pytester, direct_url, monkeypatch):
    """Run a test suite on the server of this run: `suite(tests, "--option", conftest=…)`."""
    for name in ("BACKEND", "URL", "IMAGE", "MAJOR"):
        monkeypatch.delenv(f"DOCSESSION_TEST_{name}", raising=False)

    def run(tests, *options, conftest="", ini="", url=direct_url, run=pytester.runpytest_inprocess):
        pytester.makefile(".ini", pytest=f"[pytest]\nfilterwarnings = error\n{ini}")
        pytester.makeconftest(MODEL + textwrap.dedent(conftest))
        pytester.makepyfile("from conftest import *\n\n" + textwrap.dedent(tests))
        named = [] if url is None else [f"--docsession-url={url}"]
        asyncio = [] if "asyncio_mode" in ini else ["-p", "no:asyncio"]
        return run("-q", *QUIET, *asyncio, *named, *options)

    return run


class TestEachTestBeginsEmpty:
    def test_nothing_of_the_test_before_is_left(self, suite, direct_url, made):
        suite("""
            @pytest.mark.parametrize("turn", range(2))
            def test_documents(document_store, turn):
                assert names(document_store) == []
                assert save(document_store, "a", "b") == ["companies/1-A", "companies/2-A"]
                assert names(document_store) == ["a", "b"]
                assert document_store.statistics.cache_misses == 0

            @pytest.mark.parametrize("turn", range(2))
            def test_what_is_kept_beside_them(document_store, turn):
                assert document_store.maintenance.next_identity_for("invoices") == 1
                operation = docsession.PutCompareExchangeValueOperation("key", 1, 0)
                assert document_store.operations.send(operation).successful

            def test_a_session(document_session, document_store):
                document_session.store(Company("mine"))
                document_session.save_changes()
                assert names(document_store) == ["mine"]
                assert isinstance(document_session, docsession.DocumentSession)
        """).assert_outcomes(passed=5)
        assert len(made) == 1
        assert schemas(direct_url).isdisjoint(made)

    def test_a_store_of_the_whole_run_begins_anew_too(self, suite):
        suite("""
            @pytest.fixture(scope="session")
            def application(docsession_database):
                with docsession_database.store() as store:
                    yield store

            @pytest.mark.parametrize("turn", range(3))
            def test_it(application, document_store, turn):
                assert save(application, "theirs") == ["companies/1-A"]
                assert names(document_store) == ["theirs"]
                assert save(document_store, "mine")[0] not in (None, "companies/1-A")
                assert application.statistics.cache_misses == 0
                (large,) = save(application, "large" * 1000)
                with application.open_session() as session:
                    session.load(large, Company)
                assert application.statistics.cache_misses > 0
        """).assert_outcomes(passed=3)

    def test_a_transaction_that_was_left_open_is_rolled_back(self, suite):
        suite("""
            KEPT = []

            def test_careless(document_store):
                KEPT.append(session := document_store.open_session())
                session.advanced.begin()
                session.store(Company("a"))
                session.save_changes()

            def test_next(document_store):
                assert names(document_store) == []
        """).assert_outcomes(passed=2)

    def test_a_session_that_was_left_open_writes_no_more(self, suite):
        """In a thread that outlives its test, say: it would write into the test that runs by then."""
        suite("""
            KEPT = []

            def test_careless(document_store):
                KEPT.append(session := document_store.open_session())
                session.store(Company("a"))
                KEPT.append(session := document_store.open_session())
                session.advanced.begin()
                session.store(Company("b"))
                session.save_changes()
                session.store(Company("c"))

            def test_next(document_store):
                for session in KEPT:
                    with pytest.raises(docsession.DocSessionError):
                        session.save_changes()
                assert names(document_store) == []
        """).assert_outcomes(passed=2)

    def test_what_holds_documents_beside_the_store_is_named(self, suite, monkeypatch):
        monkeypatch.setattr("docsession.testing._databases._LOCK_TIMEOUT", (("lock_timeout", "100ms"),))
        result = suite("""
            import psycopg

            def test_careless(document_store, docsession_database, request):
                save(document_store, "a")
                connection = psycopg.connect(docsession_database.url)
                request.config.stash[pytest.StashKey()] = connection
                connection.execute(f'UPDATE "{docsession_database.name}".companies SET version = version + 1')
                KEPT.append(connection)

            KEPT = []

            def test_end():
                KEPT.pop().close()
        """)
        result.assert_outcomes(passed=2, errors=1)
        result.stdout.fnmatch_lines(["*cannot be emptied: a transaction that is still open has written to them*"])

    def test_a_closed_store_does_not_close_the_next_ones(self, suite):
        suite("""
            @pytest.mark.parametrize("turn", range(2))
            def test_it(document_store, turn):
                save(document_store, "a")
                document_store.close()
        """).assert_outcomes(passed=2)

    def test_a_table_that_a_test_has_dropped_is_no_obstacle(self, suite):
        """The next one to write to it is told, as anywhere."""
        suite("""
            def test_first(document_store):
                save(document_store, "a")
                with document_store.open_session() as session, session.advanced.transaction():
                    session.advanced.connection.execute(f'DROP TABLE "{document_store.database}".companies')

            def test_next(document_store):
                with pytest.raises(docsession.TableDoesNotExistException):
                    save(document_store, "a")
        """).assert_outcomes(passed=2)


class TestAsyncStores:
    def test_a_loop_of_the_tests_own(self, suite):
        suite("""
            @pytest.mark.parametrize("turn", range(2))
            def test_closed_by_nobody(async_document_store, turn):
                assert asyncio.run(save_and_count(async_document_store)) == 1

            def test_closed_by_the_test(async_document_store):
                async def use():
                    async with async_document_store as store:
                        assert await save_and_count(store) == 1
                asyncio.run(use())

            def test_never_used(async_document_store):
                assert not async_document_store.disposed

            def test_a_transaction_is_left_open(async_document_store):
                async def use():
                    session = async_document_store.open_session()
                    await session.advanced.begin()
                    await session.store(Company("a"))
                    await session.save_changes()
                    return session
                KEPT.append(asyncio.run(use()))

            KEPT = []

            def test_next(async_document_store, document_store):
                assert names(document_store) == []
        """).assert_outcomes(passed=6)

    def test_pytest_asyncio(self, suite):
        suite(
            """
            @pytest.mark.parametrize("turn", range(2))
            async def test_it(async_document_store, turn):
                assert await save_and_count(async_document_store) == 1

            async def test_left_open(async_document_store):
                KEPT.append(session := async_document_store.open_session())
                await session.advanced.begin()
                await session.store(Company("a"))
                await session.save_changes()

            KEPT = []

            async def test_with_the_blocking_one(async_document_store, document_store):
                assert await save_and_count(async_document_store) == 1
                assert names(document_store) == ["async"]
            """,
            ini="asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function",
        ).assert_outcomes(passed=4)

    def test_anyio(self, suite):
        suite(
            """
            pytestmark = pytest.mark.anyio

            @pytest.fixture
            def anyio_backend():
                return "asyncio"

            @pytest.mark.parametrize("turn", range(2))
            async def test_it(async_document_store, turn):
                assert await save_and_count(async_document_store) == 1
            """
        ).assert_outcomes(passed=2)

    def test_a_loop_that_a_thread_runs(self, suite):
        suite("""
            import threading

            @pytest.fixture
            def portal():
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever)
                thread.start()
                yield loop
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                loop.close()

            @pytest.mark.parametrize("turn", range(2))
            def test_it(portal, async_document_store, turn):
                used = save_and_count(async_document_store)
                assert asyncio.run_coroutine_threadsafe(used, portal).result(10) == 1
        """).assert_outcomes(passed=2)

    def test_an_application_of_fastapi(self, suite):
        """Its loop is that of the test client's thread, and is gone when the fixture closes the store."""
        suite("""
            from fastapi import FastAPI
            from fastapi.testclient import TestClient

            from docsession.contrib.fastapi import DocSession, Session
            from docsession.testing import assert_requests

            documents = DocSession(docsession.AsyncDocumentStore)
            app = FastAPI(lifespan=documents.lifespan)
            documents.install(app)

            @app.post("/companies")
            async def add(session: Session):
                await session.store(company := Company("a"))
                await session.save_changes()
                return company.Id

            @app.get("/companies")
            async def listed(session: Session):
                return [company.name for company in await session.query(Company).all()]

            @pytest.fixture
            def client(async_document_store):
                with documents.override(async_document_store), TestClient(app) as client:
                    yield client

            @pytest.mark.parametrize("turn", range(2))
            def test_it(client, document_store, turn):
                assert client.post("/companies").json() == "companies/1-A"
                with assert_requests(1):
                    assert client.get("/companies").json() == ["a"]
                assert names(document_store) == ["a"]

            @pytest.mark.docsession(isolation="rollback")
            @pytest.mark.parametrize("turn", range(2))
            def test_rolled_back(client, turn):
                client.post("/companies")
                assert client.get("/companies").json() == ["a"]
        """).assert_outcomes(passed=4)


class TestRollback:
    def test_seeded_documents_stay_and_the_tests_own_go(self, suite):
        suite("""
            pytestmark = pytest.mark.docsession(isolation="rollback")

            @pytest.fixture(scope="session")
            def seeded(docsession_seed_database):
                with docsession_seed_database.store() as store:
                    save(store, "seed")

            @pytest.mark.parametrize("turn", range(2))
            def test_it(seeded, document_store, turn):
                assert names(document_store) == ["seed"]
                with document_store.open_session() as session:
                    (company,) = session.query(Company).all()
                    company.name = "changed"
                    session.store(Company("more"))
                    session.save_changes()
                assert names(document_store) == ["changed", "more"]

            @pytest.mark.parametrize("turn", range(2))
            def test_async(seeded, async_document_store, turn):
                async def use():
                    async with async_document_store.open_session() as session:
                        await session.store(Company("more"))
                        await session.save_changes()
                    async with async_document_store.open_session() as session:
                        assert await session.query(Company).count() == 2
                asyncio.run(use())

            def test_nothing_was_committed(seeded, docsession_seed_database):
                with docsession_seed_database.store() as store:
                    assert names(store) == ["seed"]
        """).assert_outcomes(passed=5)

    def test_tests_of_both_kinds_do_not_see_each_other(self, suite):
        suite("""
            @pytest.fixture(scope="session")
            def seeded(docsession_seed_database):
                with docsession_seed_database.store() as store:
                    save(store, "seed", "seed")

            rolled_back = pytest.mark.docsession(isolation="rollback")

            @rolled_back
            def test_one(seeded, document_store):
                assert save(document_store, "more") == ["companies/3-A"]

            def test_two(seeded, document_store):
                assert names(document_store) == []
                assert save(document_store, "a") == ["companies/1-A"]

            @rolled_back
            def test_three(seeded, document_store):
                assert names(document_store) == ["seed", "seed"]
        """).assert_outcomes(passed=3)

    def test_relational_rows_beside_the_documents_go_too(self, suite):
        suite(
            """
            @pytest.mark.parametrize("turn", range(2))
            def test_it(document_store, turn):
                with document_store.open_session() as session:
                    with session.advanced.transaction():
                        connection = session.advanced.connection
                        count = f'SELECT count(*) FROM "{document_store.database}".stock'
                        assert connection.execute(count).fetchone() == (0,)
                        connection.execute(f'INSERT INTO "{document_store.database}".stock VALUES (1)')
                        session.store(Company("a"))
                        session.save_changes()
                assert names(document_store) == ["a"]
            """,
            "--docsession-isolation=rollback",
            conftest="""
            import psycopg

            @pytest.fixture(scope="session")
            def docsession_prepare():
                def prepare(database):
                    with psycopg.connect(database.url, autocommit=True) as connection:
                        connection.execute(f'CREATE TABLE "{database.name}".stock (n int)')
                return prepare
            """,
        ).assert_outcomes(passed=2)

    def test_the_ini_file_and_one_test_otherwise(self, suite):
        suite(
            """
            def test_rolled_back(document_store, docsession_isolation):
                assert docsession_isolation.rolls_back

            @pytest.mark.docsession(isolation="delete")
            def test_deleted(document_store, docsession_isolation):
                assert not docsession_isolation.rolls_back
            """,
            ini="docsession_isolation = rollback",
        ).assert_outcomes(passed=2)


class TestDatabaseOfOnesOwn:
    def test_the_stores_of_the_test_are_on_it(self, suite, direct_url, made):
        suite("""
            def test_it(document_database, document_store, async_document_store, docsession_database):
                assert {document_store.database, async_document_store.database} == {document_database.name}
                assert document_database.name != docsession_database.name
                assert names(document_store) == []
                document_store.maintenance.delete_database(document_database.name)
        """).assert_outcomes(passed=1)
        assert len(made) == 2
        assert schemas(direct_url).isdisjoint(made)

    def test_what_prepares_databases_prepares_it(self, suite):
        suite(
            """
            def test_it(document_database, docsession_database):
                assert PREPARED == [docsession_database, document_database]
            """,
            conftest="""
            PREPARED = []

            @pytest.fixture(scope="session")
            def docsession_prepare(): return PREPARED.append

            @pytest.fixture(autouse=True)
            def in_order(docsession_database): pass
            """,
        ).assert_outcomes(passed=1)


class TestSettings:
    def test_conventions_and_options_of_the_tests_stores(self, suite):
        suite(
            """
            def test_it(document_store, async_document_store):
                assert document_store.conventions.max_number_of_requests_per_session == 3
                assert async_document_store.conventions.max_number_of_requests_per_session == 3
                assert document_store.initialize()._settings.max_size == 2
            """,
            conftest="""
            @pytest.fixture
            def docsession_conventions():
                conventions = DocumentConventions()
                conventions.max_number_of_requests_per_session = 3
                return conventions

            @pytest.fixture(scope="session")
            def docsession_options():
                return {"max_size": 2}
            """,
        ).assert_outcomes(passed=1)

    @pytest.mark.parametrize(
        ("ini", "options", "said"),
        [
            ("docsession_backend = oracle", (), "there is no docsession backend 'oracle'"),
            ("", ("--docsession-backend=url",), "needs --docsession-url or DOCSESSION_TEST_URL"),
            ("docsession_postgres = new", (), "docsession_postgres is a major version like 18, not 'new'"),
            ("docsession_postgres = 9", (), "9"),
        ],
    )
    def test_what_cannot_be_is_said(self, suite, ini, options, said):
        result = suite("def test_it(document_store): pass", *options, ini=ini, url=None)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([f"*{said}*"])

    @pytest.mark.parametrize("marker", ["isolation='magic'", "'rollback'", "mode='delete'"])
    def test_a_marker_that_says_nothing_known_is_refused(self, suite, marker):
        result = suite(f"@pytest.mark.docsession({marker})\ndef test_it(document_store): pass")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*isolation*'delete'*'rollback'*"])

    def test_the_environment_names_a_server(self, suite, direct_url, monkeypatch):
        monkeypatch.setenv("DOCSESSION_TEST_URL", direct_url)
        tests = "def test_it(docsession_server): assert docsession_server.backend == 'url'"
        suite(tests, url=None).assert_outcomes(passed=1)


class TestProcesses:
    def test_workers_share_a_server_and_have_a_database_each(self, suite, pytester):
        """The embedded server itself, which is gone with its directory afterwards."""
        result = suite(
            """
            @pytest.mark.parametrize("turn", range(6))
            def test_it(document_store, docsession_server, worker_id, turn):
                with open(f"seen-{worker_id}", "a") as seen:
                    print(document_store.database, docsession_server.url, file=seen)
                with document_store.open_session() as session, session.advanced.transaction():
                    for name in ("fsync", "full_page_writes", "synchronous_commit"):
                        assert session.advanced.connection.execute(f"SHOW {name}").fetchone() == ("off",)
                assert save(document_store, "a") == ["companies/1-A"]
            """,
            "-n2",
            "--dist=each",
            url=None,
            run=pytester.runpytest_subprocess,
        )
        result.assert_outcomes(passed=12)
        seen = [set(path.read_text().splitlines()) for path in pytester.path.glob("seen-gw*")]
        (first,), (second,) = seen
        assert first.split()[0] != second.split()[0]
        assert first.split()[1] == second.split()[1]
        host = first.split()[1].partition("host=")[2].partition("&")[0].replace("%2F", "/")
        assert not Path(host).exists()

    def test_a_run_without_the_fixtures_imports_nothing(self, pytester):
        pytester.makepyfile("import sys\n\ndef test_it(): assert 'docsession' not in sys.modules")
        pytester.makeconftest("""
            import sys

            def pytest_unconfigure(config): assert "docsession" not in sys.modules
        """)
        done = in_a_process_of_its_own(pytester, options=["-n1"])
        assert done.returncode == 0, done.stdout

    def test_a_container_that_cannot_be_started_for_workers_is_said_in_one_line(self, pytester, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", "unix:///nobody.sock")
        pytester.makepyfile("def test_it(document_store): pass")
        done = in_a_process_of_its_own(pytester, options=["-n1", "--docsession-backend=testcontainers"])
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "ERROR: PostgreSQL cannot be run in a container" in done.stderr
        assert "Traceback" not in done.stdout + done.stderr

    def test_the_package_is_not_compiled_anew_by_pytest(self, pytester):
        """As pytest does with all modules of a distribution that has a plugin."""
        installed = pytester.mkdir("installed") / "docsession_as_installed-1.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: docsession-as-installed\nVersion: 1\n")
        (installed / "RECORD").write_text("docsession/__init__.py,,\n_docsession_pytest.py,,\n")
        (installed / "entry_points.txt").write_text("[pytest11]\ndocsession = _docsession_pytest\n")
        pytester.makepyfile("""
            import docsession
            import docsession.testing

            def test_it():
                assert "rewrite" not in type(docsession.testing.__spec__.loader).__module__
        """)
        done = in_a_process_of_its_own(pytester, installed.parent)
        assert done.returncode == 0, done.stdout

    def test_the_fixtures_are_described(self, suite):
        result = suite("", "--fixtures")
        result.stdout.fnmatch_lines_random(["async_document_store*", "document_database*", "document_session*"])
        suite("", "--markers").stdout.fnmatch_lines(["@pytest.mark.docsession(isolation)*"])


def test_a_wrong_number_of_requests_is_told_without_the_source_of_what_counts_them(pytester):
    pytester.makepyfile(
        """
        from docsession.testing import assert_requests

        def test_it():
            with assert_requests(1):
                pass
        """
    )
    result = pytester.runpytest_inprocess("-q", *QUIET, "-p", "no:asyncio")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * AssertionError: 0 requests were sent, not 1"])
    result.stdout.no_fnmatch_line("*_capturing.py*")

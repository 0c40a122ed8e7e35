"""Whole servers come and go under a session: one is killed in the middle of a save, another one is written to."""

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from docsession import (
    ConcurrencyException,
    ConnectionFailedException,
    OptimisticConcurrencyMode,
    SessionOptions,
    UnknownOutcomeException,
)
from tests.support.containers import IMAGE, PostgresContainer, held, wait_for_waiting
from tests.support.proxy import CuttingProxy, Stage

pytestmark = pytest.mark.containers

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass
class Account:
    balance: int = 0
    Id: str | None = None


@pytest.fixture(scope="module")
def shared_container():
    started = PostgresContainer()
    yield started
    started.stop()


@pytest.fixture
def container(shared_container):
    """A container that a test may kill."""
    yield shared_container
    shared_container.start()


@pytest.fixture(scope="module")
def other_container():
    started = PostgresContainer()
    yield started
    started.stop()


@pytest.fixture
def name(face):
    """A database of the test's own in a container that goes away as a whole."""
    return f"bank_{face}"


async def filled(store, *keys):
    async with store.open_session() as session:
        for key in keys:
            await session.store(Account(100), key)
        await session.save_changes()


async def balances(store, *keys):
    async with store.open_session() as session:
        found = await session.load(list(keys), Account)
        return [account and account.balance for account in found.values()]


def versions(url, database):
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(f'SELECT version FROM "{database}".accounts ORDER BY id')]


class TestKilledInTheMiddleOfASave:
    async def test_nothing_is_half_written_and_the_same_session_saves_again(self, container, make_store, name):
        """The second of three documents is held by somebody, so the server has done the first when it dies."""
        store = make_store(container.url, database=f"{name}_1")
        await filled(store, "accounts/1", "accounts/2", "accounts/3")
        options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        async with store.open_session(session_options=options) as session:
            loaded = await session.load(["accounts/1", "accounts/2", "accounts/3"], Account)
            for account in loaded.values():
                account.balance += 1
            with held(container.url, f'"{name}_1".accounts', "accounts/2"):
                killer = threading.Thread(target=lambda: (wait_for_waiting(container.url), container.kill()))
                killer.start()
                with pytest.raises(UnknownOutcomeException, match=r"save_changes\(\) again") as caught:
                    await session.save_changes()
                killer.join()
            assert not caught.value.retryable  # by itself, that is: only this session can tell
            with pytest.raises(UnknownOutcomeException, match="not known yet"):
                await session.load("accounts/4", Account)
            with pytest.raises(ConnectionFailedException):
                await balances(store, "accounts/1")
            container.start()
            assert await balances(store, "accounts/1", "accounts/2", "accounts/3") == [100, 100, 100]
            await session.save_changes()
        assert await balances(store, "accounts/1", "accounts/2", "accounts/3") == [101, 101, 101]

    async def test_what_was_committed_before_it_died_is_not_written_twice(self, container, make_store, name):
        """The answer to the commit is lost with the server."""
        with CuttingProxy(container.url) as proxy:
            store = make_store(proxy.url, database=f"{name}_2")
            await filled(store, "accounts/1", "accounts/2")
            async with store.open_session() as session:
                loaded = await session.load(["accounts/1", "accounts/2"], Account)
                for account in loaded.values():
                    account.balance += 1
                proxy.cut_next(Stage.BEFORE_ANSWER, containing=b"accounts")
                with pytest.raises(UnknownOutcomeException):
                    await session.save_changes()
                container.kill()
                container.start()
                committed = versions(container.url, f"{name}_2")
                await session.save_changes()
                known = [int(session.advanced.get_change_vector_for(account)) for account in loaded.values()]
            assert versions(container.url, f"{name}_2") == committed == known
            assert await balances(store, "accounts/1", "accounts/2") == [101, 101]


class TestAnotherServer:
    async def test_a_session_works_where_its_request_executor_leads(
        self, container, other_container, make_store, face, name
    ):
        here = make_store(container.url, database=f"{name}_3")
        there = make_store(other_container.url, database=f"{name}_3")
        await filled(here, "accounts/1")
        raw = there if face.is_async else there.wrapped
        elsewhere = SessionOptions(request_executor=raw.get_request_executor())
        async with here.open_session(session_options=elsewhere) as session:
            assert await session.load("accounts/1", Account) is None
            await session.store(Account(7), "accounts/2")
            await session.save_changes()
        assert await balances(here, "accounts/1", "accounts/2") == [100, None]
        assert await balances(there, "accounts/1", "accounts/2") == [None, 7]
        async with here.open_session(session_options=elsewhere) as session:
            await session.store(Account(8), "accounts/2", "")
            with pytest.raises(ConcurrencyException):
                await session.save_changes()


class TestWorkers:
    def test_all_of_them_use_one_container(self, tmp_path):
        """It is started by pytest-xdist's main process, and is gone with it."""
        (tmp_path / "test_it.py").write_text("""
import pytest

@pytest.mark.parametrize("turn", range(4))
def test_it(document_store, docsession_server, worker_id, turn):
    with open(f"seen-{worker_id}", "a") as seen:
        print(docsession_server.url, file=seen)
    with document_store.open_session() as session:
        session.store({"@metadata": {"@collection": "Things"}}, "things/1", "")
        session.save_changes()
""")
        (tmp_path / "pytest.ini").write_text("[pytest]\ndocsession_backend = testcontainers\n")
        environment = {name: value for name, value in os.environ.items() if name != "DOCSESSION_TEST_URL"}
        environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), "DOCSESSION_TEST_IMAGE": IMAGE}
        options = ["-q", "-n2", "--dist=each", "-p", "no:randomly", "-p", "no:asyncio", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "8 passed" in done.stdout, done.stdout
        seen = {url for path in tmp_path.glob("seen-gw*") for url in path.read_text().split()}
        assert len(list(tmp_path.glob("seen-gw*"))) == 2
        (url,) = seen
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=5)

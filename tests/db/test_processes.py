"""Many processes, threads and tasks on one database: no deadlock, no lost update, no id twice."""

import asyncio
import subprocess
import sys
import uuid
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from docsession import DocumentStore
from tests.support.crowd import ROOT, Counter, Crowd
from tests.support.documents import read, save


@dataclass
class Note:
    text: str
    id: str | None = None


@pytest.fixture(scope="module")
def crowd():
    """Four processes."""
    crowd = Crowd(4)
    yield crowd
    crowd.close()


@pytest.fixture
def quiet_url(postgres_url):
    """The URL of a PostgreSQL database that nobody else uses, so that its statistics are the test's."""
    name = f"quiet_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield make_conninfo(postgres_url, dbname=name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class TestOverlappingSaves:
    @pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
    def test_flushes_in_any_order_never_deadlock(self, crowd, quiet_url):
        # A deadlock would be found soon after it came about.
        url = make_conninfo(quiet_url, options="-c deadlock_timeout=100ms")
        said = []
        for _ in range(10):  # a busy machine takes longer to as many saves
            said += crowd.do("overlap", {"urls": url}, workers=3, seconds=4, ids=50)
            saved = sum(each["saved"] for each in said)
            if saved > 200:
                break
        assert saved > 200
        assert sum(each["conflicts"] for each in said) > 0
        with psycopg.connect(quiet_url) as connection:
            query = "SELECT deadlocks, xact_commit FROM pg_stat_database WHERE datname = current_database()"
            deadlocks, commits = connection.execute(query).fetchone()
        assert deadlocks == 0
        assert commits >= saved / 2

    def test_no_acknowledged_increment_is_lost(self, crowd, postgres_url, database):
        counters = 4
        with DocumentStore(postgres_url, database) as store, store.open_session() as session:
            for i in range(counters):
                session.store(Counter(), f"counters/{i}")
            session.save_changes()
        said = []
        for _ in range(20):  # a busy machine takes longer to as many saves
            said += crowd.do("increment", {"urls": postgres_url, "database": database}, seconds=1, counters=counters)
            conflicts = sum(each["conflicts"] for each in said)
            saved = sum(sum(each["acknowledged"].values()) for each in said)
            if conflicts > 10 and saved > 100:
                break
        assert conflicts > 10
        assert saved > 100
        with DocumentStore(postgres_url, database) as store, store.open_session() as session:
            stored = {f"counters/{i}": session.load(f"counters/{i}", Counter).count for i in range(counters)}
        acknowledged = {key: sum(each["acknowledged"][key] for each in said) for key in stored}
        assert stored == acknowledged


def highest(rows, collection):
    query = "SELECT max FROM {} WHERE collection = %s"
    return rows._run(query, "docsession_hilo", collection).fetchone()[0]


class TestGeneratedIds:
    def test_they_are_unique_over_processes_threads_and_tasks(self, crowd, postgres_url, database, rows):
        said = crowd.do("take_ids", {"urls": postgres_url, "database": database}, workers=4, count=150)
        taken = [key for each in said for key in each]
        assert len(taken) == len(set(taken)) == 4 * 4 * 150
        assert sorted(taken) == sorted(rows.ids("products") + rows.ids("articles"))
        numbers = [
            int(key.removeprefix("products/").removesuffix("-A")) for key in taken if key.startswith("products/")
        ]
        # Nearly all numbers are used: what one process leaves of its last ranges is all that is lost.
        assert max(numbers) < 3 * len(numbers)
        assert highest(rows, "Products") >= max(numbers)

    async def test_the_rest_of_a_range_is_given_back_at_a_normal_close(self, make_store, rows):
        for expected in ("notes/1-A", "notes/2-A", "notes/3-A"):
            store = make_store()
            assert await save(store, Note("x")) == expected
            assert highest(rows, "Notes") > int(expected[6])
            await store.close()
            assert highest(rows, "Notes") == int(expected[6])

    async def test_a_range_below_that_of_another_store_is_not(self, make_store, rows):
        first, second = make_store(), make_store()
        assert await save(first, Note("x")) == "notes/1-A"
        assert await save(second, Note("x")) == "notes/33-A"
        await first.close()
        assert highest(rows, "Notes") == 64
        await second.close()
        assert highest(rows, "Notes") == 33

    async def test_an_id_that_was_not_saved_is_used_up_all_the_same(self, make_store):
        store = make_store()
        async with store.open_session() as session:
            await session.store(Note("never saved"))
        assert await save(store, Note("x")) == "notes/2-A"

    async def test_databases_have_numbers_of_their_own(self, make_store, store, postgres_url, database):
        other = f"{database}-other"
        try:
            assert await save(store, Note("x")) == "notes/1-A"
            assert await save(store, Note("x"), database=other) == "notes/1-A"
            assert await save(store, Note("x")) == "notes/2-A"
        finally:
            await store.maintenance.delete_database(other)


class TestBeginningAtOnce:
    @pytest.mark.parametrize("turn", range(3))
    def test_a_database_and_its_tables_are_made_by_many(self, crowd, postgres_url, database, turn):
        said = crowd.do(
            "begin_collections", {"urls": postgres_url, "database": database}, workers=3, seed=turn, shared=3, own="x"
        )
        with DocumentStore(postgres_url, database) as store:
            counts = store.maintenance.get_collection_statistics()
        assert {name: counts[name] for name in counts if name.startswith("Shared")} == dict.fromkeys(
            ["Shared0", "Shared1", "Shared2"], 12
        )
        assert set(counts) == {name for names in said for name in names}

    def test_a_database_is_made_and_dropped_by_many(self, crowd, postgres_url, database):
        settings = {"urls": postgres_url, "database": database}
        for _ in range(2):
            assert all(crowd.do("create_database", settings, name=database))
            dropped = crowd.do("delete_database", settings, name=database)
            assert dropped.count(True) == 1


FORK = """
import asyncio, os, sys
from dataclasses import dataclass
from tests.support.documents import read, save
from tests.support.faces import Face

@dataclass
class Note:
    text: str
    id: str | None = None

face, url, database, closing = Face(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4] == "closing"
store = face.store(url, database=database)
outer = []

async def parents_first():
    session = store.open_session()
    note = Note("parent")
    await session.store(note)
    await session.save_changes()
    note.text = "changed"
    assert note.id == "notes/1-A"
    return session

async def childs():
    key = await save(store, Note("child"))
    assert (await read(store, key, Note)).text == "child"
    assert (await read(store, "notes/1-A", Note)).text == "parent"
    os.write(writer, key.encode())
    if closing:
        await store.close()

async def parents_second(session):
    await session.save_changes()
    key = await save(store, Note("parent again"))
    assert (await read(store, "notes/1-A", Note)).text == "changed"
    await store.close()
    return key

reader, writer = os.pipe()

def fork():
    child = os.fork()
    if child == 0:
        asyncio._set_running_loop(None)
        try:
            asyncio.run(childs())
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

async def main():
    session = await parents_first()
    fork()
    mine = await parents_second(session)
    theirs = os.read(reader, 100).decode()
    print(mine, theirs)

asyncio.run(main())
"""


class TestForks:
    @pytest.mark.parametrize("closing", ["closing", "leaving"])
    def test_a_forked_worker_uses_its_parents_store(self, face, postgres_url, database, rows, closing):
        # Python warns of forks beside threads; the child here uses none of its parent's.
        quiet = "ignore:This process:DeprecationWarning"
        command = [sys.executable, "-W", quiet, "-c", FORK, face.name, postgres_url, database, closing]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert (result.returncode, result.stderr) == (0, "")
        mine, theirs = result.stdout.split()
        # The child knows nothing of its parent's range of numbers, and the parent still has it.
        assert (mine, theirs) == ("notes/2-A", "notes/33-A")
        assert rows.ids("notes") == ["notes/1-A", "notes/2-A", "notes/33-A"]


class TestManySessions:
    async def test_thousands_of_open_sessions_share_two_connections(self, make_store, postgres_url, database, face):
        name = f"many-{database}"
        store = make_store(max_size=2, application_name=name)
        await save(store, *((Note("old"), f"notes/{i}") for i in range(3000)))
        sessions = [store.open_session() for _ in range(3000)]
        notes = []
        if face.is_async:
            loads = (session.load(f"notes/{i}", Note) for i, session in enumerate(sessions))
            notes = await asyncio.gather(*loads)
        else:
            for i, session in enumerate(sessions):
                notes.append(await session.load(f"notes/{i}", Note))
        for note in notes[::10]:
            note.text = "new"
        with psycopg.connect(postgres_url) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
            # One more is kept apart, for ranges of ids and for tables.
            assert connection.execute(query, (name,)).fetchone()[0] <= 3
        saves = (session.save_changes() for session in sessions[::10])
        if face.is_async:
            await asyncio.gather(*saves)
        else:
            for save_changes in saves:
                await save_changes
        assert [(await read(store, f"notes/{i}", Note)).text for i in (0, 1, 10)] == ["new", "old", "new"]

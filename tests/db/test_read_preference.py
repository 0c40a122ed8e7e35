"""Loads from a standby: never older than what the session saved, and from the primary wherever that is better."""

import asyncio
import time
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from docsession import (
    ConcurrencyException,
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    OptimisticConcurrencyMode,
    ReadPreference,
    SessionOptions,
    UnknownOutcomeException,
)
from docsession._executors import _reading
from docsession._sql._position import end_of_record
from tests.support.beside import begin, settle
from tests.support.databases import Databases
from tests.support.documents import change, save
from tests.support.proxy import CuttingProxy, Stage

PREFER = ReadPreference.PREFER_STANDBY
KEY = "companies/1"
LONG = 30
"""Seconds that no test waits: what has to be found is found sooner, or the test fails."""


@dataclass
class Company:
    name: str
    id: str | None = None


@dataclass
class Order:
    total: int
    id: str | None = None


async def until(condition):
    """Wait for *condition*, while the event loop goes on."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@pytest.fixture
def postgres_url(cluster):
    return cluster.primary_url


@pytest.fixture(scope="session")
def databases(shared_cluster):
    databases = Databases(shared_cluster.primary_url)
    yield databases
    databases.close()


@pytest.fixture
def make(make_store, cluster):
    """Make stores that read from the standby."""

    def made(*urls, patience=LONG, conventions=None, **options):
        conventions = conventions or DocumentConventions()
        conventions.standby_timeout = patience
        given = {"read_preference": PREFER, "conventions": conventions} | options
        return make_store(list(urls) or cluster.urls, **given)

    return made


@pytest.fixture
def primary(make_store):
    """A store that knows the primary alone."""
    return make_store()


async def name_of(store, **options):
    async with store.open_session(session_options=SessionOptions(**options)) as session:
        return (await session.load(KEY, Company)).name


@pytest.fixture
def lag(cluster, primary):
    """Let the standby hold a company named "old" and the primary the same named "new"."""

    async def make_it_lag():
        await save(primary, (Company("old"), KEY))
        cluster.wait_for_standby()
        cluster.pause_replay()
        await change(primary, KEY, Company, name="new")

    return make_it_lag


class TestWhereLoadsGo:
    async def test_to_the_primary_where_nothing_is_said(self, cluster, make_store, lag):
        await lag()
        assert await name_of(make_store(cluster.urls)) == "new"

    async def test_to_a_standby_which_may_be_behind(self, cluster, make, lag):
        store = make()
        await lag()
        assert await name_of(store) == "old"
        cluster.resume_replay()
        assert await name_of(store) == "new"

    async def test_a_session_may_decide_otherwise_than_its_store(self, make, lag):
        await lag()
        assert await name_of(make(), read_preference=ReadPreference.PRIMARY) == "new"
        assert await name_of(make(read_preference=ReadPreference.PRIMARY), read_preference=PREFER) == "old"

    async def test_every_kind_of_load(self, make, lag, primary):
        await lag()
        await save(primary, (Company("new"), "companies/2"))
        store = make()
        async with store.open_session() as session:
            assert (await session.load([KEY, "companies/2"], Company))[KEY].name == "old"
            assert session.advanced.number_of_requests == 1
        async with store.open_session() as session:
            found = await session.advanced.load_starting_with("companies/", Company)
            assert [company.name for company in found] == ["old"]
            assert not await session.advanced.exists("companies/2")
        async with store.open_session() as session:
            assert [company.name for company in await session.query(Company).all()] == ["old"]
        async with store.open_session() as session:
            lazy = session.advanced.lazily.load(KEY, Company)
            assert (await settle(lazy.value)).name == "old"

    async def test_what_has_to_be_the_state_of_now_comes_from_the_primary(self, make, lag):
        store = make()
        await lag()
        async with store.open_session() as session:
            company = await session.load(KEY, Company)
            vector = session.advanced.get_change_vector_for(company)
            await session.advanced.refresh(company)
            assert company.name == "new"
        async with store.open_session() as session:
            assert (await session.advanced.conditional_load(KEY, vector, Company)).entity.name == "new"

    async def test_a_transaction_reads_where_it_writes(self, make, lag):
        store = make()
        await lag()
        assert await name_of(store, isolation_level="repeatable read") == "new"
        async with store.open_session() as session:
            await session.advanced.begin()
            assert (await session.load(KEY, Company)).name == "new"

    async def test_an_older_document_does_not_overwrite_a_newer_one_that_is_checked(self, make, lag):
        store = make(conventions=DocumentConventions(use_optimistic_concurrency=True))
        await lag()
        async with store.open_session() as session:
            company = await session.load(KEY, Company)
            company.name = "mine"
            with pytest.raises(ConcurrencyException, match=KEY):
                await session.save_changes()


class TestOwnWrites:
    async def test_a_session_waits_for_the_standby_to_have_what_it_saved(self, cluster, make, face):
        """Proven by the standby: it has answered, although it was far behind when the session asked."""
        store = make()
        for turn in range(20):
            async with store.open_session() as session:
                await session.store(Company(f"turn {turn}"), KEY)
                await session.save_changes()
                session.advanced.clear()
                assert (await session.load(KEY, Company)).name == f"turn {turn}"
        assert cluster.standby.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'docsession'") > 0

    async def test_after_waiting_for_long_enough_the_primary_answers(self, make, lag):
        store = make(patience=0.02)
        await lag()
        async with store.open_session() as session:
            company = await session.load(KEY, Company)
            assert company.name == "old"
            company.name = "mine"
            await session.save_changes()
            session.advanced.clear()
            assert (await session.load(KEY, Company)).name == "mine"
            assert session.advanced.number_of_requests == 3

    async def test_the_token_lets_another_session_see_the_same(self, make, lag):
        store = make(patience=0.02)
        await lag()
        async with store.open_session() as session:
            assert session.advanced.last_save_token is None
            await session.store(Company("mine"), KEY)
            await session.save_changes()
            token = session.advanced.last_save_token
        assert await name_of(store) == "old"
        assert await name_of(store, read_after=token) == "mine"
        async with store.open_session(session_options=SessionOptions(read_after=token)) as session:
            assert session.advanced.last_save_token == token

    async def test_several_statements_and_own_transactions_have_tokens_too(self, make, lag):
        store = make(patience=0.02)
        await lag()
        async with store.open_session() as session:
            await session.store(Company("mine"), KEY)
            await session.store(Company("mine"), "companies/2")
            await session.save_changes()
            session.advanced.clear()
            assert (await session.load(KEY, Company)).name == "mine"
        async with store.open_session() as session:
            await session.advanced.begin()
            await session.store(Company("ours"), KEY)
            await session.save_changes()
            assert session.advanced.last_save_token is None
            await session.advanced.commit()
            session.advanced.clear()
            assert (await session.load(KEY, Company)).name == "ours"
        async with store.open_session(session_options=SessionOptions(isolation_level="repeatable read")) as session:
            await session.store(Company("theirs"), KEY)
            await session.save_changes()
            token = session.advanced.last_save_token
        assert await name_of(store, read_after=token) == "theirs"

    async def test_where_the_outcome_of_a_save_was_unknown_the_primary_answers(self, make, lag, cluster):
        await lag()
        with CuttingProxy(cluster.primary_url) as proxy:
            hosts = [conninfo_to_dict(url)["host"] for url in (proxy.url, cluster.standby_url)]
            store = make(make_conninfo(proxy.url, host=",".join(hosts)))
            async with store.open_session() as session:
                await session.store(Company("mine"), KEY)
                proxy.cut_next(Stage.BEFORE_ANSWER, 0, containing=b"COMMIT")
                with pytest.raises(UnknownOutcomeException):
                    await session.save_changes()
                await session.save_changes()
                session.advanced.clear()
                assert (await session.load(KEY, Company)).name == "mine"

    async def test_a_save_is_still_one_request(self, make, lag, cluster):
        await lag()
        async with make().open_session() as session:
            await session.store(Company("mine"), KEY)
            await session.save_changes()
            assert session.advanced.number_of_requests == 1

    async def test_a_level_at_which_the_question_says_nothing_is_left_to_the_primary(
        self, make, lag, cluster, database
    ):
        """With one view for all statements of a request the standby's answer would be about a later moment."""
        await lag()
        cluster.resume_replay()
        role = f"role_{database}"
        cluster.primary.ask(f"CREATE ROLE {role} SUPERUSER LOGIN")
        try:
            cluster.primary.ask(f"ALTER ROLE {role} SET default_transaction_isolation = 'repeatable read'")
            cluster.wait_for_standby()
            urls = [url.replace("//postgres@", f"//{role}@") for url in cluster.urls]
            store = make(*urls)
            async with store.open_session() as session:
                await session.store(Company("mine"), KEY)
                await session.save_changes()
                session.advanced.clear()
                assert (await session.load(KEY, Company)).name == "mine"
                await store.close()
        finally:
            cluster.primary.ask(f"DROP ROLE {role}")


class TestLostStandbys:
    async def test_without_one_the_primary_answers(self, cluster, make, lag):
        store = make()
        await lag()
        assert await name_of(store) == "old"
        cluster.stop_standby()
        assert await name_of(store) == "new"
        assert await name_of(store) == "new"

    async def test_one_that_comes_back_is_used_again(self, cluster, make, lag, monkeypatch):
        monkeypatch.setattr(_reading, "RETRY_SECONDS", 0.0)
        store = make()
        await lag()
        cluster.stop_standby()
        assert await name_of(store) == "new"
        cluster.start_standby()
        cluster.wait_for_standby()
        cluster.pause_replay()
        await save(store, (Company("newer"), KEY))
        assert await name_of(store) == "new"

    async def test_a_single_host_has_none(self, make, lag, cluster):
        await lag()
        assert await name_of(make(cluster.primary_url)) == "new"

    async def test_a_table_that_the_standby_lacks_is_read_on_the_primary(self, cluster, make):
        store = make(patience=0.02)
        cluster.pause_replay()
        await save(store, (Company("first"), KEY))
        assert await name_of(store) == "first"

    async def test_a_read_that_the_standby_cancels_is_read_again_on_the_primary(
        self, cluster, make, primary, face, database
    ):
        """The read holds a lock that gets into the way of what the standby applies."""
        await save(primary, (Company("mine"), KEY), (Order(1), "orders/1"))
        cluster.wait_for_standby()
        store = make()
        lock = 'LOCK TABLE "{}".{} IN ACCESS EXCLUSIVE MODE'
        waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock'"
        cluster.standby.ask("ALTER SYSTEM SET max_standby_streaming_delay = '20ms'")
        cluster.standby.ask("SELECT pg_reload_conf()")
        try:
            with psycopg.connect(cluster.primary_url) as one, psycopg.connect(cluster.primary_url) as other:

                async def read():
                    async with store.open_session() as session:
                        return await session.load([KEY, "orders/1"])

                async with store.open_session() as session:
                    assert len(await session.load([KEY, "orders/1"])) == 2
                one.execute(lock.format(database, "orders"))
                cluster.wait_for_standby()
                reading = begin(face, read)
                await until(lambda: cluster.standby.ask(waits))
                other.execute(lock.format(database, "companies"))
                cluster.flush()
                await until(lambda: cluster.primary.ask(waits))
                one.rollback()
                other.rollback()
                found = await reading
            assert [found[KEY]["name"], found["orders/1"]["total"]] == ["mine", 1]
        finally:
            cluster.standby.ask("ALTER SYSTEM RESET max_standby_streaming_delay")
            cluster.standby.ask("SELECT pg_reload_conf()")


class TestWrongArguments:
    def test_a_preference_is_one(self, make_store, cluster):
        with pytest.raises(InvalidArgumentTypeException, match="read_preference"):
            make_store(cluster.urls, read_preference="standby")

    @pytest.mark.parametrize("token", ["", "x", "0/", "0/G", "1/2/3", 7, "FFFFFFFF/0"])
    def test_a_token_is_one(self, make, token):
        with pytest.raises(InvalidArgumentException, match="last_save_token"):
            make().open_session(session_options=SessionOptions(read_after=token))

    def test_not_for_another_server(self, make, make_store, cluster):
        other = make_store(cluster.primary_url).get_request_executor()
        options = SessionOptions(request_executor=getattr(other, "wrapped", other), read_preference=PREFER)
        with pytest.raises(InvalidArgumentException, match="request_executor"):
            make().open_session(session_options=options)


def test_no_record_ends_in_the_header_of_a_page():
    """Where the log says that the next record begins after a header, a standby has got to the page before it."""
    page = 5 * 8192
    assert [end_of_record(page + offset) for offset in (0, 24, 40)] == [page] * 3
    assert end_of_record(page + 48) == page + 48
    assert end_of_record(page - 8) == page - 8


class TestUnitsOfWork:
    """What is read to be written again comes from the primary, where a conflict would follow for certain."""

    async def test_an_edit_reads_from_the_primary_and_is_read_afterwards(self, cluster, make, lag, unit):
        store = make(patience=0.05)
        await lag()

        async def shout(company):
            company.name += "!"

        async with store.open_session() as session:
            assert (await session.load(KEY, Company)).name == "old"
            assert (await session.advanced.edit(KEY, Company, unit(shout), 1)).name == "new!"
            session.advanced.clear()
            assert (await session.load(KEY, Company)).name == "new!"

    async def test_another_attempt_reads_from_the_primary(self, cluster, make, lag, unit, waits):
        store = make()
        await lag()
        seen = []

        async def shout(session):
            company = await session.load(KEY, Company)
            seen.append(company.name)
            company.name += "!"

        options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        await store.run(unit(shout), session_options=options)
        assert seen == ["old", "new"]


async def test_what_a_standby_sent_is_kept_and_named(make, primary):
    """The cache is the store's: the same rows, wherever they were read."""
    store = make()
    text = "long " * 1000
    await save(primary, (Company(text), KEY))
    for turn in range(4):
        async with store.open_session() as session:
            assert (await session.load(KEY, Company)).name == text
        assert store.statistics.cache_hits == turn
    await change(primary, KEY, Company, name=text + "!")
    preference = SessionOptions(read_preference=ReadPreference.PRIMARY)
    async with store.open_session(session_options=preference) as session:
        assert (await session.load(KEY, Company)).name == text + "!"
    assert store.statistics.cache_hits == 3

"""`store.run`: a unit of work in a fresh session each time, saved, and repeated where nothing of it is left."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
import pytest

from docsession import (
    ConcurrencyException,
    ConnectionFailedException,
    DocumentStore,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    OptimisticConcurrencyMode,
    RequestExecutor,
    RequestTimeoutException,
    SessionClosedException,
    SessionOptions,
    TooManyRequestsException,
    TransactionRetryException,
    UnknownOutcomeException,
)
from docsession._faces import _units
from tests.support.answers import Answers
from tests.support.beside import begin, outsider, settle
from tests.support.documents import change, read, save
from tests.support.proxy import CuttingProxy, Stage


@dataclass
class Account:
    balance: int
    id: str | None = None


CHECKED = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)


class Work:
    """A unit of work that adds to an account, and keeps its sessions."""

    def __init__(self, amount=1, meanwhile=None):
        self.amount = amount
        self.sessions = []
        self.meanwhile = meanwhile

    async def __call__(self, session):
        self.sessions.append(getattr(session, "wrapped", session))
        account = await session.load("accounts/1", Account)
        account.balance += self.amount
        if self.meanwhile is not None:
            await self.meanwhile(len(self.sessions))
        return account.balance


def others(store, until):
    """Somebody who is faster, up to an attempt."""

    async def meanwhile(tries):
        if tries <= until:
            await change(store, "accounts/1", Account, balance=100 * tries)

    return meanwhile


class TestSaving:
    async def test_what_the_function_changes_is_saved(self, store, unit):
        await save(store, (Account(5), "accounts/1"))
        work = Work(2)
        assert await store.run(unit(work)) == 7
        assert (await read(store, "accounts/1", Account)).balance == 7
        (session,) = work.sessions
        with pytest.raises(SessionClosedException):
            session.advanced.has_changes()

    async def test_a_save_of_its_own_is_fine(self, store, unit):
        async def work(session):
            account = Account(1)
            await session.store(account, "accounts/")
            await session.save_changes()
            return account.id, session.advanced.number_of_requests

        key, requests = await store.run(unit(work))
        assert requests == 1
        assert (await read(store, key, Account)).balance == 1

    async def test_nothing_to_save_is_fine(self, store, unit):
        async def work(session):
            return await session.load("accounts/1", Account)

        assert await store.run(unit(work)) is None

    async def test_a_transaction_that_it_has_begun_is_committed(self, store, unit):
        async def work(session):
            await session.advanced.begin()
            await session.store(Account(1), "accounts/1")
            await session.save_changes()
            await session.advanced.begin()
            await session.store(Account(2), "accounts/2")

        await store.run(unit(work))
        assert (await read(store, "accounts/1", Account)).balance == 1
        assert (await read(store, "accounts/2", Account)).balance == 2

    async def test_a_session_that_tracks_nothing_has_nothing_to_save(self, store, unit):
        await save(store, (Account(5), "accounts/1"))

        async def work(session):
            return (await session.load("accounts/1", Account)).balance

        assert await store.run(unit(work), session_options=SessionOptions(no_tracking=True)) == 5

    async def test_options_are_those_of_the_session(self, store, unit, database):
        async def work(session):
            await session.store(Account(1), "accounts/1")
            return session.advanced.optimistic_concurrency_mode

        other = f"{database}_other"
        assert await store.run(unit(work), database=other, session_options=CHECKED) is OptimisticConcurrencyMode.WRITES
        assert await read(store, "accounts/1") is None
        async with store.open_session(other) as session:
            assert (await session.load("accounts/1", Account)).balance == 1
        await store.maintenance.delete_database(other)


class TestRepeating:
    async def test_a_conflict_lets_it_run_again_on_what_is_there_then(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        work = Work(1, others(store, until=2))
        assert await store.run(unit(work), session_options=CHECKED) == 201
        assert (await read(store, "accounts/1", Account)).balance == 201
        assert len({id(session) for session in work.sessions}) == 3
        assert len(waits) == 2

    async def test_the_last_error_is_raised_and_says_how_often_it_was_tried(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        work = Work(1, others(store, until=9))
        with pytest.raises(ConcurrencyException) as caught:
            await store.run(unit(work), 4, session_options=CHECKED)
        assert caught.value.__notes__ == ["store.run() has tried it 4 times."]
        assert len(work.sessions) == 4
        assert len(waits) == 3

    async def test_once_is_once(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        with pytest.raises(ConcurrencyException) as caught:
            await store.run(unit(Work(1, others(store, until=9))), attempts=1, session_options=CHECKED)
        assert not hasattr(caught.value, "__notes__")
        assert waits == []

    async def test_waits_are_random_and_bounded(self, store, unit, waits):
        async def work(session):
            raise TransactionRetryException("again")

        with pytest.raises(TransactionRetryException):
            await store.run(unit(work), 12, backoff=0.01, max_backoff=0.5)
        bounds = [min(0.5, 0.01 * 2**n) for n in range(11)]
        assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
        assert len(set(waits)) > 5

    async def test_a_serialization_failure_lets_it_run_again(self, store, face, unit, waits, postgres_url, database):
        await save(store, (Account(5), "accounts/1"))
        work = Work(1, others(store, until=1))
        options = SessionOptions(isolation_level="serializable")
        assert await store.run(unit(work), session_options=options) == 101
        assert (await read(store, "accounts/1", Account)).balance == 101
        assert len(work.sessions) == 2

    @pytest.mark.direct("the URL's `options`, which pgbouncer refuses")
    async def test_a_real_deadlock_lets_it_run_again(self, make_store, face, unit, waits, postgres_url, database):
        url = psycopg.conninfo.make_conninfo(postgres_url, options="-c deadlock_timeout=200ms")
        store = make_store(url)
        await save(store, (Account(1), "accounts/1"), (Account(1), "accounts/2"))
        runs = []

        async def work(session):
            runs.append(1)
            for account in (await session.load(["accounts/1", "accounts/2"], Account)).values():
                account.balance += 1

        with outsider(postgres_url, database) as program:
            program.hold("accounts", "accounts/2")
            running = begin(face, lambda: store.run(unit(work)))
            await program.until_others_wait()
            await asyncio.to_thread(program.hold, "accounts", "accounts/1")
            program.let_go()
            await running
        assert len(runs) >= 2
        assert (await read(store, "accounts/1", Account)).balance == 2

    async def test_what_was_not_sent_is_tried_again(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        answers = Answers(store)
        answers.writes = ["unsent", "unsent"]
        work = Work()
        assert await store.run(unit(work)) == 6
        assert len(work.sessions) == 3

    @pytest.mark.parametrize(
        "error", [ValueError("mine"), RequestTimeoutException("slow"), TooManyRequestsException("many")]
    )
    async def test_nothing_else_does(self, store, unit, waits, error):
        runs = []

        async def work(session):
            runs.append(1)
            await session.store(Account(1), "accounts/1")
            raise error

        with pytest.raises(type(error)) as caught:
            await store.run(unit(work))
        assert caught.value is error
        assert len(runs) == 1
        assert await read(store, "accounts/1") is None

    async def test_each_attempt_has_its_own_requests(self, store, unit, waits):
        store.conventions.max_number_of_requests_per_session = 2
        await save(store, (Account(5), "accounts/1"))
        runs = []

        async def work(session):
            runs.append(1)
            account = await session.load("accounts/1", Account)
            account.balance += 1
            if len(runs) < 3:
                raise TransactionRetryException("again")

        await store.run(unit(work))
        assert len(runs) == 3

    async def test_what_it_saved_itself_is_not_done_twice(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        runs = []

        async def work(session):
            runs.append(1)
            await session.store(Account(1), "log/")
            await session.save_changes()
            (await session.load("accounts/1", Account)).balance += 1
            await change(store, "accounts/1", Account, balance=50)

        with pytest.raises(ConcurrencyException) as caught:
            await store.run(unit(work), session_options=CHECKED)
        assert "an earlier save_changes() of it is committed" in caught.value.__notes__[0]
        assert len(runs) == 1

    async def test_nor_is_what_a_query_has_deleted(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        runs = []

        async def work(session):
            runs.append(await settle(session.query(Account).where(balance=5).delete()))
            raise TransactionRetryException("again")

        with pytest.raises(TransactionRetryException) as caught:
            await store.run(unit(work))
        assert "committed" in caught.value.__notes__[0]
        assert runs == [1]

    async def test_nor_is_a_transaction_that_it_committed_itself(self, store, unit, waits):
        runs = []

        async def work(session):
            runs.append(1)
            async with session.advanced.transaction():
                await session.store(Account(1), "log/")
                await session.save_changes()
            raise TransactionRetryException("again")

        with pytest.raises(TransactionRetryException) as caught:
            await store.run(unit(work))
        assert "committed" in caught.value.__notes__[0]
        assert len(runs) == 1

    async def test_what_is_rolled_back_is_done_again(self, store, unit, waits):
        runs = []

        async def work(session):
            runs.append(1)
            async with session.advanced.transaction():
                await session.store(Account(len(runs)), "accounts/1")
                await session.save_changes()
                if len(runs) == 1:
                    raise TransactionRetryException("again")

        await store.run(unit(work))
        assert (await read(store, "accounts/1", Account)).balance == 2

    async def test_a_transaction_of_somebody_else_is_theirs_to_repeat(self, store, face, unit, waits, postgres_url):
        await save(store, (Account(5), "accounts/1"))
        kind = psycopg.AsyncConnection if face.is_async else psycopg.Connection
        connection = await settle(kind.connect(postgres_url))
        try:
            options = SessionOptions(request_executor=RequestExecutor.for_connection(connection))
            assert await store.run(unit(Work(1)), session_options=options) == 6
            await settle(connection.commit())
            runs = []

            async def work(session):
                runs.append(1)
                raise TransactionRetryException("again")

            with pytest.raises(TransactionRetryException):
                await store.run(unit(work), session_options=options)
            assert len(runs) == 1
        finally:
            await settle(connection.close())
        assert (await read(store, "accounts/1", Account)).balance == 6


class TestLostAnswers:
    """The session whose answer was lost is the only one that can tell: the work is not begun anew."""

    @pytest.mark.parametrize("stage", [Stage.BEFORE_BYTE, Stage.BEFORE_ANSWER, Stage.POOLER])
    @pytest.mark.parametrize("count", [1, 2])
    async def test_a_cut_link_saves_it_once(self, store, make_store, postgres_url, unit, waits, stage, count):
        await save(store, (Account(5), "accounts/1"), (Account(5), "accounts/2"))
        with CuttingProxy(postgres_url) as proxy:
            far = make_store(proxy.url)
            runs = []

            async def work(session):
                runs.append(1)
                for n in range(count):
                    (await session.load(f"accounts/{n + 1}", Account)).balance += 1
                proxy.cut_next(stage, 1 if stage is Stage.POOLER else 0, containing=b"balance")

            await far.run(unit(work))
            assert proxy.cuts == 1
            assert len(runs) == 1
        for n in range(count):
            assert (await read(store, f"accounts/{n + 1}", Account)).balance == 6

    async def test_a_commit_that_was_lost_is_found_out(self, store, make_store, postgres_url, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        for stage, expected in ((Stage.BEFORE_ANSWER, 1), (Stage.BEFORE_BYTE, 2)):
            with CuttingProxy(postgres_url) as proxy:
                far = make_store(proxy.url)
                runs = []

                async def work(session, stage=stage, runs=runs, proxy=proxy):
                    runs.append(1)
                    await session.advanced.begin()
                    (await session.load("accounts/1", Account)).balance += 1
                    await session.save_changes()
                    if len(runs) == 1:
                        proxy.cut_next(stage, containing=b"COMMIT")

                await far.run(unit(work))
                assert len(runs) == expected
        assert (await read(store, "accounts/1", Account)).balance == 7

    @pytest.mark.parametrize("fates", [["late"], ["lost"], ["lost", "unsent"], ["late", "lost"]])
    async def test_it_goes_on_asking(self, store, unit, waits, fates):
        await save(store, (Account(5), "accounts/1"))
        answers = Answers(store)
        answers.writes = list(fates)
        work = Work()
        assert await store.run(unit(work), session_options=CHECKED) == 6
        assert len(work.sessions) == 1
        assert (await read(store, "accounts/1", Account)).balance == 6

    async def test_a_conflict_afterwards_is_not_run_into_again(self, store, unit, waits):
        """Others have written, and whether the lost save came before them nobody knows."""
        await save(store, (Account(5), "accounts/1"))
        answers = Answers(store)
        answers.writes = ["late"]
        work = Work()

        async def meanwhile():
            await change(store, "accounts/1", Account, balance=50)

        async def running(session):
            result = await work(session)
            answers.before_write = None
            return result

        original = _units.AsyncWaiting.pause

        async def pause(self, seconds):
            if len(waits) == 0:
                answers.writes = []
                await meanwhile()
            await original(self, seconds)

        with pytest.MonkeyPatch.context() as patch:
            for kind in (_units.BlockingWaiting, _units.AsyncWaiting):
                patch.setattr(kind, "pause", pause)
            with pytest.raises(ConcurrencyException) as caught:
                await store.run(unit(running), session_options=CHECKED)
        assert len(work.sessions) == 1
        assert any("cannot be told" in note for note in caught.value.__notes__)
        assert any("may be committed" in note for note in caught.value.__notes__)

    async def test_a_server_that_stays_away(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        answers = Answers(store)
        work = Work()

        async def running(session):
            result = await work(session)
            answers.writes, answers.reads = ["lost"], ["lost"] * 9
            return result

        with pytest.raises(UnknownOutcomeException) as caught:
            await store.run(unit(running))
        assert "may be committed" in caught.value.__notes__[0]
        assert len(work.sessions) == 1
        assert len(waits) == 2

    async def test_a_lost_save_of_its_own_is_not_run_again(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        answers = Answers(store)
        runs = []

        async def work(session):
            runs.append(1)
            (await session.load("accounts/1", Account)).balance += 1
            answers.writes = ["lost"]
            await session.save_changes()

        with pytest.raises(UnknownOutcomeException):
            await store.run(unit(work))
        assert len(runs) == 1


class TestArguments:
    @pytest.mark.parametrize(
        "options",
        [{"attempts": 0}, {"attempts": 1.5}, {"attempts": True}, {"backoff": -1}, {"max_backoff": float("nan")}],
    )
    async def test_what_cannot_be_meant_is_refused(self, store, unit, options):
        with pytest.raises(InvalidArgumentException, match=next(iter(options))):
            await store.run(unit(Work()), **options)

    def test_a_coroutine_function_is_refused_by_the_blocking_store(self, postgres_url, database):
        async def work(session):
            raise AssertionError

        store = DocumentStore(postgres_url, database=database)
        with store, pytest.raises(InvalidArgumentTypeException, match="AsyncDocumentStore"):
            store.run(work)

    async def test_a_generator_is_refused_since_calling_it_does_nothing(self, store):
        def work(session):
            yield session

        async def async_work(session):
            yield session

        for each in (work, async_work):
            with pytest.raises(InvalidArgumentTypeException, match="yields"):
                await store.run(each)

    async def test_a_plain_function_is_fine_for_both(self, store, face):
        def work(session):
            session.delete("accounts/9")
            return 1

        assert await store.run(work) == 1

    async def test_a_cancelled_run_is_not_repeated(self, store, face, unit, waits):
        runs = []

        async def work(session):
            runs.append(1)
            raise KeyboardInterrupt if not face.is_async else asyncio.CancelledError

        with pytest.raises(BaseException) as caught:
            await store.run(unit(work))
        assert isinstance(caught.value, KeyboardInterrupt | asyncio.CancelledError)
        assert len(runs) == 1

    async def test_a_server_that_is_away_from_the_beginning(self, make_store, unit, waits):
        store = make_store("postgresql://127.0.0.1:1/nowhere", timeout=0.1, connect_timeout=2)
        with pytest.raises(ConnectionFailedException) as caught:
            await store.run(unit(Work()))
        assert caught.value.__notes__ == ["store.run() has tried it 3 times."]


async def test_many_writers_lose_nothing(store, face, unit):
    """Each adds one to the same account, checked; whoever loses runs again."""
    await save(store, (Account(0), "accounts/1"))
    work = unit(Work(1))
    jobs = [begin(face, lambda: store.run(work, 50, session_options=CHECKED, backoff=0.01)) for _ in range(8)]
    await asyncio.gather(*jobs)
    assert (await read(store, "accounts/1", Account)).balance == 8


STAGES = [Stage.BEFORE_BYTE, Stage.AFTER_MESSAGES, Stage.BEFORE_ANSWER, Stage.INSIDE_ANSWER, Stage.POOLER]


class Adder:
    """A thread that adds one to an account again and again, over a link that breaks at random places.

    Attributes:
        done: How often it was told that it is done.
        doubtful: How often, that nobody can tell.
    """

    def __init__(self, url, database, seed, way):
        self.done = self.doubtful = 0
        self._random = random.Random(seed)
        self._url = url
        self._database = database
        self._way = way

    def run(self):
        with CuttingProxy(self._url) as proxy, DocumentStore(proxy.url, database=self._database) as store:
            for _ in range(25):
                if not proxy.is_armed and self._random.random() < 0.6:
                    containing = self._random.choice([b"balance", b"COMMIT", b""])
                    proxy.cut_next(self._random.choice(STAGES), self._random.randrange(20), containing=containing)
                try:
                    getattr(self, self._way)(store)
                except ConcurrencyException as error:
                    self.doubtful += "may be committed" in error.__notes__[-1]
                else:
                    self.done += 1

    @staticmethod
    def add(account):
        account.balance += 1

    def by_version(self, store):
        store.run(lambda session: self.add(session.load("accounts/1", Account)), 50, session_options=CHECKED)

    def serializable(self, store):
        options = SessionOptions(isolation_level="serializable")
        store.run(lambda session: self.add(session.load("accounts/1", Account)), 50, session_options=options)

    def in_a_transaction(self, store):
        def work(session):
            session.advanced.begin()
            self.add(session.load("accounts/1", Account))
            session.save_changes()

        store.run(work, 50, session_options=CHECKED)

    def by_edit(self, store):
        with store.open_session() as session:
            session.advanced.edit("accounts/1", Account, self.add, 50)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_breaks_nothing_is_lost_or_done_twice(postgres_url, database, seed):
    """What is done is there, and no more than that and what nobody can tell."""
    ways = ["by_version", "serializable", "in_a_transaction", "by_edit"]
    adders = [Adder(postgres_url, database, 10 * seed + n, way) for n, way in enumerate(ways)]
    with DocumentStore(postgres_url, database=database) as store:
        store.run(lambda session: session.store(Account(0), "accounts/1"))
        with ThreadPoolExecutor(len(adders)) as threads:
            for each in [threads.submit(adder.run) for adder in adders]:
                each.result()
        done = sum(adder.done for adder in adders)
        balance = store.run(lambda session: session.load("accounts/1", Account).balance)
        assert done <= balance <= done + sum(adder.doubtful for adder in adders)

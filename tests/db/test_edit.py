"""`session.advanced.edit`: one document, changed and saved beside the session, and again where others were faster."""

import asyncio
from dataclasses import dataclass, field, replace

import psycopg
import pytest

from docsession import (
    ConcurrencyException,
    DeleteCommandData,
    DocumentDoesNotExistException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    RequestExecutor,
    SessionBusyException,
    SessionOptions,
    TooManyRequestsException,
    TransactionMode,
    TransactionRetryException,
    UnknownOutcomeException,
    UnsupportedValueException,
)
from tests.support.answers import Answers
from tests.support.beside import begin, settle
from tests.support.documents import change, read, save


@dataclass
class Account:
    balance: int
    tags: list[str] = field(default_factory=list)
    id: str | None = None


@dataclass(frozen=True)
class Frozen:
    balance: int
    id: str | None = None


def adding(amount, *, meanwhile=None):
    """Adds to an account; keeps the balances that it saw."""
    seen = []

    async def add(account):
        seen.append(account.balance)
        account.balance += amount
        if meanwhile is not None:
            await meanwhile(len(seen))

    add.seen = seen
    return add


def others(store, until):
    async def meanwhile(tries):
        if tries <= until:
            await change(store, "accounts/1", Account, balance=100 * tries)

    return meanwhile


class TestEditing:
    async def test_it_is_saved_at_once_and_tracked(self, store, unit):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session() as session:
            account = await session.advanced.edit("accounts/1", Account, unit(adding(2)))
            assert account == Account(7, [], "accounts/1")
            assert (await read(store, "accounts/1", Account)).balance == 7
            assert await session.load("accounts/1", Account) is account
            assert not session.advanced.has_changes()
            assert session.advanced.number_of_requests == 2
            session.advanced.use_optimistic_concurrency = True
            account.balance = 8
            await session.save_changes()
        assert (await read(store, "accounts/1", Account)).balance == 8

    async def test_the_instance_that_is_tracked_is_brought_up_to_date(self, store, unit):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session() as session:
            mine = await session.load("accounts/1", Account)
            metadata = session.advanced.get_metadata_for(mine)
            await change(store, "accounts/1", Account, balance=50, tags=["theirs"])
            assert await session.advanced.edit("accounts/1", Account, unit(adding(1))) is mine
            assert mine == Account(51, ["theirs"], "accounts/1")
            assert metadata["@change-vector"] == session.advanced.get_change_vector_for(mine)
            assert not session.advanced.has_changes()
            session.advanced.use_optimistic_concurrency = True
            mine.balance = 60
            await session.save_changes()
        assert (await read(store, "accounts/1", Account)).balance == 60

    async def test_only_that_document_is_saved(self, store, unit):
        await save(store, (Account(1), "accounts/1"), (Account(1), "accounts/2"), (Account(1), "accounts/3"))
        async with store.open_session() as session:
            (await session.load("accounts/2", Account)).balance = 2
            await session.store(Account(4), "accounts/4")
            session.delete("accounts/3")
            session.defer(DeleteCommandData("accounts/5"))
            await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            assert (await read(store, "accounts/1", Account)).balance == 2
            assert (await read(store, "accounts/2", Account)).balance == 1
            assert await read(store, "accounts/3") is not None
            assert await read(store, "accounts/4") is None
            await session.save_changes()
        assert (await read(store, "accounts/2", Account)).balance == 2
        assert await read(store, "accounts/3") is None

    async def test_nothing_changed_is_nothing_written(self, store, unit, rows):
        await save(store, (Account(5), "accounts/1"))
        version = rows.version("accounts", "accounts/1")
        async with store.open_session() as session:
            assert (await session.advanced.edit("accounts/1", Account, unit(adding(0)))).balance == 5
            assert session.advanced.number_of_requests == 1
        assert rows.version("accounts", "accounts/1") == version

    async def test_another_entity_may_take_its_place(self, store, unit):
        await save(store, (Frozen(5), "frozens/1"))

        async def double(account):
            return replace(account, balance=account.balance * 2)

        async with store.open_session() as session:
            assert await session.advanced.edit("frozens/1", Frozen, unit(double)) == Frozen(10, "frozens/1")
            mine = await session.load("frozens/1", Frozen)
            assert await session.advanced.edit("frozens/1", Frozen, unit(double)) is mine
            assert mine == Frozen(20, "frozens/1")
        assert (await read(store, "frozens/1", Frozen)).balance == 20

    async def test_a_dict(self, store, unit):
        await save(store, (Account(5), "accounts/1"))

        async def add(account):
            account["balance"] += 1
            account["@metadata"]["by"] = "me"

        async with store.open_session() as session:
            account = await session.advanced.edit("accounts/1", None, unit(add))
            assert (account["balance"], account["@metadata"]["by"]) == (6, "me")
        assert (await read(store, "accounts/1", Account)).balance == 6

    async def test_what_the_class_does_not_know_is_kept(self, store, unit, rows):
        await save(store, (Account(5), "accounts/1"))
        rows.write("accounts", "accounts/1", {"balance": 5, "tags": [], "more": {"a": 1}})
        async with store.open_session() as session:
            mine = await session.load("accounts/1", Account)
            await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            mine.balance = 9
            await session.save_changes()
        assert rows.data("accounts", "accounts/1") == {"balance": 9, "tags": [], "more": {"a": 1}}

    async def test_the_function_may_load_from_the_session(self, store, face, unit):
        await save(store, (Account(5), "accounts/1"), (Account(7), "accounts/2"))
        async with store.open_session() as session:

            async def add(account):
                account.balance += (await session.load("accounts/2", Account)).balance

            assert (await session.advanced.edit("accounts/1", Account, unit(add))).balance == 12

            async def wrong(_account):
                await session.save_changes()

            with pytest.raises(SessionBusyException, match="edit"):
                await session.advanced.edit("accounts/1", Account, unit(wrong))

    async def test_a_session_that_tracks_nothing_may_edit(self, store, unit):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session(session_options=SessionOptions(no_tracking=True)) as session:
            assert (await session.advanced.edit("accounts/1", Account, unit(adding(1)))).balance == 6
            assert not session.advanced.is_loaded("accounts/1")
        assert (await read(store, "accounts/1", Account)).balance == 6

    async def test_a_cluster_wide_session_may_edit(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        options = SessionOptions(
            transaction_mode=TransactionMode.CLUSTER_WIDE,
            disable_atomic_document_writes_in_cluster_wide_transaction=True,
        )
        async with store.open_session(session_options=options) as session:
            add = adding(1, meanwhile=others(store, until=1))
            assert (await session.advanced.edit("accounts/1", Account, unit(add))).balance == 101

    async def test_handlers_are_called_for_it(self, store, unit):
        await save(store, (Account(5), "accounts/1"))
        seen = []

        def audit(args):
            seen.append(args.document_id)

        async with store.open_session() as session:
            session.add_before_store(audit)
            await session.advanced.edit("accounts/1", Account, unit(adding(1)))
        assert seen == ["accounts/1"]


class TestRepeating:
    @pytest.mark.parametrize("mode", list(OptimisticConcurrencyMode))
    async def test_a_conflict_lets_it_load_again(self, store, unit, waits, mode):
        await save(store, (Account(5), "accounts/1"))
        add = adding(1, meanwhile=others(store, until=2))
        async with store.open_session(session_options=SessionOptions(optimistic_concurrency_mode=mode)) as session:
            assert (await session.advanced.edit("accounts/1", Account, unit(add))).balance == 201
            assert session.advanced.number_of_requests == 6
            assert session.advanced.optimistic_concurrency_mode is mode
        assert add.seen == [5, 100, 200]
        assert len(waits) == 2
        assert (await read(store, "accounts/1", Account)).balance == 201

    async def test_the_last_conflict_is_raised_and_leaves_the_session_as_it_was(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        add = adding(1, meanwhile=others(store, until=9))
        async with store.open_session() as session:
            mine = await session.load("accounts/1", Account)
            with pytest.raises(ConcurrencyException) as caught:
                await session.advanced.edit("accounts/1", Account, unit(add), 3)
            assert caught.value.__notes__ == ["edit() has tried it 3 times."]
            assert mine.balance == 5
            assert not session.advanced.has_changes()
        assert (await read(store, "accounts/1", Account)).balance == 300

    async def test_requests_are_those_of_the_session(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 5
            with pytest.raises(TooManyRequestsException):
                await session.advanced.edit("accounts/1", Account, unit(adding(1, meanwhile=others(store, until=9))))

    @pytest.mark.parametrize("fate", ["lost", "late", "unsent"])
    async def test_a_lost_answer_is_found_out(self, store, unit, waits, fate):
        await save(store, (Account(5), "accounts/1"))
        answers = Answers(store)
        async with store.open_session() as session:
            answers.writes = [fate]
            assert (await session.advanced.edit("accounts/1", Account, unit(adding(1)))).balance == 6
            assert not session.advanced.has_changes()
        assert (await read(store, "accounts/1", Account)).balance == 6

    async def test_one_that_cannot_be_found_out_is_told(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        answers = Answers(store)
        async with store.open_session() as session:
            mine = await session.load("accounts/1", Account)
            answers.writes, answers.meanwhile = ["lost"], None

            async def add(account):
                account.balance += 1
                answers.reads = ["lost"] * 20

            with pytest.raises(UnknownOutcomeException) as caught:
                await session.advanced.edit("accounts/1", Account, unit(add), 3)
            assert "may be committed" in caught.value.__notes__[0]
            answers.reads = []
            assert mine.balance == 5
            assert (await session.advanced.refresh(mine)).balance == 6

    async def test_many_editors_lose_nothing(self, store, face, unit):
        await save(store, (Account(0), "accounts/1"))

        async def edit():
            async with store.open_session() as session:
                await session.advanced.edit("accounts/1", Account, unit(adding(1)), 50)

        await asyncio.gather(*(begin(face, edit) for _ in range(8)))
        assert (await read(store, "accounts/1", Account)).balance == 8


class TestRefusals:
    async def test_a_document_that_does_not_exist(self, store, unit):
        async with store.open_session() as session:
            with pytest.raises(DocumentDoesNotExistException, match="'accounts/1'"):
                await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            await save(store, (Account(5), "accounts/1"))
            assert await session.load("accounts/1", Account) is not None

    async def test_one_that_was_missing_is_looked_for_again(self, store, unit):
        async with store.open_session() as session:
            assert await session.load("accounts/1", Account) is None
            await save(store, (Account(5), "accounts/1"))
            account = await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            assert await session.load("accounts/1", Account) is account

    async def test_unsaved_changes_of_the_session(self, store, unit):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session() as session:
            mine = await session.load("accounts/1", Account)
            mine.balance = 6
            with pytest.raises(InvalidOperationException, match="changes of its own"):
                await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            session.advanced.evict(mine)
            session.delete("accounts/1")
            with pytest.raises(InvalidOperationException, match="changes of its own"):
                await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            session.advanced.clear()
            session.defer(DeleteCommandData("accounts/1"))
            with pytest.raises(InvalidOperationException, match="deferred command"):
                await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            session.advanced.clear()
            await session.store(Account(1), "accounts/9")
            with pytest.raises(InvalidOperationException, match="changes of its own"):
                await session.advanced.edit("accounts/9", Account, unit(adding(1)))
        assert (await read(store, "accounts/1", Account)).balance == 5

    async def test_a_change_of_the_sessions_own_instance_meanwhile(self, store, unit):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session() as session:
            mine = await session.load("accounts/1", Account)

            async def add(account):
                account.balance += 1
                mine.balance = 99

            with pytest.raises(InvalidOperationException, match="changed meanwhile"):
                await session.advanced.edit("accounts/1", Account, unit(add))
            assert mine.balance == 99
        assert (await read(store, "accounts/1", Account)).balance == 6

    async def test_an_error_of_the_function_leaves_nothing(self, store, unit):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session() as session:
            mine = await session.load("accounts/1", Account)

            async def fail(account):
                account.balance = 99
                raise KeyError("mine")

            with pytest.raises(KeyError):
                await session.advanced.edit("accounts/1", Account, unit(fail))
            assert mine.balance == 5
            assert not session.advanced.has_changes()
            assert await session.load("accounts/1", Account) is mine

    async def test_what_cannot_be_stored(self, store, unit):
        await save(store, (Account(5), "accounts/1"))

        async def spoil(account):
            account.tags = [object()]

        async with store.open_session() as session:
            with pytest.raises(UnsupportedValueException, match="tags"):
                await session.advanced.edit("accounts/1", Account, unit(spoil))
            assert not session.advanced.has_changes()

    async def test_something_else_in_its_place(self, store, unit):
        await save(store, (Account(5), "accounts/1"))

        async def wrong(_account):
            return 5

        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentTypeException, match=r"another Account.*not int"):
                await session.advanced.edit("accounts/1", Account, unit(wrong))

    @pytest.mark.parametrize(("key", "attempts"), [("", 3), ("accounts/1", 0)])
    async def test_wrong_arguments(self, store, unit, key, attempts):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                await session.advanced.edit(key, Account, unit(adding(1)), attempts)


class TestTransactions:
    async def test_it_is_a_part_of_the_transaction(self, store, unit):
        await save(store, (Account(5), "accounts/1"), (Account(5), "accounts/2"))
        async with store.open_session() as session:
            mine = await session.load("accounts/1", Account)
            before = session.advanced.get_change_vector_for(mine)
            await session.advanced.begin()
            await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            other = await session.advanced.edit("accounts/2", Account, unit(adding(1)))
            assert (await read(store, "accounts/1", Account)).balance == 5
            assert mine.balance == 6
            await session.advanced.rollback()
            assert (await read(store, "accounts/1", Account)).balance == 5
            assert session.advanced.get_change_vector_for(mine) == before
            # As after every rollback: what was saved is unsaved again.
            assert session.advanced.has_changed(mine)
            assert session.advanced.has_changed(other)
            session.advanced.use_optimistic_concurrency = True
            await session.save_changes()
        assert (await read(store, "accounts/1", Account)).balance == 6
        assert (await read(store, "accounts/2", Account)).balance == 6

    async def test_a_commit_keeps_it(self, store, unit):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session() as session:
            async with session.advanced.transaction():
                await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            assert not session.advanced.has_changes()
        assert (await read(store, "accounts/1", Account)).balance == 6

    async def test_it_is_repeated_where_the_transaction_sees_more(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session() as session, session.advanced.transaction():
            add = adding(1, meanwhile=others(store, until=1))
            assert (await session.advanced.edit("accounts/1", Account, unit(add))).balance == 101
        assert (await read(store, "accounts/1", Account)).balance == 101

    @pytest.mark.parametrize("level", ["repeatable read", "serializable"])
    async def test_and_not_where_it_does_not(self, store, unit, waits, level):
        await save(store, (Account(5), "accounts/1"))
        async with store.open_session() as session:
            await session.advanced.begin(level)
            add = adding(1, meanwhile=others(store, until=1))
            with pytest.raises((ConcurrencyException, TransactionRetryException)):
                await session.advanced.edit("accounts/1", Account, unit(add))
            assert add.seen == [5]
            await session.advanced.rollback()

    async def test_with_an_isolation_level_it_is_a_transaction_of_its_own(self, store, unit, waits):
        await save(store, (Account(5), "accounts/1"), (Account(5), "accounts/2"))
        async with store.open_session(session_options=SessionOptions(isolation_level="serializable")) as session:
            add = adding(1, meanwhile=others(store, until=1))
            assert (await session.advanced.edit("accounts/1", Account, unit(add))).balance == 101
            await session.load("accounts/2", Account)
            with pytest.raises(InvalidOperationException, match="call save_changes"):
                await session.advanced.edit("accounts/1", Account, unit(adding(1)))
            await session.save_changes()
            assert (await session.advanced.edit("accounts/1", Account, unit(adding(1)))).balance == 102

    async def test_on_somebody_elses_connection(self, store, face, unit, waits, postgres_url):
        await save(store, (Account(5), "accounts/1"))
        kind = psycopg.AsyncConnection if face.is_async else psycopg.Connection
        connection = await settle(kind.connect(postgres_url))
        try:
            options = SessionOptions(request_executor=RequestExecutor.for_connection(connection))
            async with store.open_session(session_options=options) as session:
                mine = await session.load("accounts/1", Account)
                assert await session.advanced.edit("accounts/1", Account, unit(adding(1))) is mine
                assert (await read(store, "accounts/1", Account)).balance == 5
                await settle(connection.rollback())
                await session.save_changes()  # the server tells it that this is to be done
                await settle(connection.commit())
        finally:
            await settle(connection.close())
        assert (await read(store, "accounts/1", Account)).balance == 6

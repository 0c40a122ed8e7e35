"""Foreign keys of promoted fields: what is refused is told in words of documents."""

import dataclasses
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from docsession import (
    DocumentConventions,
    ForeignKeyViolation,
    FullText,
    InvalidArgumentException,
    Promoted,
    SessionOptions,
    set_,
)
from tests.support.documents import read, remove, save


@dataclass
class Firm:
    name: str
    id: str | None = None


@dataclass
class Bill:
    firm: str | None
    number: int | None = None
    id: str | None = None


@pytest.fixture
def execute(postgres_url, database):
    """Runs a statement in which {} is the quoted schema."""

    def run(text):
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL(text).format(sql.Identifier(database)))

    return run


@pytest.fixture
def store(make_store, database):
    """A store of bills that refer to firms by id, and to numbers of a table of the application's."""
    to_firm = Promoted(lambda b: b.firm, references=f"{database}.firms.id")
    to_number = Promoted(lambda b: b.number, type="integer", references=f"{database}.numbers.n")
    return make_store(conventions=DocumentConventions(indexes={Bill: [to_firm, to_number]}))


async def save_what_is_referred_to(store, execute):
    await save(store, Firm("a", "firms/1"), Firm("b", "firms/2"))
    execute("CREATE TABLE {}.numbers (n integer PRIMARY KEY)")
    execute("INSERT INTO {}.numbers VALUES (1), (2)")


async def test_a_save_names_the_documents_that_refer_to_nothing(store, execute):
    await save_what_is_referred_to(store, execute)
    right, wrong = Bill("firms/1", 1, "bills/1"), [Bill("firms/9", 1, "bills/2"), Bill("firms/8", None, "bills/3")]
    with pytest.raises(ForeignKeyViolation, match=r"'bills/2', 'bills/3' of 'Bills' refer in \(firm\)") as caught:
        await save(store, right, *wrong, Firm("c", "firms/7"))
    error = caught.value
    assert (error.id, error.ids, error.fields) == ("bills/2", ("bills/2", "bills/3"), ("firm",))
    assert (error.constraint, error.sqlstate) == ("bills_firm_fkey", "23503")
    assert "firms/9" not in str(error), "what is in documents stays out of errors"
    assert await read(store, "bills/1", Bill) is None
    await save(store, right, Bill("firms/9", id="bills/2"), Firm("later", "firms/9"))


async def test_a_save_of_one_document_to_the_applications_own_table(store, execute):
    await save_what_is_referred_to(store, execute)
    await save(store, Bill(None, 2, "bills/1"))
    with pytest.raises(ForeignKeyViolation, match=r"'bills/2' of 'Bills' refers in \(number\)"):
        await save(store, Bill(None, 3, "bills/2"))


async def test_a_deletion_names_who_refers_to_it(store, execute):
    await save_what_is_referred_to(store, execute)
    await save(store, Bill("firms/1", id="bills/1"), Bill("firms/2", id="bills/2"))
    with pytest.raises(ForeignKeyViolation, match=r"'firms/1' cannot be deleted.* 'bills/1' for one") as caught:
        await remove(store, "firms/1")
    assert (caught.value.ids, caught.value.fields) == (("firms/1",), ("firm",))
    async with store.open_session() as session:
        session.delete("bills/1")
        session.delete("firms/1")
        await session.save_changes()


async def test_a_commit_names_them_and_the_session_goes_on(store, execute):
    await save_what_is_referred_to(store, execute)
    async with store.open_session() as session:
        await session.advanced.begin()
        bill = Bill("firms/9", id="bills/1")
        await session.store(bill)
        await session.save_changes()
        with pytest.raises(ForeignKeyViolation, match="'bills/1'"):
            await session.advanced.commit()
        bill.firm = "firms/2"
        await session.save_changes()
    assert (await read(store, "bills/1", Bill)).firm == "firms/2"


async def test_a_refused_commit_of_an_isolation_level_leaves_no_transaction_behind(store, execute):
    """What the session asks to tell of the documents is not what its next transaction sees."""
    await save_what_is_referred_to(store, execute)
    await save(store, Bill("firms/1", id="bills/1"))
    async with store.open_session(session_options=SessionOptions(isolation_level="repeatable read")) as session:
        await session.advanced.begin()
        bill = await session.load("bills/1", Bill)
        bill.firm = "firms/9"
        await session.save_changes()
        with pytest.raises(ForeignKeyViolation, match="'bills/1'"):
            await session.advanced.commit()
        await save(store, Firm("c", "firms/9"))
        assert (await session.load("firms/9", Firm)).name == "c"


async def test_changes_of_queries_name_the_field(store, execute):
    await save_what_is_referred_to(store, execute)
    await save(store, Bill("firms/1", id="bills/1"))
    async with store.open_session() as session:
        with pytest.raises(ForeignKeyViolation, match=r"document of 'Bills' refers in \(firm\)") as caught:
            await session.query(Bill).patch(lambda b: [set_(b.firm, "firms/9")])
        assert (caught.value.id, caught.value.constraint) == (None, "bills_firm_fkey")
        with pytest.raises(ForeignKeyViolation, match=r"document of 'Bills' refers in \(firm\)"):
            await session.query(Firm).where(id="firms/1").delete()
        assert await session.query(Firm).count() == 2


async def test_a_foreign_key_of_the_applications_is_told_in_postgresqls_words(store, execute):
    await save_what_is_referred_to(store, execute)
    execute("CREATE TABLE {0}.letters (firm text REFERENCES {0}.firms (id))")
    execute("INSERT INTO {}.letters VALUES ('firms/1')")
    with pytest.raises(ForeignKeyViolation, match="letters") as caught:
        await remove(store, "firms/1")
    assert (caught.value.id, caught.value.constraint) == (None, "letters_firm_fkey")


async def test_so_is_one_that_restricts_deletions(store, execute):
    await save_what_is_referred_to(store, execute)
    execute("CREATE TABLE {0}.badges (firm text REFERENCES {0}.firms ON DELETE RESTRICT)")
    execute("INSERT INTO {}.badges VALUES ('firms/1')")
    with pytest.raises(ForeignKeyViolation, match="badges_firm_fkey") as caught:
        await remove(store, "firms/1")
    assert caught.value.constraint == "badges_firm_fkey"


async def test_stored_documents_that_refer_to_nothing_are_named(store, make_store, execute, database):
    await save_what_is_referred_to(store, execute)
    await save(make_store(), Bill("firms/1", 1, "bills/1"), Bill("firms/9", 1, "bills/2"), Bill(None, 9, "bills/3"))
    with pytest.raises(ForeignKeyViolation, match=r"'bills/2' among them") as caught:
        await store.maintenance.create_indexes(Bill)
    assert (caught.value.ids, caught.value.fields) == (("bills/2",), ("firm",))
    await save(make_store(), Bill("firms/9", 1, "bills/4"))
    await remove(store, "bills/2", "bills/4")
    with pytest.raises(ForeignKeyViolation, match=r"'bills/3' among them"):
        await store.maintenance.create_indexes(Bill)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Promoted(lambda b: b.number, type="integer", references="{}.firms.id"), "type="),
        (Promoted(lambda b: b.firm, references="{}.firms.nowhere"), "nowhere"),
        (Promoted(lambda b: b.firm, references="{}.firms.data"), "unique"),
        (FullText(lambda b: b.firm, language="klingon"), "language that PostgreSQL does not know.*klingon"),
        (
            FullText(lambda b: b.firm, language="klingon", stored=True),
            "language that PostgreSQL does not know.*klingon",
        ),
    ],
    ids=["type", "column", "not unique", "language", "stored language"],
)
async def test_what_postgresql_does_not_know_of_a_declaration(make_store, database, wrong, told):
    if isinstance(wrong, Promoted):
        wrong = dataclasses.replace(wrong, references=wrong.references.format(database))
    await save(make_store(), Firm("a", "firms/1"))
    declaring = make_store(conventions=DocumentConventions(indexes={Bill: [wrong]}))
    with pytest.raises(InvalidArgumentException, match=told):
        await save(declaring, Bill(None, None, "bills/1"))
    await save(make_store(), Bill(None, None, "bills/1"))
    with pytest.raises(InvalidArgumentException, match=told):
        await declaring.maintenance.create_indexes(Bill)

"""Pages by keys: every document once, in order, whatever it holds and however the pages are walked."""

import base64
import datetime as dt
import json
import random
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    InvalidOperationException,
    InvalidPageTokenException,
    desc,
)
from tests.support.documents import driven, save


@dataclass
class Row:
    a: int | None
    b: str | None
    at: dt.datetime | None = None
    any: object = None
    id: str | None = None


START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def make(i, rng):
    return Row(
        rng.choice([None, 1, 2, 3]),
        rng.choice([None, "x", "y", "ü"]),
        rng.choice([None, START, START + dt.timedelta(microseconds=1), START.replace(tzinfo=None)]),
        rng.choice([None, 1, "1", "a", 2.5]),
        f"rows/{i:03}",
    )


ORDERS = {
    "id": lambda r: r.id,
    "-id": lambda r: desc(r.id),
    "a": lambda r: r.a,
    "-a": lambda r: desc(r.a),
    "a b": lambda r: (r.a, r.b),
    "a -b": lambda r: (r.a, desc(r.b)),
    "-a b": lambda r: (desc(r.a), r.b),
    "-a -b": lambda r: (desc(r.a), desc(r.b)),
    "at": lambda r: r.at,
    "-at a": lambda r: (desc(r.at), r.a),
    "any": lambda r: r.any,
    "-any -b": lambda r: (desc(r.any), desc(r.b)),
}


async def forwards(query, size):
    pages, token = [], None
    while True:
        page = await query.page(size, after=token)
        pages.append([row.id for row in page.items])
        assert (page.previous is None) is (token is None)
        if page.next is None:
            return pages
        token = page.next


async def backwards(query, size, token):
    pages = []
    while token is not None:
        page = await query.page(size, before=token)
        pages.insert(0, [row.id for row in page.items])
        assert page.next is not None
        token = page.previous
    return pages


def flat(pages):
    return [each for page in pages for each in page]


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_are_the_whole_in_order(store, order):
    rng = random.Random(order)
    await save(store, *(make(i, rng) for i in range(40)))
    async with store.open_session() as session:
        session.advanced.max_number_of_requests_per_session = 10_000
        query = session.query(Row).order_by(ORDERS[order]).no_tracking()
        whole = [row.id for row in await query.all()]
        for size in (1, 3, 7, 39, 40, 41):
            pages = await forwards(query, size)
            assert flat(pages) == whole
            assert all(len(page) == size for page in pages[:-1])
        last = await query.page(1)
        while last.next is not None:
            last = await query.page(1, after=last.next)
        # The last document has no page after it; those before it are reached from its page.
        before = await backwards(query, 7, last.previous)
        assert flat(before) == whole[:-1]


async def test_pages_stay_right_while_documents_come_and_go(store):
    rng = random.Random(1)
    await save(store, *(make(i, rng) for i in range(10, 30)))
    async with store.open_session() as session:
        first = await session.query(Row).order_by("id").page(5)
        assert [row.id for row in first.items] == [f"rows/{i:03}" for i in range(10, 15)]
        await save(store, make(1, rng), make(2, rng))
        async with store.open_session() as other:
            other.delete("rows/012")
            other.delete("rows/014")
            await other.save_changes()
        second = await session.query(Row).order_by("id").page(5, after=first.next)
        assert [row.id for row in second.items] == [f"rows/{i:03}" for i in range(15, 20)]


async def test_one_request_a_page_and_projections_too(store):
    rng = random.Random(1)
    await save(store, *(make(i, rng) for i in range(10)))
    async with store.open_session() as session:
        query = session.query(Row).order_by("-id").select(lambda r: r.id)
        page = await query.page(4)
        assert page.items == ["rows/009", "rows/008", "rows/007", "rows/006"]
        page = await query.page(4, after=page.next)
        assert page.items == ["rows/005", "rows/004", "rows/003", "rows/002"]
        assert page.total is None
        assert session.advanced.number_of_requests == 2


async def test_the_last_page_has_no_next_and_an_empty_one_none_of_both(store):
    rng = random.Random(1)
    async with store.open_session() as session:
        page = await session.query(Row).page(4)
        assert (page.items, page.next, page.previous) == ([], None, None)
    await save(store, *(make(i, rng) for i in range(4)))
    async with store.open_session() as session:
        page = await session.query(Row).page(4)
        assert (len(page.items), page.next, page.previous) == (4, None, None)


class TestTokens:
    async def test_one_of_another_query_is_refused(self, store):
        rng = random.Random(1)
        await save(store, *(make(i, rng) for i in range(10)))
        async with store.open_session() as session:
            token = (await session.query(Row).order_by("a").page(3)).next
            for other in (
                session.query(Row).order_by("b"),
                session.query(Row).order_by("-a"),
                session.query(Row),
                session.query(Row).order_by("a").where(lambda r: r.a > 1),
            ):
                with pytest.raises(InvalidPageTokenException, match="page token"):
                    await other.page(3, after=token)

    @pytest.mark.parametrize("token", ["", "x", "!!!", "AAAA", 5, "WzEsIngiLFtdXQ", "\N{SNOWMAN}"])
    async def test_what_is_none_is_refused(self, store, token):
        await save(store, make(1, random.Random(1)))
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException):
                await session.query(Row).page(3, after=token)

    @pytest.mark.parametrize(
        ("order", "made_up"),
        [
            *(("a", key) for key in ("", "x", "1e999999", "2026-01-01", "1 ", "0x1", "1\n", "٣")),
            *(("at", key) for key in ("", "x", "1.5", "1" * 30, "-" + "3" * 18, "9224318016000000000")),
        ],
    )
    async def test_keys_that_were_made_up(self, store, order, made_up):
        """An unsigned token is anything; PostgreSQL must not stumble over it, which would look like its own fault."""
        await save(store, *(Row(at, None, START + dt.timedelta(days=at), id=f"rows/{at}") for at in range(3)))
        async with store.open_session() as session:
            query = session.query(Row).order_by(order)
            token = (await query.page(1)).next
            *rest, keys = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            forged = base64.urlsafe_b64encode(json.dumps([*rest, [made_up, *keys[1:]]]).encode()).decode().rstrip("=")
            with pytest.raises(InvalidPageTokenException):
                await query.page(1, after=forged)

    async def test_signed_ones_cannot_be_made_up(self, make_store):
        rng = random.Random(1)
        key = "a secret of sixteen bytes and more"
        signing, plain = make_store(conventions=DocumentConventions(page_token_key=key)), make_store()
        other = make_store(conventions=DocumentConventions(page_token_key=b"another secret, also long"))
        await save(plain, *(make(i, rng) for i in range(10)))
        tokens = {}
        for store in (signing, plain, other):
            async with store.open_session() as session:
                tokens[store] = (await session.query(Row).page(3)).next
        for store, own in tokens.items():
            async with store.open_session() as session:
                assert len((await session.query(Row).page(3, after=own)).items) == 3
                for foreign in set(tokens.values()) - {own}:
                    with pytest.raises(InvalidPageTokenException, match="page token"):
                        await session.query(Row).page(3, after=foreign)
        assert key not in repr(signing.conventions)

    async def test_wrong_arguments(self, store):
        async with store.open_session() as session:
            query = session.query(Row)
            for wrong in ({"size": 0}, {"size": -1}, {"size": 1.5}, {"size": True}, {"after": "x"}):
                with pytest.raises(InvalidArgumentException):
                    await query.page(**wrong)
            with pytest.raises(InvalidArgumentException, match="not both"):
                await query.page(3, after="x", before="y")
            with pytest.raises(InvalidOperationException, match="take"):
                await query.take(3).page(3)

    @pytest.mark.parametrize("key", ["short", b"short", 5])
    def test_keys_that_cannot_sign(self, key):
        with pytest.raises(InvalidArgumentException, match="page_token_key"):
            DocumentConventions(page_token_key=key)


def test_any_walk_meets_every_document_once(face, postgres_url, database):
    with driven(face, postgres_url, database) as (store, drive):
        rng = random.Random(7)
        drive(save(store, *(make(i, rng) for i in range(25))))

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.sampled_from(sorted(ORDERS)), st.integers(1, 9), st.integers(0, 4), st.lists(st.booleans(), max_size=6)
        )
        def walk(order, size, minimum, turns):
            async def check():
                async with store.open_session() as session:
                    session.advanced.max_number_of_requests_per_session = 10_000
                    query = session.query(Row).where(lambda r: (r.a == None) | (r.a >= minimum))
                    query = query.order_by(ORDERS[order])
                    whole = [row.id for row in await query.all()]
                    page, start = await query.page(size), 0
                    for forward in turns:
                        assert [row.id for row in page.items] == whole[start : start + size]
                        if forward and page.next is not None:
                            start += len(page.items)
                            page = await query.page(size, after=page.next)
                        elif not forward and page.previous is not None:
                            back = min(size, start)
                            start -= back
                            page = await query.page(size, before=page.previous)
                            assert len(page.items) == back
                            if back < size:
                                return

            drive(check())

        walk()

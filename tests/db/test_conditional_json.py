"""Lists of JSON that a client has already: the server finds that out, and sends no document."""

import json
from dataclasses import dataclass, field

import pytest

from docsession import DocumentConventions, InvalidArgumentException, InvalidArgumentTypeException
from tests.support.documents import change, remove, save


@dataclass
class Tag:
    name: str
    size: int | None = 0
    id: str | None = None


@dataclass
class Board:
    owner: str
    tags: list[str] = field(default_factory=list)
    id: str | None = None


class Received:
    """The documents that a store's server has sent."""

    def __init__(self, store):
        executor = store._start()
        self._run = executor.run
        executor.run = self.run
        self.ids = []

    async def run(self, request):
        answers = await self._run(request)
        self.ids += [row[0] for rows in answers for row in rows if len(row) > 4 and row[1] is not None]
        return answers


async def save_tags(store):
    await save(store, *(Tag("ä x", size, f"tags/{size} ö") for size in range(5)), Tag("x", None, "tags/none"))


FORMS = {
    "array": lambda query, **known: query.json(**known),
    "empty array": lambda query, **known: query.where(id="nobody's").json(**known),
    "taken": lambda query, **known: query.skip(1).take(2).json(**known),
    "envelope": lambda query, **known: query.take(2).json(envelope=True, **known),
    "empty envelope": lambda query, **known: query.skip(99).json(envelope=True, **known),
    "first page": lambda query, **known: query.json(2, **known),
    "last page": lambda query, **known: query.json(99, **known),
    "empty page": lambda query, **known: query.where(id="nobody's").json(2, **known),
    "counted page": lambda query, **known: query.json(2, envelope=True, **known),
    "empty counted page": lambda query, **known: query.where(id="nobody's").json(2, envelope=True, **known),
}


async def test_what_is_known_is_not_sent(store):
    await save_tags(store)
    received = Received(store)
    for name, form in FORMS.items():
        async with store.open_session() as session:
            query = session.query(Tag).order_by("size")
            first = await form(query)
            assert not first.not_modified, name
            received.ids.clear()
            again = await form(query, if_none_match=f'"x", W/{first.etag}, "{"0" * 32}"')
            assert (bytes(again), again.etag, again.not_modified) == (b"", first.etag, True), name
            assert (again.total, again.next, again.previous) == (None, None, None)
            assert received.ids == [], name
            other = await form(query, if_none_match=f'"{"0" * 32}"')
            assert (bytes(other), vars(other)) == (bytes(first), vars(first)), name
            assert session.advanced.number_of_requests == 3


async def test_pages_before_and_after_a_token(store):
    await save_tags(store)
    received = Received(store)
    async with store.open_session() as session:
        query = session.query(Tag).order_by("size")
        first = await query.json(2)
        pages = {"after": (await query.json(2, after=first.next)), "before": None}
        pages["before"] = await query.json(2, before=(await query.json(2, after=pages["after"].next)).previous)
        tokens = {"after": first.next, "before": (await query.json(2, after=pages["after"].next)).previous}
        for side, page in pages.items():
            received.ids.clear()
            known = await query.json(2, **{side: tokens[side]}, if_none_match=page.etag)
            assert (known.not_modified, received.ids) == (True, [])
            whole = await query.json(2, **{side: tokens[side]}, if_none_match='"x"')
            assert (bytes(whole), whole.etag) == (bytes(page), page.etag)


async def test_a_page_changes_with_its_neighbours_and_not_with_what_they_hold(store):
    await save_tags(store)
    async with store.open_session() as session:
        query = session.query(Tag).where(size__lt=3).order_by("size")
        page = await query.json(2)
        await change(store, "tags/2 ö", Tag, name="another")
        assert (await query.json(2, if_none_match=page.etag)).not_modified
        await remove(store, "tags/2 ö")
        last = await query.json(2, if_none_match=page.etag)
        assert (last.not_modified, last.next, len(json.loads(last)["items"])) == (False, None, 2)


async def test_a_change_is_sent(store):
    await save_tags(store)
    async with store.open_session() as session:
        query = session.query(Tag).order_by("size")
        etags = [(await query.json()).etag]
        for act in (
            lambda: change(store, "tags/1 ö", Tag, name="another"),
            lambda: change(store, "tags/1 ö", Tag, size=9),
            lambda: remove(store, "tags/1 ö"),
            lambda: save(store, Tag("new", 1, "tags/1 ö")),
        ):
            await act()
            found = await query.json(if_none_match=", ".join(etags))
            assert not found.not_modified
            assert len(json.loads(found)) in {5, 6}
            etags.append(found.etag)
        assert len(set(etags)) == 5
        assert (await query.json(if_none_match=", ".join(etags))).etag == etags[-1]


async def test_a_total_that_changed_is_sent(store):
    await save_tags(store)
    async with store.open_session() as session:
        query = session.query(Tag).order_by("size")
        known = await query.take(1).json(envelope=True)
        await save(store, Tag("last", 99, "tags/99"))
        found = await query.take(1).json(envelope=True, if_none_match=known.etag)
        assert (json.loads(found)["items"], found.total) == (json.loads(known)["items"], 7)


async def test_tokens_of_another_key_are_sent(face, postgres_url, database):
    etags = []
    for key in (b"one key of 32 bytes, more or less", b"and another one of 32 bytes, also"):
        store = face.store(postgres_url, database=database, conventions=DocumentConventions(page_token_key=key))
        await save_tags(store)
        async with store.open_session() as session:
            found = await session.query(Tag).order_by("size").json(2, if_none_match=etags[0] if etags else None)
            assert not found.not_modified
            etags.append(found.etag)
        await store.close()


async def test_before_anything_was_stored(store):
    async with store.open_session() as session:
        for form in FORMS.values():
            query = session.query(Tag).order_by("size")
            known = await form(query)
            assert (await form(query, if_none_match=known.etag)).not_modified


async def test_a_header_that_cannot_be_read_names_nothing(store):
    await save_tags(store)
    async with store.open_session() as session:
        query = session.query(Tag).order_by("size")
        whole = await query.json()
        for header in ("", "*", "W/", f"{whole.etag} {whole.etag}", f"{whole.etag}, x", whole.etag.strip('"')):
            found = await query.json(if_none_match=header)
            assert (bytes(found), found.not_modified) == (bytes(whole), False)
        with pytest.raises(InvalidArgumentTypeException, match="if_none_match"):
            await query.json(if_none_match=[whole.etag])
        with pytest.raises(InvalidArgumentException, match="size"):
            await query.json(after="x", if_none_match=whole.etag)


@pytest.mark.parametrize("of", [Tag, None], ids=["of a class", "of any class"])
class TestIncludes:
    async def test_are_known_with_the_list(self, store, of):
        await save_tags(store)
        await save(store, *(Board("x", [f"tags/{i} ö", "tags/1 ö", "tags/no"], f"boards/{i}") for i in range(4)))
        received = Received(store)
        for name, form in FORMS.items():
            if "array" in name or name == "taken":
                continue
            async with store.open_session() as session:
                query = session.query(Board).order_by("id").include("tags", of)
                first = await form(query)
                received.ids.clear()
                assert (await form(query, if_none_match=first.etag)).not_modified, name
                assert received.ids == [], name
                other = await form(query, if_none_match=f'"{"0" * 32}"')
                assert (bytes(other), other.etag) == (bytes(first), first.etag), name

    async def test_that_changed_are_sent(self, store, of):
        await save_tags(store)
        await save(store, Board("x", ["tags/0 ö"], "boards/0"))
        async with store.open_session() as session:
            query = session.query(Board).include("tags", of)
            known = await query.json(envelope=True)
            await change(store, "tags/0 ö", Tag, name="another")
            found = await query.json(envelope=True, if_none_match=known.etag)
            assert json.loads(found)["includes"]["tags/0 ö"]["name"] == "another"

    async def test_that_are_in_a_table_of_another_process_are_sent(self, face, store, postgres_url, database, of):
        """The list alone is as it was, and the statement did not look in the table, which was not there."""
        await save(store, Board("x", ["tags/1"], "boards/1"))
        async with store.open_session() as session:
            known = await session.query(Board).include("tags", of).json(envelope=True)
        other = face.store(postgres_url, database=database)
        await save(other, Tag("new", 1, "tags/1"))
        await other.close()
        async with store.open_session() as session:
            query = session.query(Board).include("tags", of)
            found = await query.json(envelope=True, if_none_match=known.etag)
            assert json.loads(found)["includes"] == {"tags/1": {"id": "tags/1", "name": "new", "size": 1}}
            assert session.advanced.number_of_requests == 1
            assert (await query.json(envelope=True, if_none_match=found.etag)).not_modified

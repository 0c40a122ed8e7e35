"""Text reaches SQL as a bound value or a quoted identifier only.

Hostile text goes through every public entry point that takes text. It either works, and comes back to the
character, or is refused by an error of ours; which of the two is told by rules that the tests have of their own.
Nothing else in the server is touched.
"""

import enum
import re

import pytest

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    UnsupportedValueException,
    document,
)
from tests.support.documents import read, save
from tests.support.hostile import (
    IDS,
    TEXTS,
    Links,
    Thing,
    check_readable,
    may_be_id,
    may_be_json,
    outcome,
)
from tests.support.operations import TAKE_IDS, TAKE_VECTORS

pytestmark = pytest.mark.usefixtures("nothing_else_is_touched")


class TestIds:
    async def test_every_one_that_is_allowed_comes_back_to_the_character(self, store):
        things = {key: Thing(f"thing {i}") for i, key in enumerate(IDS)}
        async with store.open_session() as session:
            for key, thing in things.items():
                await session.store(thing, key)
                assert thing.id == key
            await session.save_changes()
        async with store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 1000
            loaded = await session.load(IDS, Thing)
            assert loaded == things
            assert list(loaded) == IDS
            for key in IDS:
                assert session.advanced.get_metadata_for(loaded[key])["@id"] == key
                loaded[key].name += "!"
            assert set(session.advanced.what_changed()) == set(IDS)
            await session.save_changes()
            assert set(session.advanced.get_tracked_entities()) == set(IDS)
        async with store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 1000
            for key, thing in things.items():
                found = await session.load(key)
                assert (found["name"], found["@metadata"]["@id"]) == (thing.name + "!", key)

    async def test_one_by_one(self, store):
        """Alone, a document takes other statements."""
        for key in IDS:
            async with store.open_session() as session:
                await session.store(Thing("a"), key)
                await session.save_changes()
            async with store.open_session() as session:
                session.advanced.use_optimistic_concurrency = True
                assert await session.advanced.exists(key)
                thing = await session.load(key, Thing)
                vector = session.advanced.get_change_vector_for(thing)
                thing.name = "b"
                await session.save_changes()
                await session.advanced.refresh(thing)
                session.delete(key)
                await session.save_changes()
            async with store.open_session() as session:
                assert not await session.advanced.exists(key)
                result = await session.advanced.conditional_load(key, vector, Thing)
                assert result.change_vector is None

    async def test_as_what_documents_refer_to(self, store):
        await save(store, *((Thing("x"), key) for key in IDS), (Links(IDS), "links/1"))
        for include in (
            lambda session: session.include("to"),
            lambda session: session.include("to", Thing),
            lambda session: session.include(lambda links: links.to[0]),
        ):
            async with store.open_session() as session:
                await include(session).load("links/1", Links)
                assert all((await session.load(IDS, Thing)).values())
                assert session.advanced.number_of_requests == 1

    async def test_as_prefixes(self, store, make_store):
        keys = {text: f"{text}/1" for text in IDS if may_be_id(f"{text}/1")}
        await save(store, *((Thing(text), key) for text, key in keys.items()))
        for each in (store, make_store()):
            async with each.open_session() as session:
                session.advanced.max_number_of_requests_per_session = 1000
                for text, key in keys.items():
                    assert (await session.load(key))["name"] == text
                    found = await session.advanced.load_starting_with(f"{text}/")
                    assert key in [one["@metadata"]["@id"] for one in found]
        async with store.open_session() as session:
            for key in keys.values():
                session.delete(key)
            await session.save_changes()
        assert await store.maintenance.get_collection_statistics() == {"Things": 0}

    @pytest.mark.parametrize("entry", TAKE_IDS)
    async def test_others_are_refused_at_every_entry(self, store, entry):
        await save(store, (Thing("x"), "companies/1"))
        async with store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 1000
            for text in TEXTS:
                came = await outcome(lambda text=text: TAKE_IDS[entry](session, text))
                assert came is True or isinstance(came, InvalidArgumentException), text
                if text.strip() == "" and entry.startswith(("load", "include")) and entry != "load_starting_with":
                    assert came is True  # there is no such document
                elif entry.startswith("store") and text.endswith("|"):
                    assert came is not True  # asks for an identity
                elif entry == "store a dict" and may_be_id(text):
                    pass  # its prefix has to be that of a collection
                else:
                    assert (came is True) == may_be_id(text), text
                session.advanced.clear()

    async def test_of_entities_themselves_and_of_the_convention(self, make_store):
        made = iter([])
        conventions = DocumentConventions()
        conventions.document_id_generator = lambda database, entity: next(made)
        store = make_store(conventions=conventions)
        async with store.open_session() as session:
            for text in TEXTS:
                usable = may_be_id(text) and not text.endswith("|")
                made = iter(["things/made"])
                came = await outcome(session.store(Thing("x", text)))
                assert (came is True) == ((usable and not text.startswith("/")) or text == ""), text
                session.advanced.clear()
                made = iter([text])
                came = await outcome(session.store(Thing("x")))
                assert (came is True) == (usable and ("/" in text or may_be_id(f"things/{text}"))), text
                session.advanced.clear()

    async def test_a_kind_of_str_is_a_str(self, store):
        class Key(enum.StrEnum):
            ONE = "things/1"

        class Text(str):
            __slots__ = ()

        for key in (Key.ONE, Text("things/1")):
            async with store.open_session() as session:
                thing = Thing("x")
                await session.store(thing, key)
                assert type(thing.id) is str
                await session.save_changes()
            async with store.open_session(Text(store.database)) as session:
                assert await session.advanced.exists(key)
                assert (await session.load(key, Thing)).name == "x"
                assert (await session.load([key], Thing))["things/1"].name == "x"
                patterns = {"matches": Text("*"), "exclude": Text("1"), "start_after": Text("a")}
                found = await session.advanced.load_starting_with(key, Thing, **patterns)
                assert [each.id for each in found] == ["things/1"]
                result = await session.advanced.conditional_load(key, Text("5"), Thing)
                assert result.entity is found[0]
                session.advanced.evict(found[0])
                session.advanced.register_for_concurrency_check(key, Text(result.change_vector))
                session.delete(key, expected_change_vector=Text(result.change_vector))
                await session.save_changes()
        await save(store, ({"n": 1, "@metadata": {"@collection": Text("Numbers")}}, Text("numbers/1")))
        await save(store, Thing("x", Text("things/2")))
        assert await store.maintenance.get_collection_statistics(Text(store.database)) == {"Numbers": 1, "Things": 1}

    async def test_any_character_may_separate_their_parts(self, make_store, face, postgres_url):
        for separator in ["'", '"', "\\", "$", "%", "?", "*", "|", ";", ":", "_", " ", "-", "{", "§", "🏴", "(", "."]:
            conventions = DocumentConventions()
            conventions.identity_parts_separator = separator
            database = f"{make_store().database}"
            async with face.store(postgres_url, database=database, conventions=conventions) as store:
                key = await save(store, Thing("x"))
                assert key == f"things{separator}1-A" or key.startswith(f"things{separator}")
                await save(store, (Links([key]), f"{key}{separator}links"))
                async with store.open_session() as session:
                    loaded = await session.include("to").load(f"{key}{separator}links", Links)
                    assert (await session.load(loaded[f"{key}{separator}links"].to[0], Thing)).name == "x"
                    assert len(await session.advanced.load_starting_with(key)) == 2
        for separator in ["", "ab", "\0", "\ud800", "\n", "a", "1", "ä"]:
            with pytest.raises(InvalidArgumentException):
                DocumentConventions().identity_parts_separator = separator


def wildcards(pattern):
    parts = ("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in part) for part in pattern.split("|"))
    return re.compile(f"(?:{'|'.join(parts)})", re.DOTALL)


class TestPatterns:
    async def test_matches_and_exclude_mean_what_they_say(self, store):
        keys = sorted(f"things/{text}" for text in IDS if may_be_id(f"things/{text}"))
        await save(store, *((Thing("x"), key) for key in keys))
        async with store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 10_000
            for pattern in [*IDS, "*a*", "?", "??", "*|x", "x|", "|", "*'*", '*"*', "*\\*", "*%*", "*$*|*;*"]:
                expected = [key for key in keys if wildcards(pattern).fullmatch(key[7:])]
                found = await session.advanced.load_starting_with("things/", Thing, matches=pattern)
                assert [each.id for each in found] == expected, pattern
                left = await session.advanced.load_starting_with("things/", Thing, exclude=pattern)
                assert [each.id for each in left] == [key for key in keys if key not in set(expected)], pattern

    async def test_prefixes_and_pages_are_in_the_order_of_code_points(self, store):
        keys = sorted(f"things/{text}" for text in IDS if may_be_id(f"things/{text}"))
        await save(store, *((Thing("x"), key) for key in keys))
        async with store.open_session() as session:
            session.advanced.max_number_of_requests_per_session = 10_000
            everything = await session.advanced.load_starting_with("things/", Thing)
            assert [each.id for each in everything] == keys
            for position, key in enumerate(keys):
                page = await session.advanced.load_starting_with("things/", Thing, start_after=key, page_size=2)
                assert [each.id for each in page] == keys[position + 1 : position + 3]
                below = await session.advanced.load_starting_with(key, Thing)
                assert [each.id for each in below] == [other for other in keys if other.startswith(key)]


class TestDocuments:
    async def test_keys_and_values(self, store, rows):
        texts = [text for text in TEXTS if may_be_json(text)]
        content = dict(zip(texts, reversed(texts), strict=True))
        del content["Id"], content["@metadata"]
        plain = {**content, "@metadata": {"@collection": "Plain"}}
        await save(store, (Links(texts, [content, *texts]), "links/1"), (plain, "plain/1"))
        links = await read(store, "links/1", Links)
        assert (links.to, links.things) == (texts, [content, *texts])
        loaded = await read(store, "plain/1")
        del loaded["@metadata"]
        assert loaded == content
        assert rows.data("plain", "plain/1") == content

    async def test_what_jsonb_cannot_hold_is_refused_with_document_and_path(self, store):
        for text in TEXTS:
            if may_be_json(text):
                continue
            for entity in (
                Thing(text), Links([text]), Links([], [text]), Links([], [{"a": {text: 1}}]),
                {text: 1, "@metadata": {"@collection": "Plain"}}, {"a": [text], "@metadata": {"@collection": "Plain"}},
            ):  # fmt: skip
                with pytest.raises(UnsupportedValueException) as caught:
                    await save(store, (entity, "odd/1"))
                check_readable(caught.value)
                assert caught.value.id == "odd/1"
                assert caught.value.path != "" or isinstance(entity, dict)
        assert await read(store, "odd/1") is None

    async def test_metadata(self, store, rows):
        reserved = {"@id", "@collection", "@change-vector", "@last-modified", "@types", "@type"}
        await save(store, (Thing("x"), "things/1"))
        async with store.open_session() as session:
            metadata = session.advanced.get_metadata_for(await session.load("things/1", Thing))
            kept = {}
            for text in TEXTS:
                if text in reserved:
                    with pytest.raises(InvalidArgumentException):
                        metadata[text] = 1
                    continue
                for key, value in ((text, 1), (f"value of {len(kept)}", [text])):
                    metadata[key] = value
                    came = await outcome(session.advanced.has_changes)
                    assert (came is True) == may_be_json(text)
                    if came is True:
                        kept[key] = value
                    else:
                        assert isinstance(came, UnsupportedValueException)
                        assert (came.id, came.path[:11]) == ("things/1", "@metadata['")
                        del metadata[key]
            await session.save_changes()
        async with store.open_session() as session:
            metadata = session.advanced.get_metadata_for(await session.load("things/1", Thing))
            assert {key: value for key, value in metadata.items() if key not in reserved} == kept
        assert rows.metadata("things", "things/1") == kept

    async def test_change_vectors(self, store):
        async with store.open_session() as session:
            for take in TAKE_VECTORS.values():
                for text in [*TEXTS, "9" * 30, str(2**63), "１２", "٣", "1_0", "+1", " 1", "1 ", "1.0"]:
                    came = await outcome(lambda take=take, text=text: take(session, text))
                    if text != "":
                        assert isinstance(came, InvalidArgumentException), text
                    session.advanced.clear()


class TestPaths:
    async def test_of_includes(self, store):
        """A path as text is cut at its dots; one that a function walks may have any key."""
        await save(store, (Thing("x"), "things/1"))
        texts = [text for text in TEXTS if may_be_json(text) and text not in {"Id", "@metadata"}]
        content = dict.fromkeys(texts, "things/1")
        await save(store, ({**content, "@metadata": {"@collection": "Plain"}}, "plain/1"))
        for text in TEXTS:
            walked = text.isprintable() and text.strip() == text != "" and not set(text) & set(".[]") and text[0] != "/"
            async with store.open_session() as session:
                came = await outcome(lambda text=text, session=session: session.include(text).load("plain/1"))
                assert came is True or isinstance(came, InvalidArgumentException)
                assert came is True or not walked
                if walked and text in content:
                    assert await session.load("things/1", Thing) is not None
                    assert session.advanced.number_of_requests == 1
            async with store.open_session() as session:
                path = lambda entity, text=text: entity[text]
                came = await outcome(
                    lambda path=path, session=session: session.load(
                        "plain/1", includes=lambda builder: builder.include_documents(path, Thing)
                    )
                )
                assert (came is True) == may_be_json(text), text
                if text in content and not text.endswith("[]"):
                    assert await session.load("things/1", Thing) is not None
                    assert session.advanced.number_of_requests == 1

    async def test_of_renamed_fields(self, store):
        """A msgspec Struct may give its fields any name in JSON."""
        import msgspec

        await save(store, (Thing("x"), "things/1"))
        for i, text in enumerate(text for text in TEXTS if may_be_json(text) and text):
            try:
                made = msgspec.defstruct(f"Renamed{i}", [("to", str), ("id", str | None, None)], rename={"to": text})
            except ValueError:
                continue  # msgspec has no such field
            entity = document(collection="Renamed")(made)
            came = await outcome(save(store, (entity("things/1"), f"renamed/{i}")))
            if came is not True:
                assert text in {"Id", "id"}
                continue
            async with store.open_session() as session:
                loaded = await session.include(lambda e: e.to).load(f"renamed/{i}", entity)
                assert loaded[f"renamed/{i}"].to == "things/1"
                assert await session.load("things/1", Thing) is not None
                assert session.advanced.number_of_requests == 1

"""JSON as it is stored: JsonDocument and JsonDocuments, and what clients that have it already get."""

from typing import Annotated

import pytest
from fastapi import FastAPI, Path
from pydantic import BaseModel

from docsession import DocumentStore, InvalidArgumentTypeException, Query, SessionOptions, TransactionMode
from docsession.contrib.fastapi import (
    IfMatch,
    JsonDocument,
    JsonDocuments,
    JsonEnvelope,
    JsonPage,
    Session,
    etag_of,
    expect_change_vector,
    load_or_404,
    problem_responses,
)
from tests.support.notes import Note


class Secret(BaseModel):
    """Something that no address of notes may show."""

    id: str | None = None
    text: str


@pytest.fixture
def client(make_documents, serve, write, beside):
    """Three notes and a secret, each way to show them."""
    documents = make_documents()
    app = FastAPI(lifespan=documents.lifespan)
    documents.install(app)
    for key, text in (("notes/1", "b"), ("notes/2", "a"), ("notes/3", "c")):
        write(key, text)
    with beside.open_session() as session:
        session.store(Secret(text="sesame"), "secrets/1")
        session.store(Secret(text="hidden"), "notes/1/secret")
        session.save_changes()

    @app.get("/notes")
    async def notes(session: Session, form: str = "array", after: str | None = None, before: str | None = None):
        query = Query(Note).order_by("text")
        match form:
            case "page":
                return JsonDocuments(query, size=2, after=after, before=before)
            case "both":
                return JsonDocuments(query.include("text"), size=2, envelope=True)
            case "envelope":
                return JsonDocuments(session.query(query).take(2), envelope=True)
        return JsonDocuments(query, headers={"Cache-Control": "no-cache"})

    @app.get("/anything/{key:path}")
    async def anything(key: str):
        return JsonDocument(key)

    @app.get("/{key:path}")
    async def note(key: str):
        return JsonDocument(key, Note, headers={"Cache-Control": "no-cache"})

    @app.post("/{key:path}")
    async def made(key: str):
        return JsonDocument(key, Note, status_code=201)

    return serve(app)


class TestADocument:
    def test_it_is_what_is_stored(self, client, beside):
        """With its id first, its version as the ETag, and the headers that were asked for."""
        with beside.open_session() as session:
            vector = session.advanced.get_change_vector_for(session.load("notes/1", Note))

        answer = client.get("/notes/1")

        assert (answer.status_code, answer.content) == (200, b'{"id":"notes/1", "text": "b"}')
        assert answer.headers["content-type"] == "application/json"
        assert (answer.headers["etag"], answer.headers["cache-control"]) == (f'"{vector}"', "no-cache")

    @pytest.mark.parametrize("key", ["secrets/1", "notes/1/secret", "notes/4", "nothing", "%00", "%20", "notes/%0A"])
    def test_only_of_the_class(self, client, key):
        """What another collection has, and what is no id, is not there."""
        answer = client.get(f"/{key}")

        assert (answer.status_code, answer.json()["code"]) == (404, "ds124")
        assert "etag" not in answer.headers

    def test_without_a_class_it_is_any(self, client):
        """As `load_json` without one."""
        assert client.get("/anything/secrets/1").json() == {"id": "secrets/1", "text": "sesame"}

    def test_conditions(self, client, write):
        """304 without a body, 412, and 200 once it has changed."""
        tag = client.get("/notes/1").headers["etag"]

        known = client.get("/notes/1", headers={"If-None-Match": f"W/{tag}"})
        both = client.get("/notes/1", headers=[("If-None-Match", '"1"'), ("If-None-Match", tag)])
        other = client.get("/notes/1", headers={"If-Match": '"1"'})
        same = client.get("/notes/1", headers={"If-Match": tag})
        write("notes/1", "new")
        changed = client.get("/notes/1", headers={"If-None-Match": tag})

        assert [each.status_code for each in (known, both, other, same, changed)] == [304, 304, 412, 200, 200]
        assert (known.content, known.headers["etag"], known.headers["cache-control"]) == (b"", tag, "no-cache")
        assert "content-type" not in known.headers
        assert changed.json()["text"] == "new"

    def test_conditions_of_a_write_are_not_its_business(self, client):
        """They are about what was there before."""
        answer = client.post("/notes/1", headers={"If-Match": '"1"', "If-None-Match": "*"})

        assert (answer.status_code, answer.json()["text"]) == (201, "b")


class TestTheDocumentsOfAQuery:
    def test_an_array(self, client):
        """In the order of the query, with a digest as the ETag."""
        answer = client.get("/notes")

        assert [each["id"] for each in answer.json()] == ["notes/2", "notes/1", "notes/3"]
        known = client.get("/notes", headers={"If-None-Match": answer.headers["etag"]})
        assert (known.status_code, known.content, known.headers["cache-control"]) == (304, b"", "no-cache")

    def test_pages(self, client):
        """By keys, in both directions."""
        first = client.get("/notes?form=page").json()
        second = client.get("/notes", params={"form": "page", "after": first["next"]}).json()
        back = client.get("/notes", params={"form": "page", "before": second["previous"]}).json()

        assert [[each["text"] for each in page["items"]] for page in (first, second, back)] == [
            ["a", "b"],
            ["c"],
            ["a", "b"],
        ]
        assert client.get("/notes?form=page&after=nonsense").status_code == 400

    def test_an_envelope_of_a_query_of_the_session(self, client, write):
        """With the total; another note gives another ETag."""
        answer = client.get("/notes?form=envelope")
        write("notes/0", "0")
        changed = client.get("/notes?form=envelope", headers={"If-None-Match": answer.headers["etag"]})

        assert (answer.json()["total"], len(answer.json()["items"])) == (3, 2)
        assert (changed.status_code, changed.json()["total"]) == (200, 4)

    def test_the_models_fit_them(self, client):
        """Page and envelope, with and without what else may be in them."""
        page, both = (client.get(f"/notes?form={form}").content for form in ("page", "both"))

        assert JsonPage[Secret].model_validate_json(page).total is None
        assert JsonPage[Secret].model_validate_json(both).total == 3
        assert JsonPage[Secret].model_validate_json(both).includes == {}
        assert len(JsonEnvelope[Secret].model_validate_json(client.get("/notes?form=envelope").content).items) == 2

    @pytest.mark.parametrize("given", [Note, "Notes", None])
    def test_a_query(self, given):
        """Nothing else is one, that of a blocking session neither."""
        with DocumentStore("postgresql://nobody@nowhere/x") as store, store.open_session() as session:
            for each in given, session.query(Note):
                with pytest.raises(InvalidArgumentTypeException, match=r"Query\(Customer\)"):
                    JsonDocuments(each)


class TestConditionalWrites:
    @pytest.fixture
    def client(self, make_documents, serve, write):
        documents = make_documents()
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)
        write("notes/1", "old")

        @app.put("/")
        async def change(session: Session, if_match: IfMatch, vector: str | None = None, meanwhile: str | None = None):
            found = await session.load("notes/1", Note)
            if_match.check(session, found)
            if vector is not None:
                expect_change_vector(session, found, vector)
            if meanwhile is not None:
                write("notes/1", meanwhile)
            found.text = "mine"
            await session.save_changes()
            return {"condition": bool(if_match), "etag": etag_of(session, found)}

        @app.post("/new")
        async def unsaved(session: Session, if_match: IfMatch):
            made = Note("x")
            await session.store(made, "notes/2")
            if_match.check(session, made)
            return etag_of(session, made)

        return serve(app)

    def test_it_holds_until_the_save(self, client, note):
        """Whoever comes in between, the client learns of it as if it had come too late."""
        tag = client.put("/").json()["etag"]

        early = client.put("/?meanwhile=theirs", headers={"If-Match": tag})
        late = client.put("/", headers={"If-Match": tag})

        assert (early.status_code, late.status_code, note("notes/1")) == (412, 412, "theirs")

    def test_a_change_vector_too(self, client, note):
        """That is a conflict; text that is none never matches."""
        vector = client.put("/").json()["etag"].strip('"')

        fresh = client.put(f"/?vector={vector}")
        in_between = client.put(f"/?vector={fresh.json()['etag'][1:-1]}&meanwhile=theirs")
        nonsense = [client.put("/", params={"vector": each}).status_code for each in ("", "x", "9" * 30, vector)]

        assert (fresh.status_code, in_between.status_code, nonsense) == (200, 409, [409, 409, 409, 409])
        assert note("notes/1") == "theirs"

    def test_nothing_is_checked_without_one(self, client, note):
        """The last write wins."""
        assert client.put("/?meanwhile=theirs").json()["condition"] is False
        assert note("notes/1") == "mine"

    def test_a_cluster_wide_session_checks_by_itself(self, make_documents, serve, write, note):
        """It takes no versions from outside, and the answers are the same."""
        documents = make_documents(session_options=SessionOptions(transaction_mode=TransactionMode.CLUSTER_WIDE))
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)
        write("notes/1", "old")

        @app.put("/")
        async def change(session: Session, if_match: IfMatch, meanwhile: str | None = None):
            found = await session.load("notes/1", Note)
            if_match.check(session, found)
            if meanwhile is not None:
                write("notes/1", meanwhile)
            found.text = "mine"
            await session.save_changes()

        client = serve(app)
        condition = {"If-Match": "*"}

        assert client.put("/", headers={"If-Match": '"1"'}).status_code == 412
        assert client.put("/?meanwhile=theirs", headers=condition).status_code == 412
        assert (client.put("/", headers=condition).status_code, note("notes/1")) == (200, "mine")

    def test_what_is_not_stored_has_no_version(self, client):
        """No condition holds for it, and it has no ETag."""
        assert client.post("/new", headers={"If-Match": "*"}).status_code == 412
        assert client.post("/new").status_code == 500


def test_openapi_knows_all_of_it(make_documents):
    """Models of bodies, the header, and the errors."""
    documents = make_documents()
    app = FastAPI(lifespan=documents.lifespan)
    documents.install(app)

    @app.get("/notes", response_model=JsonPage[Secret], responses=problem_responses(400, 503))
    async def page() -> JsonDocuments: ...

    @app.get("/all", response_model=JsonEnvelope[Secret])
    async def envelope() -> JsonDocuments: ...

    @app.put("/notes/{key}", response_model=Secret)
    async def change(key: Annotated[str, Path()], session: Session, if_match: IfMatch) -> JsonDocument: ...

    schema = app.openapi()
    put = schema["paths"]["/notes/{key}"]["put"]
    listed = schema["paths"]["/notes"]["get"]["responses"]

    assert {name for name in schema["components"]["schemas"] if "Secret" in name} == {
        "Secret",
        "JsonPage_Secret_",
        "JsonEnvelope_Secret_",
    }
    assert [(each["name"], each["in"], each["required"]) for each in put["parameters"]] == [
        ("key", "path", True),
        ("If-Match", "header", False),
    ]
    assert put["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Secret")
    assert listed["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/JsonPage_Secret_")
    assert listed["503"]["description"] == "Service Unavailable"
    assert set(listed["400"]["content"]) == {"application/problem+json"}


class TestLoadOr404:
    @pytest.fixture
    def client(self, make_documents, serve, write, beside):
        documents = make_documents()
        app = FastAPI(lifespan=documents.lifespan)
        documents.install(app)
        write("notes/1", "b")
        with beside.open_session() as session:
            session.store(Secret(text="fits"), "secrets/1")
            session.store({"other": 1, "@metadata": {"@collection": "Things"}}, "things/1")
            session.store({"other": 1, "@metadata": {"@collection": "Notes"}}, "notes/misfit")
            session.save_changes()

        @app.get("/{key:path}")
        async def note(key: str, session: Session, track: bool = True):
            if track:
                found = await load_or_404(session, key, Note)
                return [found.text, list(session.advanced.get_tracked_entities())]
            async with documents.open_session(session_options=SessionOptions(no_tracking=True)) as untracked:
                return (await load_or_404(untracked, key, Note)).text

        @app.post("/{key:path}")
        async def anything(key: str, session: Session):
            found = await load_or_404(session, key)
            return found["@metadata"]["@collection"]

        return serve(app)

    def test_what_is_there(self, client):
        """It is loaded, and tracked as ever."""
        assert client.get("/notes/1").json() == ["b", ["notes/1"]]
        assert client.get("/notes/1?track=0").json() == "b"

    @pytest.mark.parametrize("track", [0, 1])
    @pytest.mark.parametrize("key", ["notes/2", "secrets/1", "things/1", "nothing", "%00", "%20"])
    def test_what_is_not(self, client, key, track):
        """No such document, one of another class, whether it would fit or not, and no id."""
        answer = client.get(f"/{key}?track={track}")

        assert (answer.status_code, answer.json()["code"]) == (404, "ds124")

    def test_one_that_does_not_fit(self, client):
        """That is no mistake of the client's."""
        assert client.get("/notes/misfit").status_code == 500

    def test_without_a_class(self, client):
        """A dict, of any collection."""
        assert client.post("/things/1").json() == "Things"
        assert client.post("/things/2").status_code == 404

"""Documents by the ids that clients send, and answers of stored JSON."""

import pytest
from flask import request

from docsession import DocumentMismatchException, InvalidArgumentTypeException, SessionOptions
from docsession.contrib.flask import check_if_match, etag_of, expect_change_vector, json_response


@pytest.fixture(params=[None, lambda _name: SessionOptions(no_tracking=True)], ids=["tracking", "no tracking"])
def shop(request, make_app, stored, note, visitor):
    stored(note("found", ["a"]), "notes/1")
    stored(visitor("someone"), "visitors/1")
    app, docs = make_app(session_options=request.param)

    @app.get("/notes/<path:key>")
    def read(key):
        return docs.load_or_404(key, note, description="There is no such note.").text

    return app, docs


class TestLoadOr404:
    def test_it_loads(self, shop):
        app, _docs = shop
        assert app.test_client().get("/notes/notes/1").text == "found"

    @pytest.mark.parametrize("key", ["notes/2", "nothing", "notes/%00", "%20", "ä" * 400, "visitors/1"])
    def test_what_is_no_note_is_not_found(self, shop, key):
        """Whatever the reason, also where a visitor looks like a note."""
        app, _docs = shop
        answer = app.test_client().get(f"/notes/{key}")
        assert (answer.status_code, "There is no such note." in answer.text) == (404, True)

    def test_it_may_be_of_another_shape(self, shop, store):
        app, _docs = shop
        with store.open_session() as session:
            session.store({"text": 5, "@metadata": {"@collection": "Visitors"}}, "visitors/2")
            session.save_changes()
        assert app.test_client().get("/notes/visitors/2").status_code == 404

    def test_a_note_that_is_broken_is_no_missing_note(self, shop, note, store):
        app, docs = shop
        with store.open_session() as session:
            session.store({"text": 5, "@metadata": {"@collection": "Notes"}}, "notes/5")
            session.save_changes()
        with app.app_context(), pytest.raises(DocumentMismatchException):
            docs.load_or_404("notes/5", note)

    def test_without_a_class_it_is_a_dict(self, shop):
        app, docs = shop
        with app.app_context():
            assert docs.load_or_404("visitors/1")["text"] == "someone"
            assert docs.load_or_404("visitors/1", dict)["text"] == "someone"


class TestJson:
    @pytest.fixture
    def client(self, shop, note):
        app, docs = shop

        @app.get("/one")
        def one():
            return json_response(docs.session.load_json("notes/1", note))

        @app.get("/none")
        def none():
            return json_response(docs.session.load_json("notes/2", note))

        @app.get("/all")
        def every():
            return json_response(docs.session.query(note).json(envelope=True))

        @app.get("/all/known")
        def known():
            header = request.headers.get("If-None-Match")
            found = docs.session.query(note).json(envelope=True, if_none_match=header)
            return json_response(found)

        return app.test_client()

    def test_it_is_what_is_stored(self, client):
        answer = client.get("/one")
        assert (answer.content_type, answer.json) == (
            "application/json",
            {"id": "notes/1", "text": "found", "tags": ["a"]},
        )
        assert client.get("/all").json == {"items": [answer.json], "total": 1}

    def test_what_is_not_there_is_not_found(self, client):
        """`load_json` gives None for it."""
        answer = client.get("/none")
        assert (answer.status_code, answer.json["code"]) == (404, "ds124")

    def test_anything_else_is_refused(self):
        with pytest.raises(InvalidArgumentTypeException, match=r"query\.json\(…\) has returned, not dict"):
            json_response({"id": "notes/1"})

    @pytest.mark.parametrize("path", ["/one", "/all", "/all/known"])
    def test_a_client_is_told_that_nothing_has_changed(self, client, path, stored, note):
        tag = client.get(path).headers["ETag"]
        answer = client.get(path, headers={"If-None-Match": f'"x", W/{tag}'})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
        assert "Content-Type" not in answer.headers
        stored(note("new"), "notes/1")
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 200


class TestVersions:
    @pytest.fixture
    def put(self, make_app, stored, note):
        """Change the note as a client of an old version does."""
        stored(note("read"), "notes/1")
        app, docs = make_app()

        @app.get("/")
        def read():
            return "", {"ETag": etag_of(docs.session, docs.load_or_404("notes/1", note))}

        @app.put("/<seen>")
        def change(seen):
            found = docs.load_or_404("notes/1", note)
            check_if_match(docs.session, found)
            if seen != "-":
                expect_change_vector(docs.session, found, seen)
            if request.args.get("late"):
                stored(note("theirs"), "notes/1")
            found.text = "mine"
            docs.session.save_changes()
            return ""

        client = app.test_client()
        client.tag = client.get("/").headers["ETag"]
        return client

    @pytest.mark.parametrize("header", ["TAG", '"x", TAG', "*"])
    def test_a_present_version_lets_the_request_go_on(self, put, stored, header):
        assert put.put("/-", headers={"If-Match": header.replace("TAG", put.tag)}).status_code == 200
        assert stored.text("notes/1") == "mine"

    @pytest.mark.parametrize("header", ['"1"', "W/TAG", "nonsense"])
    def test_another_does_not(self, put, stored, header):
        """As soon as it is looked at."""
        answer = put.put("/-", headers={"If-Match": header.replace("TAG", put.tag)})
        assert (answer.status_code, answer.json["code"]) == (412, "ds111")
        assert stored.text("notes/1") == "read"

    def test_nobody_comes_between(self, put, stored):
        """The save looks again."""
        assert put.put("/-?late=1", headers={"If-Match": put.tag}).status_code == 412
        vector = put.get("/").headers["ETag"].strip('"')
        assert put.put(f"/{vector}?late=1").status_code == 409
        assert stored.text("notes/1") == "theirs"

    def test_a_change_vector_may_come_in_another_way(self, put):
        assert put.put("/1").status_code == 409
        vector = put.tag.strip('"')
        assert put.put(f"/{vector}").status_code == 200

    def test_several_headers_are_one_list(self, put):
        headers = [("If-Match", '"1"'), ("If-Match", put.tag)]
        assert put.put("/-", headers=headers).status_code == 200

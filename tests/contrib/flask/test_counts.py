"""What a request has sent, in the log and in a header."""

import logging

import pytest


@pytest.fixture
def shop(make_app, stored, note):
    for at in range(3):
        stored(note("a"), f"notes/{at}")
    app, docs = make_app()

    @app.get("/often/<secret>")
    def often(secret):
        for at in range(3):
            docs.session.load(f"notes/{at}", note)
        return ""

    @app.get("/never")
    def never():
        return ""

    return app


def lines(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "docsession.http"]


def test_the_log_has_a_line_for_each_request(shop, caplog):
    caplog.set_level(logging.DEBUG, "docsession.http")
    client = shop.test_client()
    client.get("/never")
    client.get("/often/x?token=secret")
    ((level, line),) = lines(caplog)
    assert level == "INFO"
    assert line.startswith("GET /often/x -> 200: 3 requests in ")
    assert "3 x load from test_counts.py:" in line
    assert "could be one request" in line
    assert "secret" not in line


def test_it_is_of_one_request(shop, caplog):
    caplog.set_level(logging.DEBUG, "docsession.http")
    for _ in range(2):
        shop.test_client().get("/often/x")
    assert ["3 requests" in line for _, line in lines(caplog)] == [True, True]


def test_in_debug_mode_there_is_a_header(shop):
    client = shop.test_client()
    assert "Server-Timing" not in client.get("/often/x").headers
    shop.debug = True
    header = client.get("/often/x").headers["Server-Timing"]
    assert header.startswith("docsession;dur=")
    assert "3 requests, 1 repeated" in header
    assert "Server-Timing" not in client.get("/never").headers


def test_where_nobody_listens_nothing_is_counted(shop, caplog):
    caplog.set_level(logging.WARNING, "docsession.http")
    assert shop.test_client().get("/often/x").status_code == 200
    assert lines(caplog) == []

"""URLs, options and databases that cannot be are refused when a store is made or a session opened."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from docsession import (
    DocumentConventions,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    SessionOptions,
)
from tests.support.beside import settle
from tests.support.documents import read, save
from tests.support.operations import Company
from tests.support.refusals import SECRET, free_port, refused


class TestUrls:
    @pytest.mark.parametrize(
        "urls",
        [None, "", "  ", [], [None], [""], "companies", "mysql://ann@host/db", "http://localhost:8080",
         "postgresql+asyncpg://ann@host/db", "host='x"],
    )  # fmt: skip
    def test_what_is_no_url_of_a_postgresql_is_refused_at_once(self, face, urls):
        with refused(InvalidArgumentException):
            face.store(urls)

    @pytest.mark.parametrize("urls", [5, b"postgresql://host/db", {"host": "x"}, [5], Path("/tmp")])
    def test_what_is_no_text_too(self, face, urls):
        with refused(InvalidArgumentTypeException, "postgresql://" if not isinstance(urls, list) else "str"):
            face.store(urls)

    def test_a_forgotten_variable_never_becomes_an_empty_database(self, face):
        for urls in (None, ""):
            with refused(InvalidArgumentException, "environment variable", "DOCSESSION_URL"):
                face.store(urls)

    async def test_an_empty_variable_is_refused_at_the_first_use(self, make_store, monkeypatch, face):
        for value in ("", " ", "http://localhost"):
            monkeypatch.setenv("DOCSESSION_URL", value)
            with refused(InvalidArgumentException, "DOCSESSION_URL"):
                await settle(face.store().initialize())

    async def test_the_variable_is_taken_where_nothing_is_given(self, face, postgres_url, database, monkeypatch):
        monkeypatch.setenv("DOCSESSION_URL", postgres_url)
        async with face.store(database=database) as store:
            await save(store, (Company("x"), "companies/1"))
            assert database in await store.maintenance.get_database_names()
            assert store.embedded_server is None

    async def test_every_form_of_url(self, make_store, postgres_url):
        info = conninfo_to_dict(postgres_url)
        host, port = info["host"], info.get("port", "5432")
        place = f"{info['user']}:{info['password']}@/{info['dbname']}?host={host}&port={port}"
        for url in (
            f"postgresql://{place}",
            f"postgres://{place}",
            f"postgresql+psycopg://{place}",
            make_conninfo(postgres_url),
            [f"postgresql://{place}"],
        ):
            store = make_store(url)
            await save(store, (Company("x"), "companies/1"))
            assert (await read(store, "companies/1", Company)).name == "x"
            await store.close()

    async def test_of_several_hosts_the_first_that_accepts_is_used(self, make_store, postgres_url):
        info = conninfo_to_dict(postgres_url)
        live, port = info["host"], info.get("port", "5432")
        dead = free_port()
        one = make_conninfo(postgres_url, host=f"127.0.0.1,{live}", port=f"{dead},{port}")
        several = [make_conninfo(postgres_url, host="127.0.0.1", port=str(dead)), make_conninfo(postgres_url)]
        for urls in (one, several):
            store = make_store(urls)
            await save(store, (Company("x"), "companies/1"))
            assert (await read(store, "companies/1", Company)).name == "x"

    def test_several_urls_are_of_one_database(self, face):
        with refused(InvalidArgumentException, "dbname", "password"):
            face.store([f"postgresql://ann:{SECRET}@one/shop", "postgresql://ann:other@two/bookshop"])

    @pytest.mark.parametrize(
        "options",
        [{"min_size": -1}, {"max_size": 0}, {"min_size": 3, "max_size": 2}, {"timeout": 0}, {"timeout": float("nan")},
         {"connect_timeout": 0}, {"max_idle": -1}, {"max_lifetime": 0}, {"prepare_threshold": -1}, {"prepared_max": 0},
         {"database": ""}, {"database": "pg_shop"}, {"database": "x" * 64}],
    )  # fmt: skip
    def test_options_out_of_range_are_refused_by_name(self, face, options):
        with refused(InvalidArgumentException, next(iter(options)).split("_")[0]):
            face.store("postgresql://host/db", **options)


class TestOpeningSessions:
    def test_a_database_given_twice_differently_is_refused(self, store):
        with refused(InvalidArgumentException, "'shop'", "'bookshop'", "two databases"):
            store.open_session("shop", SessionOptions(database="bookshop"))

    @pytest.mark.parametrize(
        "wrong",
        [5, b"shop", ["shop"], {}, SessionOptions(), SessionOptions(database="shop"), object()],
    )
    def test_a_database_that_is_no_name_is_refused(self, store, wrong):
        with refused(InvalidArgumentTypeException):
            store.open_session(wrong)
        with refused(InvalidArgumentTypeException):
            store.open_session(session_options=SessionOptions(database=wrong))

    @pytest.mark.parametrize("wrong", [5, "shop", {}, object(), DocumentConventions()])
    def test_options_that_are_none_are_refused(self, store, wrong):
        with refused(InvalidArgumentTypeException, "session_options"):
            store.open_session(None, wrong)

    @pytest.mark.parametrize("name", ["", " ", "pg_shop", "information_schema", "x" * 64, "ä" * 32, "a\0b", "a\nb"])
    def test_a_name_that_cannot_be_a_databases_is_refused(self, store, name):
        for form in (lambda: store.open_session(name), lambda: store.open_session(None, SessionOptions(database=name))):
            with refused(InvalidArgumentException, "name"):
                form()

    def test_without_tracking_there_is_nothing_to_check(self, store):
        options = SessionOptions(no_tracking=True, optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        with refused(InvalidOperationException, "no_tracking"):
            store.open_session(session_options=options)

import logging

import pytest

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._executors._url import mask_password, parse_url

SECRET = "s3cr3t"


class TestUnderstood:
    @pytest.mark.parametrize(
        "scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg_async", "PostgreSQL"]
    )
    def test_every_scheme_of_psycopg_3(self, scheme):
        expected = {"host": "db", "port": "5433", "user": "ann", "password": "p@ss", "dbname": "shop"}
        assert parse_url(f"{scheme}://ann:p%40ss@db:5433/shop") == expected

    def test_libpqs_own_form(self):
        assert parse_url("host=/run/pg dbname='my shop'") == {"host": "/run/pg", "dbname": "my shop"}

    def test_parameters_after_the_question_mark(self):
        found = parse_url("postgresql:///shop?host=/run/pg&sslmode=require&target_session_attrs=read-write")
        expected = {"dbname": "shop", "host": "/run/pg", "sslmode": "require", "target_session_attrs": "read-write"}
        assert found == expected

    def test_white_space_around_it_is_dropped(self):
        assert parse_url(" postgresql://db/shop\n") == {"host": "db", "dbname": "shop"}

    def test_several_hosts_in_one_url(self):
        assert parse_url("postgresql://a:1,b:2/shop") == {"host": "a,b", "port": "1,2", "dbname": "shop"}


class TestSeveralUrls:
    def test_hosts_and_ports_are_listed(self):
        found = parse_url(["postgresql://ann@a:1/shop", "postgresql://ann@b:2/shop"])
        assert found == {"host": "a,b", "port": "1,2", "user": "ann", "dbname": "shop"}

    def test_a_url_without_a_port_takes_the_default_one(self):
        found = parse_url(["postgresql://a/shop", "postgresql://b:2/shop"])
        assert found == {"host": "a,b", "port": ",2", "dbname": "shop"}

    def test_one_port_counts_for_all_hosts_of_its_url(self):
        found = parse_url(["host=a,b port=1 dbname=shop", "host=c port=2 dbname=shop"])
        assert found == {"host": "a,b,c", "port": "1,1,2", "dbname": "shop"}

    def test_a_list_of_one(self):
        assert parse_url(["postgresql://db/shop"]) == {"host": "db", "dbname": "shop"}

    @pytest.mark.parametrize(
        ("other", "name"),
        [
            ("postgresql://ann:s3cr3t@b/store", "dbname"),
            ("postgresql://bob:s3cr3t@b/shop", "user"),
            ("postgresql://ann:s3cr3t2@b/shop", "password"),
            ("postgresql://ann:s3cr3t@b/shop?sslmode=require", "sslmode"),
        ],
    )
    def test_another_database_or_user_is_refused_by_name(self, other, name):
        with pytest.raises(InvalidArgumentException, match=name) as caught:
            parse_url([f"postgresql://ann:{SECRET}@a/shop", other])
        assert SECRET not in str(caught.value)


class TestRefused:
    @pytest.mark.parametrize("urls", [None, "", "  \n", [], [None], [""]])
    def test_a_forgotten_variable_is_named_as_the_likely_reason(self, urls):
        with pytest.raises(InvalidArgumentException, match="environment variable that is not set"):
            parse_url(urls)

    @pytest.mark.parametrize("urls", [5, b"postgresql://db/shop", object(), [5]])
    def test_what_is_no_str(self, urls):
        with pytest.raises(InvalidArgumentTypeException, match="a URL is a str"):
            parse_url(urls)

    @pytest.mark.parametrize("driver", ["asyncpg", "psycopg2", "pg8000"])
    def test_other_drivers_get_the_url_to_use(self, driver):
        with pytest.raises(InvalidArgumentException) as caught:
            parse_url(f"postgresql+{driver}://ann:{SECRET}@db/shop")
        assert "'postgresql://ann:***@db/shop'" in str(caught.value)
        assert driver in str(caught.value)

    @pytest.mark.parametrize("url", ["mysql://u:s3cr3t@h/d", "sqlite:///file.db", "mongodb://u:s3cr3t@h"])
    def test_other_systems(self, url):
        with pytest.raises(InvalidArgumentException, match=r"in PostgreSQL, not in (mysql|sqlite|mongodb)") as caught:
            parse_url(url)
        assert SECRET not in str(caught.value)

    def test_the_url_of_a_ravendb_server(self):
        with pytest.raises(InvalidArgumentException, match="RavenDB server"):
            parse_url("http://localhost:8080")

    def test_a_port_that_is_no_number(self):
        with pytest.raises(InvalidArgumentException, match="a port is a number"):
            parse_url("postgresql://db:port/shop")

    def test_what_is_no_url(self):
        with pytest.raises(InvalidArgumentException, match="postgresql://user:password@host:5432/database"):
            parse_url(f"ann:{SECRET}@db/shop")

    def test_an_unknown_parameter_is_named(self):
        with pytest.raises(InvalidArgumentException, match="colour"):
            parse_url("postgresql://db/shop?colour=blue")


BROKEN = [
    "postgresql://ann:s3cr3t%zz@db/shop",
    "postgresql://ann:s3cr3t/x@db:port/shop?colour=blue",
    "postgresql://ann:s3cr3t@x@db/shop?colour=blue",
    "postgresql://ann:x@s3cr3t@db/shop",
    "postgresql://ann:s3cr3t/x@db/shop",
    "postgresql://ann:1/s3cr3t@db/shop",
    "postgresql://ann:x?y@s3cr3t@db/shop",
    "ann:s3cr3t@db/shop?sslmode=require",
    "host=db password=s3cr3t colour=blue",
    "host=db password='s3cr3t x' colour=blue",
    "host=db password = 's3cr3t",
    "host=db password='x s3cr3t",
    "host=db password=x\\ s3cr3t colour=blue",
    "host=db passwort=s3cr3t",
    "host=db passwordd=s3cr3t pwd=s3cr3t",
    "host=db port=x password=s3cr3t",
    "postgresql://db/shop?password=s3cr3t&colour=blue",
    "postgresql+asyncpg://ann:s3cr3t@db/shop?sslpassword=s3cr3t",
]


@pytest.mark.parametrize("url", BROKEN)
def test_no_password_in_a_message_its_causes_or_the_log(url, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InvalidArgumentException) as caught:
        parse_url(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__
    assert SECRET not in caplog.text


def test_masking_leaves_what_is_no_password():
    assert (
        mask_password("postgresql://ann:a:b@c@db:1/shop?password=x&a=1")
        == "postgresql://ann:***@db:1/shop?password=***&a=1"
    )
    assert mask_password("postgresql://db:1/shop") == "postgresql://db:1/shop"
    assert mask_password("host=db user=ann") == "host=db user=ann"

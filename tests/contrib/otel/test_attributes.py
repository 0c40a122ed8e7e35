"""What spans say of a request (no server)."""

import asyncio

import pytest

from docsession import ConnectionFailedException, FailedRequestEventArgs, PoolTimeoutException, RequestDescription
from docsession._errors import _GuardFailed
from docsession.contrib.otel._attributes import common_of, failure_of, name_of, request_of

SITE = ("/srv/app.py", 3, "view", "load")


def failed(url, *, collections=("Users",), attempts=1, error=None):
    description = RequestDescription("load", 2, is_write=False, collections=collections)
    return FailedRequestEventArgs("docsession", url, error, description, attempts, 0.1)


class TestPlace:
    @pytest.mark.parametrize(
        ("url", "namespace", "address", "port"),
        [
            ("postgresql://ann@db.example:5432/shop", "shop|docsession", "db.example", None),
            ("postgresql://db.example:6432/shop", "shop|docsession", "db.example", 6432),
            ("postgresql://ann@%2Fvar%2Frun:5432/a%7Cb", "a|b|docsession", "/var/run", None),
            ("postgresql://%3A%3A1:5433/shop", "shop|docsession", "::1", 5433),
            ("postgresql://one:5432,two:5433/shop", "shop|docsession", None, None),
            ("", "docsession", None, None),
        ],
    )
    def test_the_server_and_the_database(self, url, namespace, address, port):
        found = common_of(failed(url))
        assert (namespace, address, port) == (
            found["db.namespace"],
            found.get("server.address"),
            found.get("server.port"),
        )
        assert "ann" not in str(found)


class TestNames:
    def test_one_collection_is_the_target_and_else_the_database(self):
        assert name_of(failed("")) == "load Users"
        assert name_of(failed("", collections=())) == name_of(failed("", collections=("A", "B"))) == "load docsession"

    def test_a_request_that_was_sent_again_or_never_says_so(self):
        assert "docsession.attempts" not in request_of(failed(""), SITE)
        assert request_of(failed("", attempts=2), SITE)["docsession.attempts"] == 2
        assert request_of(failed("", attempts=0), SITE)["docsession.attempts"] == 0


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (ConnectionFailedException("x"), "docsession.ConnectionFailedException"),
            (PoolTimeoutException("x"), "docsession.PoolTimeoutException"),
            (_GuardFailed("x", "conflict", 1), "docsession.ConcurrencyException"),
            (_GuardFailed("x", "catalogue", 1), "docsession.RavenException"),
            (KeyboardInterrupt(), "KeyboardInterrupt"),
            (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_the_kind_is_one_that_a_program_can_catch(self, error, kind):
        assert failure_of(error) == {"error.type": kind}

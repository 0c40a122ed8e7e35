"""Errors as answers of HTTP: what docsession's become, and who may answer instead."""

import pytest
from flask import Blueprint, Flask
from werkzeug.exceptions import Conflict, HTTPException

from docsession import (
    ConcurrencyException,
    ConnectionFailedException,
    DocSessionError,
    InvalidOperationException,
    NoResultException,
)
from docsession.contrib.flask import DocSession, Problem, ProblemMap

PROBLEM = "application/problem+json"


CONFLICT = ConcurrencyException("notes/1 was changed by others: SELECT secret")


@pytest.fixture
def ask():
    """Ask an application whose only view raises an error."""

    def get(error, *, prepare=None, headers=None, **options):
        app = Flask("shop")
        if prepare is not None:
            prepare(app)
        DocSession(app, **options)

        @app.get("/")
        def index():
            raise error

        return app.test_client().get("/", headers=headers)

    return get


class TestAnswers:
    @pytest.mark.parametrize(
        ("error", "status", "headers"),
        [
            (NoResultException("none"), 404, {}),
            (CONFLICT, 409, {}),
            (ConnectionFailedException("host=10.0.0.1"), 503, {"Retry-After": "5"}),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_they_are_problems(self, ask, error, status, headers):
        """In the form of RFC 9457, without anything of the error's own words."""
        answer = ask(error)
        assert (answer.status_code, answer.content_type, answer.json["code"]) == (status, PROBLEM, error.code)
        assert answer.json["status"] == status
        assert str(error) not in answer.text
        assert headers.items() <= dict(answer.headers).items()

    @pytest.mark.parametrize("condition", [{"If-Match": '"1"'}, {"If-None-Match": "*"}], ids=str)
    def test_a_conflict_is_412_where_the_client_had_a_condition(self, ask, condition):
        assert ask(CONFLICT, headers=condition).status_code == 412

    def test_what_is_none_of_the_clients_business_is_the_applications_500(self, ask):
        answer = ask(InvalidOperationException("a mistake in the program"))
        assert (answer.status_code, "mistake" in answer.text) == (500, False)
        assert answer.content_type == "text/html; charset=utf-8"

    def test_other_errors_are_left_alone(self, ask):
        def prepare(app):
            app.register_error_handler(LookupError, lambda error: ("theirs", 418))

        assert ask(LookupError(), prepare=prepare).status_code == 418


class TestOtherAnswers:
    @pytest.mark.parametrize("kind", [409, Conflict, HTTPException], ids=str)
    def test_a_handler_of_the_status_is_asked(self, ask, kind):
        """As for any other error of HTTP; it may use what it is given."""

        def answer(error):
            return f"{error.code}: {error.description} {type(error.__cause__).__name__}", 409

        found = ask(CONFLICT, prepare=lambda app: app.register_error_handler(kind, answer))
        assert found.text.startswith("409: Somebody else has changed it meanwhile")
        assert found.text.endswith("ConcurrencyException")

    def test_a_handler_may_return_the_answer_it_is_given(self, ask):
        found = ask(CONFLICT, prepare=lambda app: app.register_error_handler(409, lambda error: error))
        assert (found.status_code, found.content_type) == (409, PROBLEM)

    def test_a_handler_of_the_error_comes_first(self, ask):
        def prepare(app):
            app.register_error_handler(ConcurrencyException, lambda error: ("theirs", 200))

        assert ask(CONFLICT, prepare=prepare).text == "theirs"

    def test_a_handler_of_all_errors_that_is_there_already_stays(self, ask):
        def prepare(app):
            app.register_error_handler(DocSessionError, lambda error: ("theirs", 200))

        assert ask(CONFLICT, prepare=prepare).text == "theirs"

    def test_a_blueprint_may_answer(self):
        app = Flask("shop")
        DocSession(app)
        part = Blueprint("part", "part")

        @part.get("/")
        def index():
            raise CONFLICT

        part.register_error_handler(409, lambda error: ("the blueprint's", 409))
        app.register_blueprint(part)
        assert app.test_client().get("/").text == "the blueprint's"

    def test_an_application_may_want_its_context(self):
        """As Flask's methods do from 3.2 on."""

        class Newer(Flask):
            def handle_http_exception(self, ctx, e):
                assert ctx.app is self
                return super().handle_http_exception(e)

        app = Newer("shop")
        DocSession(app)
        app.register_error_handler(409, lambda error: ("theirs", 409))

        @app.get("/")
        def index():
            raise CONFLICT

        assert app.test_client().get("/").text == "theirs"

    @pytest.mark.parametrize("status", [422, 499])
    def test_a_map_changes_the_status(self, ask, status):
        """Also into one that Flask has no error for."""
        problems = ProblemMap().with_({ConcurrencyException: status})
        answer = ask(CONFLICT, problems=problems)
        assert (answer.status_code, answer.content_type, answer.json["status"]) == (status, PROBLEM, status)

    def test_a_map_may_ask_a_function(self, ask):
        problems = ProblemMap().with_({ConcurrencyException: lambda error: Problem(409, error.code, "Too late.")})
        assert ask(CONFLICT, problems=problems).json["detail"] == "Too late."

    def test_without_a_map_they_are_left_alone(self, ask):
        assert ask(CONFLICT, problems=None).status_code == 500

"""Errors as HTTP (no framework, no database)."""

import json

import pytest

import docsession
from docsession import (
    AuthenticationException,
    ClusterTransactionConcurrencyException,
    ConcurrencyException,
    Conflict,
    ConnectionFailedException,
    ConnectionLostException,
    DocSessionError,
    DocumentDoesNotExistException,
    ForeignKeyViolation,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidPageTokenException,
    NoResultException,
    PoolTimeoutException,
    RavenException,
    RequestTimeoutException,
    TooManyRequestsException,
    TransactionRetryException,
    UniqueConstraintViolation,
    UnknownOutcomeException,
)
from docsession.contrib._http import Problem, ProblemMap, problem_of

SECRET = "postgresql://app:hunter2@db/shop customers/7 SELECT data FROM \"x\" 'ann@example.com'"


class TestDefaults:
    @pytest.mark.parametrize(
        ("kind", "status", "retry_after"),
        [
            (NoResultException, 404, None),
            (DocumentDoesNotExistException, 404, None),
            (ConcurrencyException, 409, None),
            (ClusterTransactionConcurrencyException, 409, None),
            (UniqueConstraintViolation, 409, None),
            (ForeignKeyViolation, 409, None),
            (InvalidPageTokenException, 400, None),
            (TransactionRetryException, 503, "1"),
            (ConnectionFailedException, 503, "5"),
            (PoolTimeoutException, 503, "5"),
            (ConnectionLostException, 503, "5"),
            (UnknownOutcomeException, 503, None),
        ],
    )
    def test_an_error_has_a_status(self, kind, status, retry_after):
        problem = problem_of(kind(SECRET))
        assert (status, kind.code) == (problem.status, problem.code)
        assert problem.headers.get("Retry-After") == retry_after

    def test_a_full_pool_is_no_server_out_of_reach(self):
        assert problem_of(PoolTimeoutException(SECRET)).message == "The server is busy. Try again."
        assert "cannot be reached" in problem_of(ConnectionFailedException(SECRET)).message

    @pytest.mark.parametrize(
        "error",
        [
            AuthenticationException(SECRET),
            RequestTimeoutException(SECRET),
            TooManyRequestsException(SECRET),
            InvalidArgumentException(SECRET),
            RavenException(SECRET),
            ValueError(SECRET),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_all_else_is_the_frameworks(self, error):
        assert problem_of(error) is None

    def test_what_is_retryable_by_the_servers_word_is_503(self):
        error = RavenException("40001")
        error.retryable = True
        assert problem_of(error).status == 503

    def test_a_condition_that_failed_is_412_and_nothing_else_is(self):
        assert problem_of(ConcurrencyException("x"), conditional=True).status == 412
        assert problem_of(UniqueConstraintViolation("x"), conditional=True).status == 409
        assert problem_of(NoResultException("x"), conditional=True).status == 404

    def test_no_text_of_an_error_gets_out(self):
        for name in docsession.__all__:
            kind = getattr(docsession, name)
            if not (isinstance(kind, type) and issubclass(kind, DocSessionError)):
                continue
            error = kind(SECRET)
            error.__cause__ = RuntimeError(SECRET)
            for conditional in (False, True):
                problem = problem_of(error, conditional=conditional)
                shown = "" if problem is None else f"{problem!r}{problem.json().decode()}"
                assert not [word for word in SECRET.split() if word in shown.split()], name
                assert "hunter2" not in shown

    def test_conflicts_do_not_name_documents_that_the_client_has_not_asked_for(self):
        problem = problem_of(ConcurrencyException("x", [Conflict("secrets/1", "5", "6")]))
        assert "secrets/1" not in problem.json().decode()

    def test_an_unknown_outcome_neither_claims_nor_invites(self):
        problem = problem_of(UnknownOutcomeException("x"))
        assert "nothing was saved" not in problem.message
        assert {} == dict(problem.headers)


class TestProblem:
    def test_the_document_is_that_of_rfc_9457(self):
        problem = Problem(409, "ds111", "Somebody – else.")
        expected = {
            "type": "about:blank",
            "title": "Conflict",
            "status": 409,
            "detail": "Somebody – else.",
            "code": "ds111",
        }
        assert expected == json.loads(problem.json()) == problem.body()

    def test_a_status_without_a_name_has_a_title_all_the_same(self):
        assert Problem(499, "ds000", "x").title == "Status 499"

    @pytest.mark.parametrize("status", [200, 399, 600, True, "409", None])
    def test_a_status_that_is_none_of_an_error_is_refused(self, status):
        with pytest.raises(InvalidArgumentException, match="status"):
            Problem(status, "ds000", "x")


class TestOverriding:
    def test_a_status_keeps_the_message_and_holds_for_subclasses(self):
        problems = ProblemMap().with_({DocSessionError: 500, NoResultException: 410})
        assert problems.problem_of(NoResultException("x")) == Problem(
            410, "ds230", problem_of(NoResultException("x")).message
        )
        assert problems.problem_of(TooManyRequestsException(SECRET)) == Problem(
            500, "ds210", "The server could not carry out the request."
        )

    def test_a_default_of_a_nearer_class_goes_before_a_given_one_of_a_farther(self):
        problems = ProblemMap().with_({RavenException: 500})
        assert problems.problem_of(ConcurrencyException("x")).status == 409
        assert problems.problem_of(RequestTimeoutException("x")).status == 500

    def test_a_function_says_it_all(self):
        def explain(error):
            return Problem(423, error.code, f"busy: {error.id}", {"X-Id": error.id}) if error.id else None

        problems = ProblemMap().with_({ConcurrencyException: explain})
        problem = problems.problem_of(ConcurrencyException("x", [Conflict("a/1", "5", "6")]), conditional=True)
        assert Problem(423, "ds111", "busy: a/1", {"X-Id": "a/1"}) == problem
        assert problems.problem_of(ConcurrencyException("x")) is None

    def test_none_leaves_an_error_to_the_framework(self):
        assert ProblemMap().with_({NoResultException: None}).problem_of(NoResultException("x")) is None

    def test_another_status_of_a_conflict_holds_for_conditional_requests(self):
        problems = ProblemMap().with_({ConcurrencyException: 422})
        assert problems.problem_of(ConcurrencyException("x"), conditional=True).status == 422
        again = problems.with_({ConcurrencyException: 409})
        assert again.problem_of(ConcurrencyException("x"), conditional=True).status == 412

    def test_retry_after_goes_with_a_status_that_invites_to_try_again(self):
        problems = ProblemMap().with_({PoolTimeoutException: 429, TransactionRetryException: 409})
        assert dict(problems.problem_of(PoolTimeoutException("x")).headers) == {"Retry-After": "5"}
        assert dict(problems.problem_of(TransactionRetryException("x")).headers) == {}

    def test_a_map_is_a_value(self):
        first = ProblemMap()
        first.with_({NoResultException: 410})
        assert first.problem_of(NoResultException("x")).status == 404

    @pytest.mark.parametrize(
        "answers",
        [{ValueError: 409}, {"NoResultException": 404}, {NoResultException: "404"}, {NoResultException: 200}],
        ids=str,
    )
    def test_what_cannot_be_an_answer_is_refused(self, answers):
        with pytest.raises(InvalidArgumentException):
            ProblemMap().with_(answers)

    def test_wrong_types_are_type_errors(self):
        with pytest.raises(InvalidArgumentTypeException, match="DocSessionError"):
            ProblemMap().with_({ValueError: 409})

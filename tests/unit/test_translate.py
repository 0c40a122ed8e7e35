import psycopg
import pytest
from psycopg import errors

from docsession._errors import (
    AuthenticationException,
    ConnectionFailedException,
    ConnectionLostException,
    DatabaseDoesNotExistException,
    ForeignKeyViolation,
    PermissionDeniedException,
    PoolTimeoutException,
    RavenException,
    RequestTimeoutException,
    TableDoesNotExistException,
    TransactionRetryException,
    UniqueConstraintViolation,
    UnknownOutcomeException,
    _GuardFailed,
)
from docsession._executors._translate import (
    TooManyConnectionsException,
    translate,
    translate_connect,
    translate_lost,
    translate_streamed,
    without_secrets,
)
from docsession._executors._wire import LinkLostError

PLACE = "db:5432, database 'shop'"


class TestRefusedStatements:
    @pytest.mark.parametrize(
        ("error", "expected", "retryable"),
        [
            (errors.SerializationFailure, TransactionRetryException, True),
            (errors.DeadlockDetected, TransactionRetryException, True),
            (errors.InvalidPassword, AuthenticationException, False),
            (errors.InvalidAuthorizationSpecification, AuthenticationException, False),
            (errors.InvalidCatalogName, DatabaseDoesNotExistException, False),
            (errors.UndefinedTable, TableDoesNotExistException, False),
            (errors.InvalidSchemaName, TableDoesNotExistException, False),
            (errors.InsufficientPrivilege, PermissionDeniedException, False),
            (errors.QueryCanceled, RequestTimeoutException, False),
            (errors.LockNotAvailable, RequestTimeoutException, True),
            (errors.IdleInTransactionSessionTimeout, RequestTimeoutException, False),
            (errors.TransactionResolutionUnknown, ConnectionLostException, False),
            (errors.ProtocolViolation, ConnectionLostException, False),
            (errors.ConnectionFailure, ConnectionLostException, True),
            (errors.DatabaseDropped, ConnectionLostException, False),
            (errors.DiskFull, RavenException, True),
            (errors.TooManyConnections, RavenException, True),
            (errors.AdminShutdown, ConnectionLostException, True),
            (errors.UniqueViolation, UniqueConstraintViolation, False),
            (errors.ForeignKeyViolation, ForeignKeyViolation, False),
        ],
    )
    def test_a_sqlstate_has_its_class_and_says_whether_to_retry(self, error, expected, retryable):
        translated = translate(error("what happened"))
        assert type(translated) is expected
        assert translated.sqlstate == error.sqlstate
        assert translated.retryable is retryable
        assert "what happened" in str(translated)
        assert error.sqlstate in str(translated)

    def test_those_to_be_retried_are_these_and_no_others(self):
        """Asked of every SQLSTATE that psycopg knows: the transaction is gone, and another try may succeed."""
        known = {
            value.sqlstate: value
            for value in vars(errors).values()
            if isinstance(value, type) and issubclass(value, psycopg.Error) and value.sqlstate
        }
        retried = {state for state, error in known.items() if translate(error("what happened")).retryable}
        resources = {state for state in known if state.startswith("53")}
        links = {"08000", "08001", "08003", "08004", "08006", "57P01", "57P02", "57P03", "57P05"}
        assert retried == resources | links | {"25006", "40001", "40P01", "55P03"}
        assert len(resources) == 5

    def test_a_missing_table_names_the_command(self):
        assert "`docsession upgrade`" in str(translate(errors.UndefinedTable("relation does not exist")))

    @pytest.mark.parametrize(
        ("text", "marker", "found"),
        [
            ('invalid input syntax for type integer: "docsession:conflict 3"', "conflict", 3),
            ("ungültige Eingabesyntax für Typ integer: »docsession:mismatch 0«", "mismatch", 0),
            ('invalid input syntax for type integer: "docsession:catalogue"', "catalogue", None),
        ],
    )
    def test_a_guard_is_told_by_its_marker(self, text, marker, found):
        translated = translate(errors.InvalidTextRepresentation(text))
        assert isinstance(translated, _GuardFailed)
        assert (translated.marker, translated.found, translated.sqlstate) == (marker, found, "22P02")

    def test_the_marker_means_nothing_in_another_error(self):
        assert type(translate(errors.RaiseException("docsession:conflict 3"))) is RavenException

    def test_an_error_without_sqlstate(self):
        translated = translate(psycopg.InterfaceError("odd"))
        assert (type(translated), str(translated), translated.sqlstate) == (RavenException, "odd", None)


class TestLostLinks:
    @staticmethod
    def lost(cause):
        lost = LinkLostError()
        lost.__cause__ = cause
        return lost

    def test_a_lost_write_is_of_unknown_outcome(self):
        translated = translate_lost(self.lost(psycopg.OperationalError("gone.\nprobably")), write=True)
        assert type(translated) is UnknownOutcomeException
        assert "(gone)" in str(translated)
        assert "Call save_changes() again" in str(translated)

    def test_a_lost_read_is_not(self):
        translated = translate_lost(self.lost(errors.AdminShutdown("terminating")), write=False)
        assert type(translated) is ConnectionLostException
        assert translated.sqlstate == "57P01"

    def test_no_cause_at_all(self):
        assert "no answer came" in str(translate_lost(self.lost(None), write=False))

    def test_a_stream_that_broke_and_one_that_was_refused(self):
        assert type(translate_streamed(psycopg.OperationalError("gone"), is_lost=True)) is ConnectionLostException
        assert type(translate_streamed(errors.UndefinedTable("no"), is_lost=False)) is TableDoesNotExistException


class TestRefusedConnections:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('FATAL:  password authentication failed for user "ann"', AuthenticationException),
            ("fe_sendauth: no password supplied", AuthenticationException),
            ('FATAL:  role "ann" does not exist', AuthenticationException),
            ('FATAL:  Peer authentication failed for user "ann"', AuthenticationException),
            ('FATAL:  no pg_hba.conf entry for host "::1", user "ann"', AuthenticationException),
            ('FATAL:  role "ann" is not permitted to log in', AuthenticationException),
            ('FATAL:  database "shop" does not exist', DatabaseDoesNotExistException),
            ('FATAL:  permission denied for database "shop"', PermissionDeniedException),
            ("FATAL:  sorry, too many clients already", TooManyConnectionsException),
            ('FATAL:  too many connections for role "ann"', TooManyConnectionsException),
            ("Connection refused\n\tIs the server running on that host?", ConnectionFailedException),
            ("connection timeout expired", ConnectionFailedException),
            ("FATAL:  the database system is starting up", ConnectionFailedException),
        ],
    )
    def test_libpqs_words_tell_the_reason(self, text, expected):
        translated = translate_connect(psycopg.OperationalError(f"connection failed: {text}"), PLACE)
        assert type(translated) is expected
        assert PLACE in str(translated)

    def test_the_cause_does_not_carry_libpqs_parameters(self):
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect("host=/nonexistent user=ann password=s3cr3t")
        assert caught.value.pgconn is not None
        assert without_secrets(caught.value).pgconn is None
        assert str(without_secrets(caught.value)) == str(caught.value)

    def test_no_connection_left_is_no_pool_timeout(self):
        assert not issubclass(TooManyConnectionsException, PoolTimeoutException)

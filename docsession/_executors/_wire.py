"""The conversation with the server on one connection, written once for both faces.

`Wire.exchange` is a generator in psycopg's manner: it yields where it has to wait for the socket,
and `Connection.wait` or `AsyncConnection.wait` drives it. It speaks to libpq through `psycopg.pq`:
a cursor per statement would cost half as much again as the statement.
"""

from __future__ import annotations

import os
import select
import socket
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from hashlib import blake2b
from time import monotonic
from typing import TypeAlias

import psycopg
from psycopg import capabilities, errors
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.generators import execute, fetch_many, send
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from docsession._executors._adapters import ADAPTERS, encode, oids_of
from docsession._port import Request, Rows, Statement
from docsession._sql._position import POSITION

BINARY = Format.BINARY
TUPLES_OK = ExecStatus.TUPLES_OK
COMMAND_OK = ExecStatus.COMMAND_OK
FATAL_ERROR = ExecStatus.FATAL_ERROR
PIPELINE_SYNC = ExecStatus.PIPELINE_SYNC
PIPELINE_ABORTED = ExecStatus.PIPELINE_ABORTED

BEGIN = Statement(b"BEGIN")
COMMIT = Statement(b"COMMIT")
ROLLBACK = Statement(b"ROLLBACK")
SET_CONFIG = b"SELECT pg_catalog.set_config($1, $2, true)"

WAITS_FOR_STANDBY = "SyncRepWaitForLSN"
"""The server's function that waits, named by the warning about a wait that was cancelled; its text is translated."""

READ_ONLY = "25006"
NAME_TAKEN = "42P05"
CHANGED_TYPES = "0A000"
STATEMENT_LOST = ("26000", CHANGED_TYPES, NAME_TAKEN)
"""A prepared statement is gone (`DISCARD ALL`, a pooler), its columns have other types now, or it is there already."""

MOST_LOSSES = 3
"""How often statements may be lost on one connection before nothing is prepared there any more."""

Key: TypeAlias = tuple[bytes, tuple[type, ...]]
Command: TypeAlias = Key | bytes | None
"""What one command of a pipeline was: preparing (the statement's key), closing (its name), or running."""
Answer: TypeAlias = Sequence[PGresult]
"""What one statement has led to: one result. Several with the first statement of a pipeline after a stream on the same
connection: libpq still hands its rows out in pieces, since it leaves that mode when a statement begins that is no part
of a pipeline, or when a pipeline goes on to its next one."""


class LinkLostError(Exception):
    """The connection broke, and the answer with it; the cause is psycopg's error."""


class Frame:
    """What goes around the statements of a request that is part of a longer transaction.

    Attributes:
        before, after: Statements whose rows nobody wants.
        rescue: Sent where the server refuses one of them all and the transaction has failed by that.
        ends: True where the last statement ends the transaction, so that an answer that is lost leaves the
            outcome unknown.
    """

    __slots__ = ("after", "before", "ends", "rescue")

    def __init__(
        self,
        before: Sequence[Statement],
        after: Sequence[Statement],
        *,
        rescue: bytes | None = None,
        ends: bool = False,
    ) -> None:
        self.before = before
        self.after = after
        self.rescue = rescue
        self.ends = ends


def settings_of(request: Request) -> list[Statement]:
    """Return the statements that give a transaction the request's settings."""
    return [Statement(SET_CONFIG, setting) for setting in request.settings]


class Prepared:
    """Which statements are prepared on a connection, and how often the others were seen.

    Keys are text and parameter types, values the server's names. The least recently used one gives
    way; what is left to close on the server is in `closing`.

    A name is made from its key. Behind a pooler that gives out another server's connection for each
    transaction, a name may be known there that is not known here, and the other way round; it never
    stands for another statement.
    """

    __slots__ = ("_counts", "_gives_up", "_losses", "closing", "limit", "names", "threshold")

    def __init__(self, threshold: int | None, limit: int) -> None:
        self.threshold = threshold
        self.limit = limit
        self.names: OrderedDict[Key, bytes] = OrderedDict()
        self.closing: list[bytes] = []
        self._counts: OrderedDict[Key, int] = OrderedDict()
        self._losses = 0
        self._gives_up = False

    def is_due(self, key: Key) -> bool:
        """Count one more use of *key*, and return True where it is time to prepare it.

        Never a savepoint: where that is what was lost on the server, there is none to go back to.
        """
        if self.threshold is None or self._gives_up or key[0].startswith(b"SAVEPOINT"):
            return False
        counts = self._counts
        seen = counts.get(key, 0)
        if seen >= self.threshold:
            return True
        counts[key] = seen + 1
        if len(counts) > 4 * self.limit:
            counts.popitem(last=False)
        return False

    def add(self, key: Key) -> bytes:
        """Return the name under which *key* is to be prepared."""
        self._counts.pop(key, None)
        self.names[key] = name = statement_name(key)
        if len(self.names) > self.limit:
            self.closing.append(self.names.popitem(last=False)[1])
        return name

    def forget(self) -> None:
        """Start afresh, because the server's statements are not what they were."""
        self.names.clear()

    def lose(self, sqlstate: str | None) -> bool:
        """Start afresh after a refusal for want of a statement, or because it is there already.

        Returns:
            False where that is not the reason. Otherwise the request may be sent once more.
        """
        if sqlstate not in STATEMENT_LOST or (sqlstate != NAME_TAKEN and not self.names):
            return False
        if sqlstate == CHANGED_TYPES or capabilities.has_send_close_prepared():
            # What is there still would be in the way of its own name; closing what is not there is no error.
            self.closing += self.names.values()
        self.forget()
        self._losses += sqlstate != CHANGED_TYPES
        if sqlstate == NAME_TAKEN or self._losses >= MOST_LOSSES:
            # The names of a connection are its own: others use this one too, through a pooler.
            self._gives_up = True
        return True


def statement_name(key: Key) -> bytes:
    """Return the name of a prepared statement, which no other one has."""
    digest = blake2b(key[0], digest_size=12, person=b"docsession")
    digest.update(",".join(map(str, oids_of(key[1]))).encode())
    return b"docsession_" + digest.hexdigest().encode()


class Wire:
    """One connection: what is prepared on it, and how requests and answers cross it.

    Attributes:
        made_at: When, by the monotonic clock.
        is_read_only: True once the server has refused a write, as one that is not the primary any more does.
    """

    __slots__ = ("_is_ended", "_is_unconfirmed", "_pgconn", "_poll", "_prepared", "_rows", "is_read_only", "made_at")

    def __init__(self, pgconn: PGconn, prepare_threshold: int | None, prepared_max: int) -> None:
        self._pgconn = pgconn
        self._prepared = Prepared(prepare_threshold, prepared_max)
        self._rows = Transformer(ADAPTERS)
        self.made_at = monotonic()
        self.is_read_only = False
        self._is_ended = False
        self._is_unconfirmed = False
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        self._poll = poll.poll

    def is_alive(self) -> bool:
        """Return False where the server has ended the connection meanwhile (half a microsecond).

        An idle connection has nothing to read: what there is may be a notice, which is taken, or the end.
        """
        if not self._poll(0):
            return not self._is_ended
        try:
            self._pgconn.consume_input()
            self._pgconn.is_busy()  # has the side effect of reading notices
        except psycopg.Error:
            return False
        return self._pgconn.status != ConnStatus.BAD and not self._is_ended and not self._poll(0)

    def take_notice(self, notice: errors.Diagnostic) -> None:
        """See what the server says on its own: its goodbye comes a moment before it hangs up."""
        if (notice.sqlstate or "").startswith("57P"):
            self._is_ended = True
        elif notice.source_function == WAITS_FOR_STANDBY:
            self._is_unconfirmed = True

    def give_up(self) -> None:
        """Let the connection serve nobody else: a cancel request is on its way, and may come too late for this one."""
        self._is_ended = True

    def pass_on(self, instead: PGconn) -> Wire:
        """Return the conversation for the connection's next user; who still holds this one speaks to *instead*."""
        other = copy(self)
        self._pgconn, self._is_ended = instead, True
        return other

    def cut(self) -> None:
        """Break the connection, from any thread: whoever waits for an answer gets an error."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._pgconn.socket)) as end:
            end.shutdown(socket.SHUT_RDWR)

    def is_clean(self) -> bool:
        """Return True where the connection may serve the next request."""
        pgconn = self._pgconn
        is_idle = pgconn.transaction_status == TransactionStatus.IDLE and pgconn.pipeline_status == PipelineStatus.OFF
        return is_idle and not self._is_ended

    def follow_threshold(self, threshold: int | None) -> None:
        """Prepare statements as the connection's owner has it now, who may change it at any time."""
        prepared = self._prepared
        if threshold != prepared.threshold:
            prepared.threshold = threshold
            if threshold is None:
                prepared.forget()

    def exchange(self, request: Request) -> PQGen[list[Rows]]:
        """Send *request* in one round trip and return each statement's rows.

        Raises:
            psycopg.Error: The server refused a statement, and nothing was done.
            LinkLostError: The connection broke, and what was sent may have been done.
        """
        for _ in range(MOST_LOSSES):
            try:
                return (yield from self._exchange(request))
            except errors.Error as error:
                self.is_read_only |= error.sqlstate == READ_ONLY
                if not self._prepared.lose(error.sqlstate):
                    raise
        return (yield from self._exchange(request))

    def exchange_framed(self, request: Request, frame: Frame) -> PQGen[list[Rows]]:
        """Send *request* as a part of a longer transaction, with what *frame* puts around it, in one round trip.

        Raises:
            psycopg.Error: The server refused a statement; `frame.rescue` was sent.
            LinkLostError: The connection broke.
        """
        was_inside = self.transaction_status != TransactionStatus.IDLE
        for _ in range(MOST_LOSSES):
            try:
                return (yield from self._exchange_framed(request, frame))
            except errors.Error as error:
                self.is_read_only |= error.sqlstate == READ_ONLY
                if not self._prepared.lose(error.sqlstate):
                    raise
                status = self.transaction_status
                if status == TransactionStatus.INERROR or (was_inside and status == TransactionStatus.IDLE):
                    raise  # there was no savepoint to go back to, and the rest alone is not the transaction
        return (yield from self._exchange_framed(request, frame))

    def _exchange_framed(self, request: Request, frame: Frame) -> PQGen[list[Rows]]:
        encoded = _encode((*frame.before, *request.statements, *frame.after))
        request.sent += 1
        self._is_unconfirmed = False
        end = request if frame.ends else None
        try:
            results = yield from self._pipeline(encoded, end)
        except psycopg.Error:
            if frame.rescue is not None:
                yield from self._roll_back(frame.rescue)
            raise
        if frame.ends and results[-1][-1].command_status == b"ROLLBACK" and frame.after[-1] is COMMIT:
            raise errors.InFailedSqlTransaction("COMMIT was answered with ROLLBACK")
        request.unconfirmed = self._is_unconfirmed
        first = len(frame.before)
        return [self._load(result) for result in results[first : first + len(request.statements)]]

    @property
    def transaction_status(self) -> TransactionStatus:
        """Where the connection stands in a transaction."""
        return TransactionStatus(self._pgconn.transaction_status)

    def _exchange(self, request: Request) -> PQGen[list[Rows]]:
        statements = request.statements
        is_transaction = request.transaction or bool(request.settings) or request.wants_position
        if is_transaction:
            statements = (BEGIN, *settings_of(request), *statements, COMMIT)
        encoded = _encode(statements)
        if len(encoded) == 1:
            key, params = encoded[0]
            name = self._prepared.names.get(key)
            if name is not None or not self._prepared.is_due(key):
                request.sent += 1
                return [self._load((yield from self._single(name, key, params)))]
        request.sent += 1
        self._is_unconfirmed = False
        try:
            # A read that loses its commit has lost nothing.
            results = yield from self._pipeline(encoded, request if is_transaction and request.write else None)
        except psycopg.Error:
            yield from self._roll_back(ROLLBACK.sql)
            raise
        if is_transaction:
            if results[-1][-1].command_status != b"COMMIT":
                raise errors.InFailedSqlTransaction("COMMIT was answered with ROLLBACK")
            request.unconfirmed = self._is_unconfirmed
            results = results[1 + len(request.settings) : -1]
        return [self._load(result) for result in results]

    def _single(self, name: bytes | None, key: Key, params: list[bytes | None]) -> PQGen[Answer]:
        """Run one statement by itself."""
        pgconn = self._pgconn
        formats = [BINARY] * len(params)
        results: list[PGresult]
        try:
            if name is not None:
                self._prepared.names.move_to_end(key)
                pgconn.send_query_prepared(name, params, formats, BINARY)
            else:
                pgconn.send_query_params(key[0], params, oids_of(key[1]), formats, BINARY)
            results = yield from execute(pgconn)
        except psycopg.OperationalError as error:
            raise LinkLostError from error
        # There may be two: the statement's, and the refusal of the commit that follows it.
        for result in results:
            if result.status == FATAL_ERROR:
                raise _refusal(result, is_before_commit=False)
        return results[:1]

    def _pipeline(
        self, encoded: Sequence[tuple[Key, list[bytes | None]]], ended: Request | None
    ) -> PQGen[list[Answer]]:
        """Run several statements, or one that is prepared on the way, before one synchronisation point.

        *ended* is the request whose transaction the last statement ends, if it does.
        """
        pgconn = self._pgconn
        commands: list[Command] = []
        answers: list[Answer] = []
        lost: psycopg.Error | None = None
        try:
            pgconn.enter_pipeline_mode()
            self._send(encoded, commands)
            if ended is not None and ended.wants_position:
                pgconn.send_query_params(POSITION, None, result_format=BINARY)
            pgconn.pipeline_sync()
            yield from send(pgconn)
            while True:
                results = yield from fetch_many(pgconn)
                if not results:
                    break
                if results[0].status == PIPELINE_SYNC:
                    pgconn.exit_pipeline_mode()
                    break
                answers.append(results)
        except psycopg.OperationalError as error:
            lost = error
        failed = next((i for i, answer in enumerate(answers) if answer[-1].status == FATAL_ERROR), len(answers))
        commit = len(commands) - 1
        # An acknowledged commit is one, whatever became of the connection afterwards.
        if ended is not None and failed > commit:
            ended.position = _number(answers[commit + 1 :])
        else:
            if failed < len(answers):
                self._settle(commands, answers)
                raise _refusal(answers[failed][-1], is_before_commit=ended is not None and failed < commit)
            if lost is not None or len(answers) < len(commands):
                raise LinkLostError from lost
        return [answer for answer, command in zip(answers, commands, strict=False) if command is None]

    def _send(self, encoded: Sequence[tuple[Key, list[bytes | None]]], commands: list[Command]) -> None:
        """Hand every statement to libpq, preparing those that are used often."""
        pgconn = self._pgconn
        prepared = self._prepared
        names = prepared.names
        for key, params in encoded:
            formats = [BINARY] * len(params)
            name = names.get(key)
            if name is not None:
                names.move_to_end(key)
            elif prepared.is_due(key):
                name = prepared.add(key)
                while prepared.closing:
                    commands.append(closed := prepared.closing.pop())
                    if capabilities.has_send_close_prepared():
                        pgconn.send_close_prepared(closed)
                    else:
                        pgconn.send_query_params(b"DEALLOCATE " + closed, None)
                commands.append(key)
                pgconn.send_prepare(name, key[0], oids_of(key[1]))
            if name is not None:
                pgconn.send_query_prepared(name, params, formats, BINARY)
            else:
                pgconn.send_query_params(key[0], params, oids_of(key[1]), formats, BINARY)
            commands.append(None)

    def _settle(self, commands: Sequence[Command], answers: Sequence[Answer]) -> None:
        """After a refusal, put right what was not prepared or closed because of it."""
        for command, answer in zip(commands, answers, strict=False):
            if isinstance(command, tuple) and answer[-1].status != COMMAND_OK:
                self._prepared.names.pop(command, None)
            elif isinstance(command, bytes) and answer[-1].status == PIPELINE_ABORTED:
                self._prepared.closing.append(command)

    def _roll_back(self, command: bytes) -> PQGen[None]:
        """Leave what has failed by *command*; a connection that cannot is not clean and is given up."""
        pgconn = self._pgconn
        if pgconn.transaction_status == TransactionStatus.INERROR and pgconn.pipeline_status == PipelineStatus.OFF:
            try:
                pgconn.send_query(command)
                yield from execute(pgconn)
            except psycopg.OperationalError:
                return

    def _load(self, answer: Answer) -> Rows:
        if answer[-1].status != TUPLES_OK:
            return []
        rows = self._rows
        if len(answer) == 1:
            rows.set_pgresult(answer[0])
            return rows.load_rows(0, answer[0].ntuples, tuple)
        loaded: Rows = []
        for result in answer:
            rows.set_pgresult(result)
            loaded += rows.load_rows(0, result.ntuples, tuple)
        return loaded


def _encode(statements: Sequence[Statement]) -> list[tuple[Key, list[bytes | None]]]:
    """Encode everything before the first byte leaves, so that a value which cannot be sent does no harm."""
    return [((s.sql, tuple(map(type, s.params))), encode(s.params)) for s in statements]


def _number(answers: Sequence[Answer]) -> int | None:
    """Return the number that answers a question after the COMMIT; None where nothing did."""
    if not answers or answers[0][-1].status != TUPLES_OK:
        return None
    value = answers[0][-1].get_value(0, 0)
    return None if value is None else int.from_bytes(value, "big", signed=True)


def _refusal(result: PGresult, *, is_before_commit: bool) -> Exception:
    """Return the error for a failed result.

    It is the server's refusal where that is certain to be all that happened. These are a lost link:
    libpq's own words (no SQLSTATE); a server that ends the connection where a commit may have come
    first; a pooler that does, wherever, since it does not know what the server does meanwhile. (A
    server says where in its source an error comes from, a pooler has nothing to say there.)
    """
    error = errors.error_from_result(result)
    severity = result.error_field(DiagnosticField.SEVERITY_NONLOCALIZED)
    is_of_server = result.error_field(DiagnosticField.SOURCE_FUNCTION) is not None
    if error.sqlstate is not None and (severity == b"ERROR" or (is_before_commit and is_of_server)):
        return error
    lost = LinkLostError(str(error))
    lost.__cause__ = error
    return lost

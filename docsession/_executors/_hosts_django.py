"""Django's connections, and what their `on_commit` tells of transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from docsession._errors import ConnectionFailedException, InvalidArgumentException, InvalidOperationException
from docsession._executors._hosts import check_driver
from docsession._port import Fate, Premise


class _Note:
    """What stands in Django's list of things to do after the commit, for one write.

    Django drops it with the transaction, or the savepoint, that is rolled back.
    """

    __slots__ = ("entry", "wrapper")

    def __init__(self, wrapper: Any, entry: Callable[[], None]) -> None:
        self.wrapper = wrapper
        self.entry = entry

    def is_kept(self) -> bool:
        return any(entry is self.entry for _, entry, *_ in self.wrapper.run_on_commit)


class DjangoHost:
    """`django.db.connection`, or one of `django.db.connections`.

    Attributes:
        name: See `Host`.
        is_async: See `Host`.
    """

    is_async = False
    name = "Django's connection"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        if connection.vendor != "postgresql":
            raise InvalidArgumentException(
                f"documents are stored in PostgreSQL, and the connection {connection.alias!r} of Django leads to "
                f"{connection.vendor!r}: its ENGINE in DATABASES would have to be 'django.db.backends.postgresql'"
            )
        if connection.Database.__name__.partition(".")[0] != "psycopg":
            raise InvalidArgumentException(
                f"a session can join a transaction of psycopg 3 alone, and Django uses "
                f"{connection.Database.__name__!r} here: install psycopg (3), "
                "which Django prefers to psycopg2 where both are there"
            )

    async def driver(self, *, begin: bool) -> Any:
        """See `Host.driver`; Django's atomic() begins with the first statement."""
        del begin
        wrapper = self._wrapper()
        try:
            wrapper.validate_thread_sharing()
            wrapper.validate_no_broken_transaction()
            wrapper.ensure_connection()
        except Exception as error:
            kind = ConnectionFailedException if _is_operational(error) else InvalidOperationException
            raise kind(f"{self.name} cannot be used now; nothing was sent. It says: {error}") from error
        check_driver(wrapper.connection, is_async=False, name=self.name)
        return wrapper.connection

    def watch(self, premise: Premise) -> None:
        """See `Host.watch`; outside atomic(), where Django has no such list, only the server tells."""
        wrapper = self._wrapper()
        if not wrapper.in_atomic_block:
            return

        def docsession_is_committed() -> None:
            premise.fate = Fate.COMMITTED

        wrapper.on_commit(docsession_is_committed, robust=True)
        premise.note = _Note(wrapper, docsession_is_committed)

    def review(self, premises: Iterable[Premise]) -> None:
        """See `Host.review`."""
        for premise in premises:
            if premise.fate is not Fate.OPEN:
                continue
            note = premise.note
            if not isinstance(note, _Note):
                premise.fate = Fate.DOUBTFUL if premise.xid is not None else Fate.OPEN
            elif not note.is_kept():
                # While Django works off its list after a commit, entries leave it before they are called.
                works = note.wrapper.run_commit_hooks_on_set_autocommit_on
                premise.fate = Fate.DOUBTFUL if works and premise.xid is not None else Fate.UNDONE

    def still_in_progress(self, premise: Premise) -> Fate:
        """See `Host.still_in_progress`; an entry that is dropped then was inside a savepoint."""
        note = premise.note
        return Fate.UNDONE if isinstance(note, _Note) and not note.is_kept() else Fate.OPEN

    async def lost(self, driver: Any) -> None:
        """See `Host.lost`; at the end of its request Django then looks whether the connection still serves."""
        wrapper = self._wrapper()
        if wrapper.connection is driver:
            wrapper.errors_occurred = True

    def _wrapper(self) -> Any:
        """Return this thread's connection, where the one that was handed in stands for it."""
        connection = self._connection
        if type(connection).__name__ == "ConnectionProxy":
            return connection._connections[connection._alias]
        return connection


def is_django(given: object) -> bool:
    """Return True for a connection of Django's, or what stands for it."""
    kinds = {(kind.__module__, kind.__name__) for kind in type(given).__mro__}
    return bool(
        kinds
        & {("django.utils.connection", "ConnectionProxy"), ("django.db.backends.base.base", "BaseDatabaseWrapper")}
    )


def _is_operational(error: Exception) -> bool:
    return type(error).__name__ in {"OperationalError", "InterfaceError"}

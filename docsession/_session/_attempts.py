"""Saves of which nobody knows whether they were committed."""

from __future__ import annotations

from collections.abc import Callable

from docsession._sql._flush import Moment, Operation


class Attempt:
    """A flush, or a transaction of several, whose outcome is not known: its connection broke.

    Attributes:
        apply: Makes the session agree that it was committed.
        undo: Makes it agree that it was not, where that takes something.
        xid: PostgreSQL's number of the transaction; None where it is not known.
    """

    __slots__ = ("apply", "moment", "operations", "undo", "xid")

    def __init__(
        self,
        operations: list[Operation],
        moment: Moment,
        apply: Callable[[], None],
        undo: Callable[[], None] | None = None,
        xid: str | None = None,
    ) -> None:
        self.xid = xid
        self.operations = operations
        self.moment = moment
        self.apply = apply
        self.undo = undo

"""Units of work that are tried again: `store.run` and `session.advanced.edit` of both faces, written once."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from docsession._documents._ids import check_id
from docsession._errors import (
    ConcurrencyException,
    DocSessionError,
    DocumentDoesNotExistException,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    UnknownOutcomeException,
)
from docsession._session._context import SessionContext
from docsession._session._core import SessionCore
from docsession._session._editing import adopt_edited, check_editable

T = TypeVar("T")

RUN_ATTEMPTS: Final = 3
EDIT_ATTEMPTS: Final = 10
FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 2.0


class Session(Protocol):
    """What both faces call a session."""

    @property
    def _core(self) -> SessionCore: ...


S = TypeVar("S", bound=Session)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often something is tried, and how long to wait between two tries.

    Attributes:
        attempts: How often at most.
        first: Seconds to wait at most before the second try; twice as long before each further one.
        longest: Seconds to wait at most before any.
    """

    attempts: int
    first: float = FIRST_WAIT
    longest: float = LONGEST_WAIT

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise InvalidArgumentException(f"attempts is a number of 1 or more, not {self.attempts!r:.60}")
        for name, value in (("backoff", self.first), ("max_backoff", self.longest)):
            if type(value) not in {int, float} or not 0 <= value < 86_400:
                raise InvalidArgumentException(f"{name} is a number of seconds, 0 or more, not {value!r:.60}")

    def wait(self, tries: int) -> float:
        """Return how long to wait after *tries*: anything up to the bound, so that competitors do not meet again."""
        return random.uniform(0, min(self.longest, self.first * 2 ** min(tries - 1, 30)))  # noqa: S311  # no secret


class Waiting(Protocol):
    """How a face waits, and calls what its user gave it."""

    async def pause(self, seconds: float) -> None:
        """Wait."""
        ...

    async def call(self, fn: Callable[[Any], Any], argument: object) -> Any:
        """Return what *fn* returns, awaited where the face awaits."""
        ...


class BlockingWaiting:
    """See `Waiting`."""

    async def pause(self, seconds: float) -> None:
        """See `Waiting.pause`."""
        time.sleep(seconds)  # noqa: ASYNC251  # the blocking face never suspends

    async def call(self, fn: Callable[[Any], Any], argument: object) -> Any:
        """See `Waiting.call`."""
        result = fn(argument)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise InvalidArgumentTypeException(
                "this store blocks, and the function that it was given is to be awaited; give it a plain one, or use "
                "AsyncDocumentStore"
            )
        return result


class AsyncWaiting:
    """See `Waiting`."""

    async def pause(self, seconds: float) -> None:
        """See `Waiting.pause`."""
        await asyncio.sleep(seconds)

    async def call(self, fn: Callable[[Any], Any], argument: object) -> Any:
        """See `Waiting.call`."""
        result = fn(argument)
        return await result if inspect.isawaitable(result) else result


async def run_unit(open_session: Callable[[], S], fn: Callable[[S], Any], patience: Patience, waiting: Waiting) -> Any:
    """Run a unit of work, each time in a fresh session, and save it; see `DocumentStore.run`."""
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InvalidArgumentTypeException("store.run() takes a function that does the work, and this one only yields")
    for tries in range(1, patience.attempts + 1):
        session = open_session()
        core = session._core
        # A standby that lags would let it lose again in the same way.
        core.context.reads_latest = tries > 1
        try:
            result = await waiting.call(fn, session)
            await save_unit(core, session, patience, waiting)
        except DocSessionError as error:
            # What was done on somebody else's connection before the error may still be there.
            is_theirs = core.context.joined is not None
            is_last = tries == patience.attempts or is_theirs or not _may_be_repeated(core.context, error)
            await core.abandon()
            if is_last:
                _tell(error, core.context, tries, "store.run()")
                raise
        except BaseException:
            await core.abandon()
            raise
        else:
            await core.close()
            return result
        await waiting.pause(patience.wait(tries))
    raise AssertionError  # the last try returns or raises


async def edit(
    core: SessionCore,
    key: str,
    object_type: type | None,
    fn: Callable[[Any], Any],
    patience: Patience,
    waiting: Waiting,
) -> Any:
    """Load a document, change it and save it, and again where others were faster; see `AdvancedSession.edit`."""
    context = core.context
    context.enter("edit")
    try:
        key = check_id(key)
        await context.settle()
        check_editable(context, key)
        mark = None if context.journal is None else context.journal.mark()
        is_shared = core.transaction_depth > 0 or context.joined is not None
        for tries in range(1, patience.attempts + 1):
            beside = core.fork()
            session: Any = type(context.session)(beside)  # type: ignore[call-arg]  # a face takes a context
            try:
                entity = await _load(session._core, key, object_type)
                with context.guard.outside("the function given to edit()"):
                    result = await waiting.call(fn, entity)
                if result is not None and result is not entity:
                    _check_replacement(entity, result)
                    session._core.replace(entity, result)
                await save_unit(session._core, session, patience, waiting)
                context.has_committed |= beside.has_committed
                return adopt_edited(context, beside, key, mark)
            except DocSessionError as error:
                is_repeated = _may_be_repeated(beside, error)
                if is_shared:
                    # A refused save has left the transaction as it was. The next try sees more, unless the transaction
                    # always sees what was committed when it began.
                    is_repeated &= isinstance(error, ConcurrencyException) and not context.is_of_one_moment
                if tries == patience.attempts or not is_repeated:
                    _tell(error, beside, tries, "edit()")
                    raise
            finally:
                await session._core.dispose()
            await waiting.pause(patience.wait(tries))
        raise AssertionError  # the last try returns or raises
    finally:
        context.leave()


async def save_unit(core: SessionCore, session: object, patience: Patience, waiting: Waiting) -> None:
    """Save, and end what transaction is open; where the answer is lost, ask the server until it is known.

    A session that has lost an answer is the only one that can tell whether its work is done, so nothing
    is begun anew before it does.
    """
    context = core.context
    if context.no_tracking:
        return
    for tries in range(1, patience.attempts + 1):
        try:
            await core.save_changes(session)
            await core.end_transaction(1, failed=False)
        except DocSessionError as error:
            is_conflict = isinstance(error, ConcurrencyException)
            may_pass = error.retryable or isinstance(error, UnknownOutcomeException)
            if not _is_in_doubt(context) or is_conflict or not may_pass or tries == patience.attempts:
                raise
        else:
            return
        await waiting.pause(patience.wait(tries))


async def _load(core: SessionCore, key: str, object_type: type | None) -> object:
    entity = await core.loads.load(key, object_type)
    if entity is None:
        raise DocumentDoesNotExistException(f"there is no document {key!r} that could be edited")
    return entity


def _check_replacement(entity: object, result: object) -> None:
    if type(result) is not type(entity):
        raise InvalidArgumentTypeException(
            "the function given to edit() changes the entity in place and returns nothing, or returns another "
            f"{type(entity).__qualname__} to be saved in its stead, not {type(result).__qualname__} ({result!r:.60}); "
            "nothing was saved"
        )


def _is_in_doubt(context: SessionContext) -> bool:
    """Return True where a save was sent whose answer never came, and the session has not found out about it."""
    return context.unknown or bool(context.attempts)


def _may_be_repeated(context: SessionContext, error: DocSessionError) -> bool:
    """Return True where nothing of the work is left in the database, and another try may succeed."""
    if context.has_committed or _is_in_doubt(context):
        return False
    return error.retryable or isinstance(error, ConcurrencyException)


def _tell(error: DocSessionError, context: SessionContext, tries: int, what: str) -> None:
    """Say with *error* how often it was tried, and why no further time."""
    if _is_in_doubt(context) or isinstance(error, UnknownOutcomeException):
        error.add_note(
            f"{what} does not repeat the work, since it may be committed: the connection broke before the answer came. "
            "Look whether it is there before you run it again."
        )
    elif context.has_committed and (error.retryable or isinstance(error, ConcurrencyException)):
        error.add_note(f"{what} does not repeat the work, since an earlier save_changes() of it is committed.")
    elif tries > 1:
        error.add_note(f"{what} has tried it {tries} times.")

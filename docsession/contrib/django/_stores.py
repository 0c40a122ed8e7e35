"""The stores of a process: a blocking one for each name, an async one for each name and event loop."""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.base import NO_DB_ALIAS

from docsession._errors import DocSessionError, InvalidOperationException
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._store import DocumentStore
from docsession.contrib._http import ProblemMap, StoreSettings, watch_requests
from docsession.contrib.django._settings import DjangoSettings, read_problems, read_settings

_http_logger: Final = logging.getLogger("docsession.http")

Store = TypeVar("Store", DocumentStore, AsyncDocumentStore)


class _OfLoop:
    """The async stores of one event loop, which closes them when it shuts down.

    Django has no event for that. What every loop does at its end is to close the asynchronous generators that are still
    being iterated, and one of these closes the stores.
    """

    def __init__(self) -> None:
        self.stores: dict[str, tuple[StoreSettings, AsyncDocumentStore]] = {}
        self.retired: list[AsyncDocumentStore] = []
        self._keeper = self._close_at_the_end()
        # It comes to its `yield` without waiting for anything; from then on the loop knows it.
        with suppress(StopIteration):
            self._keeper.asend(None).send(None)

    def abandon(self) -> None:
        """Close what is left of a loop that was closed without having been shut down."""
        if self.stores or self.retired:
            asyncio.run(self._close())

    async def _close_at_the_end(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self._close()

    async def _close(self) -> None:
        for store in [*self.retired, *(store for _, store in self.stores.values())]:
            with suppress(DocSessionError):
                await store.close()
        self.retired.clear()
        self.stores.clear()


class Stores:
    """Makes the stores on first use, and anew where the settings or Django's connection lead elsewhere by now."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._known: dict[str, DjangoSettings] | None = None
        self._problems = ProblemMap()
        self._places: dict[str, tuple[object, StoreSettings]] = {}
        self._blocking: dict[str, tuple[StoreSettings, DocumentStore]] = {}
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = WeakKeyDictionary()

    def all_settings(self) -> Mapping[str, DjangoSettings]:
        """Return what the settings say about each store.

        Raises:
            ImproperlyConfigured: They say something that cannot be.
        """
        with self._lock:
            if self._known is None:
                known = read_settings()
                self._problems = read_problems(known)
                self._known = known
            return self._known

    def problems(self) -> ProblemMap:
        """Return how errors become answers."""
        self.all_settings()
        return self._problems

    def settings_of(self, name: str) -> DjangoSettings:
        """Return what the settings say about the store *name*.

        Raises:
            ImproperlyConfigured: There is no such store.
        """
        known = self.all_settings()
        if name not in known:
            raise ImproperlyConfigured(
                f"there is no store {name!r} in DOCSESSION; there are: {', '.join(map(repr, known))}"
            )
        return known[name]

    def _placed(self, name: str) -> StoreSettings:
        """Return the settings of a store with its place, the same ones while nothing has changed."""
        settings = self.settings_of(name)
        place = settings.place()
        known = self._places.get(name)
        if known is None or known[0] != place:
            known = self._places[name] = (place, settings.placed())
        return known[1]

    def blocking(self, name: str) -> DocumentStore:
        """Return the blocking store *name*."""
        placed = self._placed(name)
        with self._lock:
            found = self._blocking.get(name)
            if found is not None and _is_same(found[0], placed) and not found[1].disposed:
                return found[1]
            store = _watched(placed.store())
            self._blocking[name] = (placed, store)
        if found is not None:
            found[1].close()
        return store

    def asynchronous(self, name: str) -> AsyncDocumentStore:
        """Return the async store *name* of the event loop that runs.

        Raises:
            InvalidOperationException: None runs.
        """
        placed = self._placed(name)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise InvalidOperationException(
                "an async session is for async views and other coroutines, and no event loop runs here: "
                "use get_session()"
            ) from error
        with self._lock:
            here = self._of_loops.get(loop)
            if here is None:
                here = self._of_loops[loop] = _OfLoop()
        found = here.stores.get(name)
        if found is not None:
            if _is_same(found[0], placed) and not found[1].disposed:
                return found[1]
            here.retired.append(found[1])
        store = _watched(placed.async_store())
        here.stores[name] = (placed, store)
        return store

    def forget_settings(self) -> None:
        """Read the settings again at the next use."""
        with self._lock:
            self._known = None
            self._places.clear()

    def close(self) -> None:
        """Close the blocking stores, and async ones that an event loop has left; the next use makes new ones."""
        with self._lock:
            stores = [store for _, store in self._blocking.values()]
            self._blocking.clear()
            ended = [self._of_loops.pop(loop) for loop in list(self._of_loops) if loop.is_closed()]
        for store in stores:
            with suppress(DocSessionError):
                store.close()
        for left in ended:
            left.abandon()


def _is_same(known: StoreSettings, wanted: StoreSettings) -> bool:
    return known is wanted or known == wanted


def _watched(store: Store) -> Store:
    """Let a store count the requests of each HTTP request, where somebody looks at the numbers."""
    if settings.DEBUG or _http_logger.isEnabledFor(logging.INFO):
        watch_requests(store)
    return store


STORES: Final = Stores()


@atexit.register
def _close_at_exit() -> None:
    STORES.close()


def get_store(name: str = DEFAULT_DB_ALIAS) -> DocumentStore:
    """Return the blocking store that `DOCSESSION` describes: one for the process, made on first use.

    It has connections of its own beside Django's, for ranges of ids and for tables; what sessions of the store itself
    do (`get_store().open_session()`) is no part of Django's transactions.

    Args:
        name: One of several stores.

    Raises:
        ImproperlyConfigured: The settings say something that cannot be, or there is no such store.
    """
    return STORES.blocking(name)


def get_async_store(name: str = DEFAULT_DB_ALIAS) -> AsyncDocumentStore:
    """Return the async store that `DOCSESSION` describes: one for each event loop, which closes it at its end.

    Args:
        name: One of several stores.

    Raises:
        ImproperlyConfigured: The settings say something that cannot be, or there is no such store.
        InvalidOperationException: No event loop runs.
    """
    return STORES.asynchronous(name)


def on_setting_changed(*, setting: str, **_: Any) -> None:
    """Follow `override_settings` and its like."""
    if setting in {"DOCSESSION", "DATABASES"}:
        STORES.forget_settings()


def on_connection_created(*, connection: Any, **_: Any) -> None:
    """Let go of a database that is about to be dropped: only who makes or drops one connects to none."""
    if connection.alias == NO_DB_ALIAS:
        STORES.close()

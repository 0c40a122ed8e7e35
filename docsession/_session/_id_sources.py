"""The ids that `store` gives: numbers of ranges, which are taken on the connection apart from the pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from typing_extensions import override

from docsession._conventions import DocumentConventions
from docsession._documents._ids import HiLoGenerator, time_ordered_id
from docsession._documents._mapping import DocumentMapping
from docsession._errors import TableDoesNotExistException
from docsession._port import Request
from docsession._session._beside import Beside
from docsession._sql._catalogue import SystemStatements


class IdSource(Protocol):
    """Where new ids of one database come from."""

    def spare(self, mapping: DocumentMapping[Any]) -> str | None:
        """Return a new id that is at hand, None where the server has to be asked first."""

    async def next(self, mapping: DocumentMapping[Any]) -> str:
        """Return a new id."""

    async def give_back(self) -> None:
        """Give back the numbers that nobody used."""

    def forget(self) -> None:
        """Forget all numbers: the database was dropped."""


class IdRanges(IdSource):
    """Numbered ids, of ranges that no other process has."""

    def __init__(
        self,
        beside: Beside,
        statements: SystemStatements,
        conventions: DocumentConventions,
        make_missing: Callable[[TableDoesNotExistException], Awaitable[None]],
    ) -> None:
        self._beside = beside
        self._statements = statements
        self._conventions = conventions
        self._make_missing = make_missing
        self._generators: dict[str, HiLoGenerator] = {}

    @override
    def spare(self, mapping: DocumentMapping[Any]) -> str | None:
        generator = self._generators.get(mapping.collection)
        return None if generator is None else generator.next_id()

    @override
    async def next(self, mapping: DocumentMapping[Any]) -> str:
        generator = self._generators.get(mapping.collection)
        if generator is None:
            conventions = self._conventions
            made = HiLoGenerator(mapping.id_prefix, conventions.identity_parts_separator, conventions.node_tag)
            generator = self._generators.setdefault(mapping.collection, made)
        key = generator.next_id()
        while key is None:
            key = await self._take_range(mapping.collection, generator) or generator.next_id()
        return key

    async def _take_range(self, collection: str, generator: HiLoGenerator) -> str | None:
        taken: list[str] = []
        size = generator.wanted()
        request = Request([self._statements.take_range(collection, size)], write=True)
        request.collections = (collection,)

        def unless_somebody_did() -> Request | None:
            # Called when nobody else is taking a range, so that those who waited share the last one.
            nonlocal size
            key = generator.next_id()
            if key is not None:
                taken.append(key)
                return None
            size = generator.wanted()
            request.statements = [self._statements.take_range(collection, size)]
            return request

        try:
            answer = await self._beside.run_apart(
                "take_ids", request, unless_somebody_did, answers=(TableDoesNotExistException,)
            )
        except TableDoesNotExistException as error:
            await self._make_missing(error)
            return None
        if taken:
            return taken[0]
        high = answer[0][0][0]
        generator.add_range(high - size + 1, high)
        return None

    @override
    async def give_back(self) -> None:
        """Give back the numbers that nobody used, where no other process has taken a later range."""
        for collection, generator in self._generators.items():
            unused = generator.unused()
            if unused is not None:
                back = self._statements.give_back_range(collection, unused.low - 1, unused.high)
                request = Request([back], write=True)
                request.collections = (collection,)
                await self._beside.run_apart("give_back_ids", request, again=False)

    @override
    def forget(self) -> None:
        self._generators = {}


class TimeOrderedIds(IdSource):
    """Ids that are not numbered but ordered by time, which nobody has to be asked for."""

    def __init__(self, separator: str) -> None:
        self._separator = separator

    @override
    def spare(self, mapping: DocumentMapping[Any]) -> str | None:
        return time_ordered_id(mapping.id_prefix + self._separator)

    @override
    async def next(self, mapping: DocumentMapping[Any]) -> str:
        return time_ordered_id(mapping.id_prefix + self._separator)

    @override
    async def give_back(self) -> None:
        """There are none."""

    @override
    def forget(self) -> None:
        """There are none."""

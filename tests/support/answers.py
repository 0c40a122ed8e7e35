"""Between a store and its executor: answers to writes are lost as told, and others act meanwhile."""

import contextlib

from docsession import ConnectionFailedException, ConnectionLostException, RavenException, UnknownOutcomeException


class Answers:
    """What becomes of the next writes of a store, and of the next reads.

    A write that is told of in `writes` is "lost" (done, but its answer never came), "late" (on its way
    until `land`), or "unsent"; a read in `reads` is "lost". None lets it pass.
    `meanwhile` is awaited before the next request, `before_write` before the next write, once each.
    """

    def __init__(self, store):
        executor = store._start()
        self._run = executor.run
        executor.run = self.run
        self.writes = []
        self.reads = []
        self.meanwhile = None
        self.before_write = None
        self._under_way = []

    async def run(self, request):
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        if request.write and self.before_write is not None:
            act, self.before_write = self.before_write, None
            await act()
        told = self.writes if request.write else self.reads
        fate = told.pop(0) if told else None
        if fate == "unsent":
            raise ConnectionFailedException("nothing was sent")
        if fate is not None and not request.write:
            raise ConnectionLostException("cut")
        if fate is None:
            return await self._run(request)
        request.sent = True
        self._under_way.append(request)
        if fate == "lost":
            await self.land()
        raise UnknownOutcomeException("save_changes: cut")

    async def land(self):
        """Let the server do what is under way; nobody hears of it."""
        while self._under_way:
            with contextlib.suppress(RavenException):
                await self._run(self._under_way.pop(0))

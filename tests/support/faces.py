"""One test, both faces: the blocking store behind the async one's words.

A test is written as `async def` against `AsyncDocumentStore`. `Blocking` wraps the blocking classes so
that whatever is awaited there can be awaited here, and nothing else changes.
"""

import inspect

import docsession

PAIRS = {
    docsession.DocumentStore: docsession.AsyncDocumentStore,
    docsession.DocumentSession: docsession.AsyncDocumentSession,
    docsession.AdvancedSession: docsession.AsyncAdvancedSession,
    docsession.LoaderWithInclude: docsession.AsyncLoaderWithInclude,
    docsession.Maintenance: docsession.AsyncMaintenance,
    docsession.ClusterTransactionOperations: docsession.AsyncClusterTransactionOperations,
    docsession.LazyClusterTransactionOperations: docsession.AsyncLazyClusterTransactionOperations,
    docsession.EagerSessionOperations: docsession.AsyncEagerSessionOperations,
    docsession.OperationExecutor: docsession.AsyncOperationExecutor,
    docsession.Lazy: docsession.AsyncLazy,
    docsession.DocumentQuery: docsession.AsyncDocumentQuery,
    docsession.RawDocumentQuery: docsession.AsyncRawDocumentQuery,
    docsession.LazySessionOperations: docsession.AsyncLazySessionOperations,
    docsession.LazyLoaderWithInclude: docsession.AsyncLazyLoaderWithInclude,
    docsession.Batch: docsession.AsyncBatch,
    docsession.GroupByDocumentQuery: docsession.GroupByDocumentQuery,
    docsession.ReturningQuery: docsession.AsyncReturningQuery,
    docsession.SessionTransaction: docsession.AsyncSessionTransaction,
}


class Blocking:
    """A blocking object under the signatures of its async twin."""

    def __init__(self, wrapped):
        object.__setattr__(self, "wrapped", wrapped)

    def __getattr__(self, name):
        twin = getattr(PAIRS[type(self.wrapped)], name, None)
        if isinstance(twin, property) and str(twin.fget.__annotations__["return"]).startswith("Awaitable"):
            return _awaited_property(self.wrapped, name)
        value = getattr(self.wrapped, name)
        if inspect.iscoroutinefunction(twin):

            async def awaited(*args, **kwargs):
                return _wrap(value(*args, **kwargs))

            return awaited
        if inspect.ismethod(value):
            return lambda *args, **kwargs: _wrap(value(*args, **kwargs))
        return _wrap(value)

    def __setattr__(self, name, value):
        setattr(self.wrapped, name, value)

    async def __aenter__(self):
        return _wrap(self.wrapped.__enter__())

    async def __aexit__(self, *error):
        return self.wrapped.__exit__(*error)


async def _awaited_property(wrapped, name):
    return _wrap(getattr(wrapped, name))


def _wrap(value):
    return Blocking(value) if type(value) in PAIRS else value


class BlockingArgs:
    """What a handler is given, with its session wrapped."""

    def __init__(self, args):
        self.given = args

    def __getattr__(self, name):
        return _wrap(getattr(self.given, name))


class Face:
    """Makes stores of one face."""

    def __init__(self, name):
        self.name = name
        self.is_async = name == "async"

    def __repr__(self):
        return self.name

    def handler(self, function):
        """Make a handler of the face of a coroutine function written for the async one."""
        if self.is_async:
            return function

        def plain(*args):
            coroutine = function(*map(BlockingArgs, args))
            try:
                coroutine.send(None)
            except StopIteration:
                return
            raise AssertionError("it waits for something")

        return plain

    def store(self, *args, **kwargs):
        if self.is_async:
            return docsession.AsyncDocumentStore(*args, **kwargs)
        return Blocking(docsession.DocumentStore(*args, **kwargs))


async def run_and_close(coroutine, stores):
    """Run a test and close the stores that it used, on the same event loop."""
    try:
        await coroutine
    finally:
        for store in stores:
            await store.close()

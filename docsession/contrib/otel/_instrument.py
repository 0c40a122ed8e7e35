"""Lets a store tell OpenTelemetry of its requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Final
from weakref import WeakSet

from docsession._errors import InvalidArgumentTypeException, InvalidOperationException, MissingDependencyException
from docsession._faces._async_store import AsyncDocumentStore
from docsession._faces._store import DocumentStore
from docsession._session._event_args import FailedRequestEventArgs, SucceedRequestEventArgs
from docsession._session._requests import call_site

try:
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace import SpanKind, StatusCode, TracerProvider, get_tracer
except ImportError as error:
    raise MissingDependencyException(
        "OpenTelemetry is not installed: pip install 'docsession[otel]', and an SDK with an exporter"
    ) from error

from docsession.contrib.otel._attributes import (
    Attributes,
    Outcome,
    answer_of,
    common_of,
    failure_of,
    name_of,
    request_of,
)

logger: Final = logging.getLogger("docsession.otel")

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.34.0"

_BOUNDARIES: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Seconds; those that the conventions advise."""

_instrumented: Final[WeakSet[DocumentStore | AsyncDocumentStore]] = WeakSet()


def instrument(
    store: DocumentStore | AsyncDocumentStore,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Callable[[], None]:
    """Make a span of each request that *store* and its sessions send, and measure how long it took.

    It holds for sessions that are opened from now on, and at once for ids, tables and maintenance. Names and attributes
    are those of OpenTelemetry's conventions for database clients; none holds a value, an id or SQL.

    Args:
        store: A blocking or an async store.
        tracer_provider: Where spans go; None is the global one.
        meter_provider: Where durations go; None is the global one.

    Returns:
        A function that ends it, for sessions that are opened afterwards.

    Raises:
        InvalidOperationException: The store is instrumented already: each request would have two spans.
        InvalidArgumentTypeException: It is no store.
    """
    given: object = store
    if not isinstance(given, DocumentStore | AsyncDocumentStore):
        raise InvalidArgumentTypeException(f"instrument() takes a store, not {type(given).__qualname__}")
    if store in _instrumented:
        raise InvalidOperationException("this store is instrumented already; call instrument() once for each store")
    reporter = Reporter(tracer_provider, meter_provider)
    store.add_on_succeed_request(reporter.succeeded)
    store.add_on_failed_request(reporter.failed)
    _instrumented.add(store)

    def end() -> None:
        if store in _instrumented:
            _instrumented.discard(store)
            store.remove_on_succeed_request(reporter.succeeded)
            store.remove_on_failed_request(reporter.failed)

    return end


class Reporter:
    """Makes spans and measurements of what a store tells.

    A span is made when its request is over, with the time at which it began: there is none to be left open by a stream
    that nobody reads to its end.
    """

    __slots__ = ("_durations", "_tracer")

    def __init__(self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
        number = version("docsession")
        self._tracer = get_tracer("docsession", number, tracer_provider, _SCHEMA)
        meter = get_meter("docsession", number, meter_provider, _SCHEMA)
        self._durations = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "Duration of requests to the database.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )

    def succeeded(self, args: SucceedRequestEventArgs) -> None:
        """Report a request that was answered."""
        self._report(args, common_of(args), answer_of(args), StatusCode.UNSET)

    def failed(self, args: FailedRequestEventArgs) -> None:
        """Report a request that failed."""
        self._report(args, {**common_of(args), **failure_of(args.exception)}, {}, StatusCode.ERROR)

    def _report(self, args: Outcome, common: Attributes, more: Attributes, status: StatusCode) -> None:
        """Report; what telemetry raises is no business of the session, and a save is saved without it."""
        ended = time.time_ns()
        try:
            self._durations.record(args.seconds, common)
            span = self._tracer.start_span(
                name_of(args),
                kind=SpanKind.CLIENT,
                attributes={**common, **more, **request_of(args, call_site(args.request.operation))},
                start_time=ended - int(args.seconds * 1e9),
            )
            if status is StatusCode.ERROR:
                span.set_status(status)
            span.end(ended)
        except Exception as error:
            logger.warning("a request could not be reported to OpenTelemetry: %s", type(error).__qualname__)

"""Spans and measurements of the requests to the server."""

import logging
import subprocess
import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from docsession import (
    ConcurrencyException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    OptimisticConcurrencyMode,
    RavenException,
    SessionOptions,
)
from docsession.contrib import otel
from tests.support.documents import change, read, save
from tests.support.events import Entry, User


class Telemetry:
    """A tracer and a meter that keep what they are told."""

    def __init__(self):
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])

    def watch(self, store):
        # Stores of the tests stand before the real ones, to drive both faces alike.
        return otel.instrument(real(store), tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self):
        return self._exporter.get_finished_spans()

    @property
    def points(self):
        data = self._reader.get_metrics_data()
        (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.unit) == ("db.client.operation.duration", "s")
        return metric.data.data_points


def real(store):
    return getattr(store, "wrapped", store)


@pytest.fixture
def telemetry():
    made = Telemetry()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


class TestSpans:
    async def test_each_request_is_a_span(self, store, database, telemetry):
        telemetry.watch(store)
        await save(store, (User("a"), "users/1"), (Entry("b"), "entries/1"))
        assert await read(store, "users/1", User)
        *made, saved, loaded = telemetry.spans
        assert {span.attributes["db.operation.name"] for span in made} == {"read_catalogue", "create_tables"}
        assert {span.status.status_code for span in made} == {StatusCode.UNSET}
        assert (saved.name, loaded.name) == (f"save_changes {database}", "load Users")
        assert (saved.kind, loaded.kind) == (SpanKind.CLIENT, SpanKind.CLIENT)
        expected = {
            "db.system.name": "postgresql",
            "db.operation.name": "load",
            "db.collection.name": "Users",
            "db.response.returned_rows": 1,
            "docsession.documents": 1,
        }
        assert expected.items() <= loaded.attributes.items()
        assert loaded.attributes["db.namespace"].endswith(f"|{database}")
        assert loaded.attributes["docsession.bytes.received"] > 20
        assert loaded.attributes["code.file.path"].endswith(("support/documents.py", "support/faces.py"))
        assert loaded.attributes["code.line.number"] > 1
        assert loaded.status.status_code is StatusCode.UNSET
        assert saved.attributes["docsession.collections"] == ("Entries", "Users")
        assert saved.attributes["docsession.documents"] == 2
        assert saved.attributes["db.operation.batch.size"] > 1
        assert "db.collection.name" not in saved.attributes
        assert loaded.end_time > loaded.start_time > saved.start_time

    async def test_the_end_of_a_transaction_is_one(self, store, telemetry):
        await save(store, (User("a"), "users/1"))
        telemetry.watch(store)
        async with store.open_session() as session:
            await session.advanced.begin()
            (await session.load("users/1", User)).name = "b"
            await session.save_changes()
            await session.advanced.commit()
        assert [span.name for span in telemetry.spans] == ["load Users", "save_changes Users", "commit Users"]

    async def test_ranges_of_ids_and_maintenance_are_too(self, store, database, telemetry):
        await save(store, (User("a"), "users/1"))
        telemetry.watch(store)
        await save(store, User("b"))
        await store.maintenance.get_collection_statistics()
        assert [span.name for span in telemetry.spans] == [
            "take_ids Users",
            "save_changes Users",
            f"read_catalogue {database}",
            "get_collection_statistics Users",
        ]

    async def test_a_span_is_a_child_of_the_one_around_it(self, store, telemetry):
        await save(store, (User("a"), "users/1"))
        telemetry.watch(store)
        with telemetry.tracers.get_tracer("app").start_as_current_span("GET /users/{id}") as outer:
            await read(store, "users/1", User)
        (inner, _) = telemetry.spans
        assert inner.parent == outer.get_span_context()
        assert outer.start_time <= inner.start_time <= inner.end_time <= outer.end_time

    async def test_nothing_that_a_document_holds_is_told(self, store, telemetry):
        telemetry.watch(store)
        await save(store, (User("confidential"), "users/secretkey"))
        async with store.open_session() as session:
            assert await session.query(User).where(lambda user: user.name == "confidential").first()
            with pytest.raises(RavenException, match="confidential"):
                await session.query_sql(User, "SELECT * FROM {table} WHERE 'confidential'::text::int = 1").all()
        shown = "".join(span.to_json() for span in telemetry.spans)
        assert len(telemetry.spans) > 3
        assert "confidential" not in shown
        assert "secretkey" not in shown
        assert "SELECT" not in shown

    async def test_a_refusal_has_the_servers_code(self, store, telemetry):
        await save(store, (User("a"), "users/1"))
        telemetry.watch(store)
        async with store.open_session() as session:
            with pytest.raises(RavenException):
                await session.query_sql(User, "SELECT * FROM {table} WHERE 1 / 0 = 1").all()
        (span,) = telemetry.spans
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert span.events == ()
        assert span.attributes["db.response.status_code"] == "22012"
        assert span.attributes["error.type"] == "docsession.RavenException"

    async def test_a_conflict_is_told_by_its_name(self, store, telemetry):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        options = SessionOptions(optimistic_concurrency_mode=OptimisticConcurrencyMode.WRITES)
        async with store.open_session(session_options=options) as session:
            users = await session.load(["users/1", "users/2"], User)
            await change(store, "users/1", User, name="c")
            for user in users.values():
                user.name = "d"
            telemetry.watch(store)
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        assert telemetry.spans == ()  # sessions that are open already go on as they were
        async with store.open_session(session_options=options) as session:
            users = await session.load(["users/1", "users/2"], User)
            await change(store, "users/1", User, name="e")
            for user in users.values():
                user.name = "f"
            with pytest.raises(ConcurrencyException):
                await session.save_changes()
        refused = [span for span in telemetry.spans if span.status.status_code is StatusCode.ERROR]
        assert [span.attributes["error.type"] for span in refused] == ["docsession.ConcurrencyException"]
        assert "db.response.status_code" not in refused[0].attributes

    async def test_a_stream_is_a_span_when_it_was_read(self, store, face, telemetry):
        await save(store, (User("a"), "users/1"), (User("b"), "users/2"))
        telemetry.watch(store)
        async with store.open_session() as session:
            stream = session.query(User).stream()
            assert len([each async for each in stream] if face.is_async else list(stream)) == 2
        (span,) = telemetry.spans
        assert span.name == "stream Users"
        assert span.attributes["docsession.documents"] == 2


class TestMeasurements:
    async def test_durations_are_told_apart_by_what_was_done(self, store, telemetry):
        await save(store, (User("z"), "users/0"))
        telemetry.watch(store)
        await save(store, (User("a"), "users/1"))
        for _ in range(2):
            await read(store, "users/1", User)
        counts = {
            (point.attributes["db.operation.name"], point.attributes["db.collection.name"]): point.count
            for point in telemetry.points
        }
        assert counts == {("save_changes", "Users"): 1, ("load", "Users"): 2}
        assert all("code.file.path" not in point.attributes for point in telemetry.points)
        assert all(0 < point.sum < 60 for point in telemetry.points)


class TestInstrument:
    async def test_it_ends(self, store, telemetry):
        await save(store, (User("z"), "users/0"))
        end = telemetry.watch(store)
        await save(store, (User("a"), "users/1"))
        end()
        end()
        await read(store, "users/1", User)
        assert len(telemetry.spans) == 1
        telemetry.watch(store)
        await read(store, "users/1", User)
        assert len(telemetry.spans) == 2

    async def test_a_store_is_instrumented_once(self, store, telemetry):
        telemetry.watch(store)
        with pytest.raises(InvalidOperationException, match="already"):
            telemetry.watch(store)

    def test_only_stores_are(self):
        with pytest.raises(InvalidArgumentTypeException, match="store"):
            otel.instrument("postgresql://localhost/x")

    async def test_telemetry_that_fails_harms_nobody(self, store, telemetry, monkeypatch, caplog):
        """A save is saved, whatever becomes of its span."""
        from docsession.contrib.otel import _instrument

        def fail(args):
            raise OSError("no space left for confidential spans")

        monkeypatch.setattr(_instrument, "name_of", fail)
        telemetry.watch(store)
        with caplog.at_level(logging.WARNING, "docsession.otel"):
            await save(store, (User("a"), "users/1"))
        assert await read(store, "users/1", User)
        assert {record.getMessage() for record in caplog.records if record.name == "docsession.otel"} == {
            "a request could not be reported to OpenTelemetry: OSError"
        }

    def test_without_opentelemetry_docsession_works_and_the_error_names_the_extra(self):
        program = """if True:
            import sys
            import docsession
            assert "opentelemetry" not in sys.modules
            sys.modules["opentelemetry"] = None
            try:
                import docsession.contrib.otel
            except docsession.MissingDependencyException as error:
                assert "docsession[otel]" in str(error)
                sys.exit(0)
            sys.exit(5)
        """
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

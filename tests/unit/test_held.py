"""Connections in the hands of whoever calls."""

import gc
import threading

import pytest

from docsession import _held


class Connection:
    """What is remembered."""


def stream(connection):
    with _held.holding(connection):
        yield


@pytest.mark.parametrize("use", [_held.hold, _held.let_go])
def test_a_garbage_collection_may_end_streams_at_any_moment(use):
    """It runs when so many objects are new, here after each count of them in turn."""
    connections = [Connection() for _ in range(40)]

    def run():
        for number, connection in enumerate(connections):
            rows = stream(connection)
            next(rows)
            left = [rows]
            left.append(left)
            del rows, left
            gc.set_threshold(gc.get_count()[0] + number % 8)
            gc.enable()
            use(connection)
            gc.disable()

    thresholds = gc.get_threshold()
    gc.disable()
    try:
        # Of its own, so that the rest of the run goes on where it waits for itself.
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
    finally:
        gc.set_threshold(*thresholds)
        gc.enable()


def test_a_connection_that_is_gone_is_forgotten():
    connection = Connection()
    _held.hold(connection)
    assert id(connection) in _held._held
    key = id(connection)
    del connection
    gc.collect()
    assert key not in _held._held

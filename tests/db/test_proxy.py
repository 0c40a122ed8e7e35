"""The proxies that other tests and the benchmarks rely on."""

import socket
import struct
import threading
import time

import psycopg
import pytest

from tests.support.proxy import CountingProxy, CuttingProxy, DelayProxy, Link, Proxy, Stage, delayed

DELAY = 0.3


def connect(proxy):
    return psycopg.connect(proxy.url, autocommit=True)


@pytest.mark.parametrize("tcp", [False, True])
def test_everything_passes_whichever_kind_of_socket_is_in_front(postgres_url, tcp):
    with Proxy(postgres_url, tcp=tcp) as proxy, connect(proxy) as connection:
        text = "x" * 3_000_000
        assert connection.execute("SELECT %s || 'y'", (text,)).fetchone() == (text + "y",)
        assert proxy.connections == 1


def test_it_ends_with_no_thread_left_and_no_connection(postgres_url):
    before = threading.active_count()
    with Proxy(postgres_url) as proxy:
        connection = connect(proxy)
    assert threading.active_count() == before
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


class TestCounting:
    def test_a_round_trip_is_a_request_with_its_answer(self, postgres_url):
        with CountingProxy(postgres_url) as proxy, connect(proxy) as connection:
            assert proxy.round_trips == 0
            connection.execute("SELECT 1")
            assert (proxy.round_trips, proxy.messages) == (1, [b"Q"])
            connection.execute("SELECT %s", (1,))
            assert proxy.round_trips == 2
            proxy.reset()
            with connection.transaction():
                connection.execute("SELECT 1")
            assert (proxy.round_trips, proxy.messages) == (3, [b"Q"] * 3)
            assert proxy.bytes_sent > 20
            assert proxy.bytes_received > 20

    def test_a_pipeline_is_one(self, postgres_url):
        with CountingProxy(postgres_url) as proxy, connect(proxy) as connection:
            with connection.pipeline():
                for i in range(10):
                    connection.execute("SELECT %s", (i,))
            assert proxy.round_trips == 1
            assert proxy.messages.count(b"E") == 10


class TestCutting:
    @pytest.mark.parametrize(
        "stage", [Stage.BEFORE_BYTE, Stage.AFTER_MESSAGES, Stage.BEFORE_ANSWER, Stage.INSIDE_ANSWER]
    )
    def test_only_the_request_that_is_meant_is_cut_and_once(self, postgres_url, stage):
        with CuttingProxy(postgres_url) as proxy:
            connection = connect(proxy)
            proxy.cut_next(stage, containing=b"marked")
            connection.execute("SELECT 'other'")
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 'marked'")
            connection.close()
            with connect(proxy) as connection:
                assert connection.execute("SELECT 'marked'").fetchone() == ("marked",)
            assert proxy.cuts == 1

    def test_what_is_passed_on_before_the_cut_is_unharmed(self, postgres_url):
        """libpq sends a long request in pieces, which end inside a message; the second makes the proxy look out."""
        message = b"Q" + struct.pack("!i", 104) + b"x" * 100
        near, far = socket.socketpair()
        with CuttingProxy(postgres_url) as proxy, near, far:
            link = Link(near, near)
            proxy.from_client(link, struct.pack("!ii", 8, 196608))
            link.is_ready = True
            proxy.cut_next(Stage.AFTER_MESSAGES, 3, containing=b"marked")
            proxy.from_client(link, message + message[:50])
            proxy.from_client(link, message[50:] + message.replace(b"xxxxxx", b"marked"))
            expected = message + message + message.replace(b"xxxxxx", b"marked")
            assert far.recv(1000)[8:] == expected
            assert proxy.cuts == 0
            proxy.from_client(link, message + message)
            assert far.recv(1000) == message
            assert proxy.cuts == 1

    def test_after_the_answer_the_next_request_fails(self, postgres_url):
        with CuttingProxy(postgres_url) as proxy:
            connection = connect(proxy)
            proxy.cut_next(Stage.AFTER_ANSWER)
            assert connection.execute("SELECT 1").fetchone() == (1,)
            proxy.wait_for_cut()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
            connection.close()


class TestDelay:
    """A busy machine adds to every delay: what is told apart is one of them from one for each of many."""

    def test_a_request_takes_both_delays_and_pipelined_ones_take_no_more(self, postgres_url):
        with DelayProxy(postgres_url, 0) as proxy, connect(proxy) as connection:
            proxy.delay = DELAY
            start = time.monotonic()
            connection.execute("SELECT 1")
            assert time.monotonic() - start >= 2 * DELAY
            start = time.monotonic()
            with connection.pipeline():
                for i in range(50):
                    connection.execute("SELECT %s", (i,))
            assert 2 * DELAY <= time.monotonic() - start < 50 * DELAY
            proxy.delay = 0

    def test_many_chunks_are_not_slowed_down_one_by_one(self, postgres_url):
        with DelayProxy(postgres_url, 0) as proxy, connect(proxy) as connection:
            proxy.delay = DELAY
            start = time.monotonic()
            (length,) = connection.execute("SELECT length(%s)", ("x" * 4_000_000,)).fetchone()
            assert length == 4_000_000
            assert time.monotonic() - start < 30 * DELAY  # there are 60 of them
            proxy.delay = 0

    def test_it_may_run_in_a_process_of_its_own(self, postgres_url):
        with delayed(postgres_url, 0.02) as url, psycopg.connect(url, autocommit=True) as connection:
            start = time.monotonic()
            connection.execute("SELECT 1")
            assert time.monotonic() - start >= 2 * 0.02

"""Proxies in front of a PostgreSQL server: they count round trips, cut the link where told, or slow it down.

Threads and blocking sockets; every proxy is a context manager whose `url` stands for the server's.
Messages are understood as far as their borders: one byte of type, four of length.
"""

import contextlib
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

LENGTH = struct.Struct("!i")
SSL_REQUESTS = (80877103, 80877104)


class Messages:
    """Cuts one direction of a conversation into messages: (type, whole message) for each that is complete.

    A client's first messages have no type; they come out as b"".
    """

    def __init__(self, *, from_client: bool) -> None:
        self._rest = b""
        self._has_types = not from_client

    @property
    def begun(self) -> int:
        """How many bytes of a message have come whose end has not."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._rest += data
        while True:
            start = 1 if self._has_types else 0
            if len(self._rest) < start + 4:
                return
            end = start + LENGTH.unpack_from(self._rest, start)[0]
            if len(self._rest) < end:
                return
            message, self._rest = self._rest[:end], self._rest[end:]
            if start == 0 and LENGTH.unpack_from(message, 4)[0] not in SSL_REQUESTS:
                self._has_types = True
            yield message[:start], message


class Link:
    """One client's connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.sent = Messages(from_client=True)
        self.received = Messages(from_client=False)
        self.is_ready = False

    def cut(self) -> None:
        """End the connection on both sides; what was passed on before still arrives."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Passes everything on, unchanged and at once.

    Attributes:
        conninfo: libpq's parameters to reach the server through the proxy.
        url: The same as one string.
        connections: How many connections were made through it.
    """

    def __init__(self, url: str, *, tcp: bool | None = None) -> None:
        target = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
        host = target.get("host", "/var/run/postgresql")
        port = int(target.get("port", "5432"))
        self._target: tuple[str, int] | str = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
        self._directory: str | None = None
        self._listener: socket.socket
        if host.startswith("/") if tcp is None else not tcp:
            self._directory = tempfile.mkdtemp(prefix="proxy-")
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(f"{self._directory}/.s.PGSQL.{port}")
            here = {"host": self._directory, "port": str(port)}
        else:
            self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", 0))
            here = {"host": "127.0.0.1", "port": str(self._listener.getsockname()[1])}
        self._listener.listen(64)
        # The proxy reads the conversation, and libpq over TCP would encrypt it where the server can.
        self.conninfo = {**target, **here, "sslmode": "disable", "gssencmode": "disable"}
        self.url = make_conninfo("", **self.conninfo)
        self.connections = 0
        self._links: set[Link] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._is_closing = False
        self._is_refusing = False

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut every connection, and return when no thread of the proxy is left."""
        self._is_closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive(), f"{thread} does not end"
        if self._directory is not None:
            shutil.rmtree(self._directory)

    def cut_all(self) -> None:
        """Break every connection that there is now."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def refuse(self, refusing: bool = True) -> None:
        """Break every new connection at once, as if the server were down; False takes that back."""
        self._is_refusing = refusing

    # What a kind of proxy changes.

    def from_client(self, link: Link, data: bytes) -> None:
        """Pass on what a client sent."""
        link.server.sendall(data)

    def from_server(self, link: Link, data: bytes) -> None:
        """Pass on what the server answered."""
        link.client.sendall(data)

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._is_closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_refusing:
                client.close()
                continue
            family = socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
            server = socket.socket(family, socket.SOCK_STREAM)
            try:
                server.connect(self._target)
            except OSError:
                client.close()
                server.close()
                continue
            for end in (client, server):
                if end.family == socket.AF_INET:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(client, server)
            with self._lock:
                self._links.add(link)
                self.connections += 1
            # A thread for each direction: both ends may have more to send than the other one reads.
            self._start(self._pump, link, link.client, self.from_client)
            self._start(self._pump, link, link.server, self.from_server)

    def _pump(self, link: Link, source: socket.socket, pass_on: Callable[[Link, bytes], None]) -> None:
        """Carry one direction of one link until either end is closed."""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                pass_on(link, data)
        link.cut()
        with self._lock:
            is_last = link not in self._links
            self._links.discard(link)
        if is_last:
            link.client.close()
            link.server.close()


class CountingProxy(Proxy):
    """Counts the round trips of connections that are past their start.

    A round trip is data of the client after the server has said that it is ready, up to the next
    time it says so with nothing more on the way. Its bursts are the pieces in which the client's
    data was seen, one for each round trip where nobody waits in between.

    Attributes:
        round_trips: How many began.
        messages: The types of the client's messages, in order: b"P" Parse, b"B" Bind, b"E" Execute,
            b"S" Sync, b"Q" a simple query.
        bytes_sent, bytes_received: After the start of each connection.
    """

    def __init__(self, url: str, *, tcp: bool | None = None) -> None:
        super().__init__(url, tcp=tcp)
        self.reset()

    def reset(self) -> None:
        """Start counting anew."""
        self.round_trips = 0
        self.messages: list[bytes] = []
        self.bytes_sent = 0
        self.bytes_received = 0
        self._waiting: dict[Link, int] = {}

    def from_client(self, link: Link, data: bytes) -> None:
        for kind, _ in link.sent.feed(data):
            if not link.is_ready or kind == b"X":
                continue
            if kind == b"H" and link not in self._waiting:
                # A Flush after the Sync that was answered already asks for nothing.
                continue
            self.messages.append(kind)
            if link not in self._waiting:
                self._waiting[link] = 0
                self.round_trips += 1
            if kind in (b"S", b"Q"):
                self._waiting[link] += 1
        if link.is_ready:
            self.bytes_sent += len(data)
        super().from_client(link, data)

    def from_server(self, link: Link, data: bytes) -> None:
        if link.is_ready:
            self.bytes_received += len(data)
        # A server's answer to SSLRequest has no length; with sslmode=disable there is none.
        for kind, _ in link.received.feed(data):
            if kind == b"Z":
                link.is_ready = True
                if link in self._waiting:
                    self._waiting[link] -= 1
                    if self._waiting[link] <= 0:
                        del self._waiting[link]
        super().from_server(link, data)


class Stage(Enum):
    """Where a `CuttingProxy` cuts."""

    BEFORE_BYTE = "the server gets less than n bytes of the request"
    AFTER_MESSAGES = "the server gets n messages of the request and no more"
    BEFORE_ANSWER = "the server gets the whole request, and the client nothing"
    INSIDE_ANSWER = "the client gets n bytes of the answer"
    AFTER_ANSWER = "the client gets the whole answer"
    POOLER = "the server gets the whole request, the client n messages of the answer and a pooler's goodbye"


GOODBYE = b"SFATAL\0VFATAL\0C08P01\0Mserver conn crashed?\0\0"
"""What pgbouncer says: unlike a server's it names no place in the source."""


class CuttingProxy(Proxy):
    """Cuts the link at a chosen stage of the next request.

    Attributes:
        cuts: How often it has cut.
    """

    def __init__(self, url: str, *, tcp: bool | None = None) -> None:
        super().__init__(url, tcp=tcp)
        self.cuts = 0
        self._is_cut = threading.Event()
        self._stage: Stage | None = None
        self._n = 0
        self._matches: Callable[[bytes], bool] = bool
        self._armed: Link | None = None
        self._passed = 0

    def cut_next(self, stage: Stage, n: int = 0, *, containing: bytes = b"") -> None:
        """Cut the next request whose data has *containing* in it.

        For the last two stages the server's work is surely done when the client sees the cut; for
        BEFORE_ANSWER too, because the answer is awaited and thrown away.
        """
        self._n = n
        self._matches = lambda data: containing in data
        self._armed = None
        self._is_cut.clear()
        self._stage = stage

    @property
    def is_armed(self) -> bool:
        """True while the cut that was asked for is under way; another one now would let damaged data pass."""
        return self._stage is not None and (self._armed is None or self._armed in self._links)

    def wait_for_cut(self) -> None:
        """Return when the link is cut, which for AFTER_ANSWER is after the client has gone on."""
        assert self._is_cut.wait(10), "nothing was cut"

    def from_client(self, link: Link, data: bytes) -> None:
        if self._stage is not None and link.is_ready and self._armed is None and self._matches(data):
            self._passed = link.sent.begun
            self._armed = link
        if self._armed is not link:
            for _ in link.sent.feed(data):
                pass
            super().from_client(link, data)
            return
        if self._stage is Stage.BEFORE_BYTE:
            kept = data[: self._n]
            self._n -= len(kept)
            if kept:
                super().from_client(link, kept)
            if self._n == 0:
                self._cut(link)
        elif self._stage is Stage.AFTER_MESSAGES:
            for _, message in link.sent.feed(data):
                if self._n > 0:
                    self._n -= 1
                    super().from_client(link, message[self._passed :])
                    self._passed = 0
            if self._n == 0:
                self._cut(link)
        else:
            super().from_client(link, data)

    def from_server(self, link: Link, data: bytes) -> None:
        is_complete = False
        messages = list(link.received.feed(data))
        for kind, _ in messages:
            if kind == b"Z":
                link.is_ready = is_complete = True
        if self._armed is link and self._stage is Stage.POOLER:
            # As with every stage after the request, the server has done its work when the client sees the end.
            super().from_server(link, b"".join(message for _, message in messages[: self._n]))
            self._n -= min(self._n, len(messages))
            if is_complete:
                super().from_server(link, b"E" + LENGTH.pack(len(GOODBYE) + 4) + GOODBYE)
                self._cut(link)
        elif self._armed is not link:
            super().from_server(link, data)
        elif self._stage is Stage.BEFORE_ANSWER:
            if is_complete:
                self._cut(link)
        elif self._stage is Stage.INSIDE_ANSWER:
            kept = data[: self._n]
            self._n -= len(kept)
            super().from_server(link, kept)
            if self._n == 0 or is_complete:
                self._cut(link)
        else:
            super().from_server(link, data)
            if is_complete and self._stage is Stage.AFTER_ANSWER:
                self._cut(link)

    def _cut(self, link: Link) -> None:
        self.cuts += 1
        self._stage = self._armed = None
        link.cut()
        self._is_cut.set()


class DelayProxy(Proxy):
    """Delivers every chunk *delay* seconds after it came in, in both directions.

    Chunks do not wait for each other, so that pipelined data takes one delay and not one each, as on
    a long line.

    Attributes:
        delay: Seconds; may be changed at any time for the chunks that follow.
    """

    def __init__(self, url: str, delay: float, *, tcp: bool | None = None) -> None:
        super().__init__(url, tcp=tcp)
        self.delay = delay
        self._queue: deque[tuple[float, socket.socket, bytes]] = deque()
        self._is_held = False
        self._has_some = threading.Event()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)

    def hold(self) -> None:
        """Deliver nothing any more, until `let_go`."""
        self._has_some.clear()
        self._is_held = True

    def let_go(self) -> None:
        """Deliver again, first what has come in meanwhile."""
        self._is_held = False
        os.write(self._wake_writer, b"x")

    def wait_for_something(self) -> None:
        """Return when something has come in since `hold`."""
        assert self._has_some.wait(60)

    def __enter__(self) -> Self:
        self._start(self._deliver)
        return super().__enter__()

    def close(self) -> None:
        self._is_closing = True
        os.write(self._wake_writer, b"x")
        super().close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def from_client(self, link: Link, data: bytes) -> None:
        self._put(link.server, data)

    def from_server(self, link: Link, data: bytes) -> None:
        self._put(link.client, data)

    def _put(self, end: socket.socket, data: bytes) -> None:
        due = time.monotonic() + self.delay
        with self._lock:
            was_empty = not self._queue
            self._queue.append((due, end, data))
        self._has_some.set()
        if was_empty:
            os.write(self._wake_writer, b"x")

    def _deliver(self) -> None:
        while not self._is_closing:
            left = self._queue[0][0] - time.monotonic() if self._queue and not self._is_held else None
            if left is None or left > 0:
                # select() sleeps to the microsecond, where poll() rounds to milliseconds.
                if select.select([self._wake_reader], [], [], left)[0]:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_reader, 1 << 12)
                continue
            with self._lock:
                _, end, data = self._queue.popleft()
            with contextlib.suppress(OSError):
                end.sendall(data)


@contextlib.contextmanager
def delayed(url: str, delay: float) -> Iterator[str]:
    """Run a `DelayProxy` in a process of its own, which takes no time from the client's; gives its URL."""
    command = [sys.executable, "-m", __name__, url, str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


if __name__ == "__main__":
    with DelayProxy(sys.argv[1], float(sys.argv[2])) as proxy:
        print(proxy.url, flush=True)
        sys.stdin.read()

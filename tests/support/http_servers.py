"""Programs that serve HTTP, started as their users start them."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

PATIENCE = 240
"""Seconds after which a program that does not start, or does not stop, is killed."""


@contextlib.contextmanager
def serving(module: str, **environment: str) -> Iterator[str]:
    """Run `python -m module --port 0` and yield its URL.

    The first line that it prints is `Listening on http://127.0.0.1:PORT`, once it does. SIGTERM ends it, in order: no
    traceback is among what it has said by then.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--port", "0"],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        killer = threading.Timer(PATIENCE, process.kill)
        killer.start()
        first = process.stdout.readline()
        killer.cancel()
        listening = re.fullmatch(r"Listening on (http://\S+)\n", first)
        rest = threading.Thread(target=process.stdout.read, daemon=True)  # a full pipe would stop it
        rest.start()
        try:
            if listening is not None:
                yield listening[1]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(PATIENCE)
            finally:
                process.kill()
                rest.join()
                process.stdout.close()
                errors.seek(0)
                said = errors.read()
        assert listening is not None, f"{module} printed {first!r}\n{said}"
        assert code in {0, -signal.SIGTERM, 128 + signal.SIGTERM}, f"{module} ended with {code}\n{said}"
        assert "Traceback" not in said, said


@contextlib.contextmanager
def serving_app(app: object) -> Iterator[str]:
    """Serve an ASGI application of the test's own with uvicorn, in a thread, and yield its URL."""
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as listening:
        started = threading.Event()
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", access_log=False))

        async def startup(sockets=None):
            await uvicorn.Server.startup(server, sockets)
            started.set()

        server.startup = startup
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            assert started.wait(PATIENCE), "the application did not start"
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the server did not stop"

"""Serve the shop: `python -m examples.fastapi_shop --port 8000`."""

from __future__ import annotations

import argparse
import socket

import uvicorn

from examples.fastapi_shop.app import app
from examples.serving import Server


def main() -> None:
    """Serve until the process is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m examples.fastapi_shop", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="the port; 0 takes a free one; %(default)s")
    given = parser.parse_args()
    with socket.create_server((given.host, given.port)) as listening:
        Server(uvicorn.Config(app, log_level="warning")).run([listening])


if __name__ == "__main__":
    main()

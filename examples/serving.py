"""What serves the shops that are applications of ASGI."""

from __future__ import annotations

import socket

import uvicorn
from typing_extensions import override


class Server(uvicorn.Server):
    """Says where it listens, once it does."""

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or ():
            host, port, *_ = each.getsockname()
            print(f"Listening on http://{host}:{port}", flush=True)

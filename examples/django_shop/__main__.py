"""Serve the shop: `python -m examples.django_shop --port 8000`."""

from __future__ import annotations

import argparse
import os
import socket
from contextlib import ExitStack

import django
import uvicorn
from django.core.management import call_command

from docsession import EmbeddedServer
from examples.serving import Server


def main() -> None:
    """Serve until the process is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m examples.django_shop", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="the port; 0 takes a free one; %(default)s")
    given = parser.parse_args()
    with ExitStack() as resources:
        if "DOCSESSION_URL" not in os.environ:
            os.environ["DOCSESSION_URL"] = resources.enter_context(EmbeddedServer.start()).url
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_shop.settings")
        django.setup()
        call_command("migrate", verbosity=0)
        call_command("seed_shop")

        from examples.django_shop.asgi import application

        listening = resources.enter_context(socket.create_server((given.host, given.port)))
        config = uvicorn.Config(application, log_level="warning", lifespan="off")  # Django has none
        Server(config).run([listening])


if __name__ == "__main__":
    main()

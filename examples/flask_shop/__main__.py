"""Serve the shop: `python -m examples.flask_shop --port 8000`."""

from __future__ import annotations

import argparse
import signal
import sys

from werkzeug.serving import make_server

from examples.flask_shop.app import create_app
from examples.flask_shop.extensions import docs


def main() -> None:
    """Serve until the process is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m examples.flask_shop", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="the port; 0 takes a free one; %(default)s")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = create_app()
    try:
        with make_server(given.host, given.port, app, threaded=True) as server:
            print(f"Listening on http://{given.host}:{server.port}", flush=True)
            server.serve_forever()
    finally:
        docs.close(app)


if __name__ == "__main__":
    main()

"""The embedded PostgreSQL: found in a wheel, started on first use, shared by every process, stopped by the last."""

from docsession._embedded._server import EmbeddedServer

__all__ = ["EmbeddedServer"]

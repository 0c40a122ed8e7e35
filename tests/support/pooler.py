"""What the documentation says of pgbouncer before 1.21, for every store and connection of a run."""

import psycopg

from docsession import AsyncDocumentStore, DocumentStore
from docsession._executors._psycopg import PoolSettings


def set_for_pooler() -> None:
    """Never prepare a statement: the next use of a connection may be another server connection."""
    for made in (DocumentStore, AsyncDocumentStore, PoolSettings):
        made.__init__.__kwdefaults__["prepare_threshold"] = None
    for connection in (psycopg.Connection, psycopg.AsyncConnection):
        connection.connect.__func__.__kwdefaults__["prepare_threshold"] = None

"""Alembic, run in code: one database at a time, under its lock, with the revisions that the package carries."""

from docsession._migrate._databases import database_names
from docsession._migrate._drift import drift
from docsession._migrate._environment import DEFAULT_DATABASE, LOCK_TIMEOUT_SECONDS, run_environment
from docsession._migrate._runner import Listener, create_collections, downgrade, upgrade, write_sql
from docsession._migrate._state import State, current
from docsession._migrate._target import Target, run_locked
from docsession._sql._revisions import Standing

__all__ = [
    "DEFAULT_DATABASE",
    "LOCK_TIMEOUT_SECONDS",
    "Listener",
    "Standing",
    "State",
    "Target",
    "create_collections",
    "current",
    "database_names",
    "downgrade",
    "drift",
    "run_environment",
    "run_locked",
    "upgrade",
    "write_sql",
]

"""Alembic, run in code: one database at a time, under its lock, with the revisions that the package carries."""

from docsession._migrate._databases import database_names
from docsession._migrate._drift import drift
from docsession._migrate._environment import DEFAULT_DATABASE, LOCK_TIMEOUT_SECONDS, run_environment
from docsession._migrate._runner import Listener, Standing, State, create_collections, current, downgrade, upgrade
from docsession._migrate._target import Target

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
    "upgrade",
]

"""What Alembic runs around the revisions of this folder."""

from docsession._migrate import run_environment

run_environment()

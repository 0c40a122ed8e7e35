"""Who carries requests to PostgreSQL."""

from docsession._errors import MissingDependencyException

try:
    import psycopg  # noqa: F401  # only whether it can be had
except ImportError as error:
    raise MissingDependencyException(
        "psycopg finds no libpq, PostgreSQL's client library: install `docsession[binary]`, which brings it along, "
        f"or the system's package of it ({str(error).splitlines()[0]})"
    ) from error

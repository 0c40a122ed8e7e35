"""What PostgreSQL refuses of what a user has given to a query."""

from __future__ import annotations

from docsession._errors import InvalidArgumentException, RavenException

_INVALID_REGEX = "2201B"
_UNDEFINED_OBJECT = "42704"
_GROUPING_ERROR = "42803"


def explained(error: RavenException) -> InvalidArgumentException | None:
    """Return the error that says what was wrong with an argument; None where none is to blame."""
    if error.sqlstate == _INVALID_REGEX:
        return InvalidArgumentException(f"PostgreSQL cannot read the regular expression: {error}")
    if error.sqlstate == _UNDEFINED_OBJECT:
        return InvalidArgumentException(f"PostgreSQL does not know the language of a search: {error}")
    if error.sqlstate == _GROUPING_ERROR:
        return InvalidArgumentException(
            "count(), sum_(), min_(), max_() and avg() are computed over the documents of a group: use them behind "
            "group_by(), in having(), order_by() and select(), where all else is what is grouped by; q.count(), "
            f"q.sum_(…) and the like compute over all documents: {error}"
        )
    return None

"""Plans of PostgreSQL's, and what `assert_uses_index` says of them."""

import inspect
import urllib.parse

from docsession import assert_uses_index


def nodes(plan):
    """Every node of a plan."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


async def claim(query, *args):
    """Claim that a query of either face uses an index."""
    made = assert_uses_index(getattr(query, "wrapped", query), *args)
    assert inspect.isawaitable(made) is not hasattr(query, "wrapped")
    if inspect.isawaitable(made):
        await made


def with_options(url, *options):
    """Return a URL whose connections have settings of the server's."""
    encoded = urllib.parse.quote(" ".join(f"-c {option}" for option in options))
    return f"{url}{'&' if '?' in url else '?'}options={encoded}"

"""How the blocking face runs what is written once as coroutines."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from docsession._errors import InvalidOperationException

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine*, whose executor never suspends, to its end; also inside a running event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # StopIteration does not say what it carries
    coroutine.close()
    raise InvalidOperationException(
        "a blocking session was given an executor that suspends; use AsyncDocumentStore, or a blocking executor"
    )

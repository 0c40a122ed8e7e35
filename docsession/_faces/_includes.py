"""Which documents a load brings along."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from docsession._documents._mapping import Mappings
from docsession._documents._paths import PathLike, attributes_of
from docsession._errors import InvalidArgumentTypeException
from docsession._session._include_paths import include_paths
from docsession._session._including import IncludePath


class IncludeBuilder:
    """Names the paths of ids whose documents come in the same request (RavenDB: IncludeBuilder)."""

    __slots__ = ("_paths",)

    def __init__(self) -> None:
        self._paths: list[tuple[PathLike, type | None]] = []

    def include_documents(self, path: PathLike, object_type: type | None = None) -> IncludeBuilder:
        """Bring along the documents whose ids stand at *path*.

        Args:
            path: `"company"`, `"lines[].product"` (also `"lines.product"`), or a function as in
                `lambda order: order.company`.
            object_type: The class of those documents; without it, and without a `Ref` on the
                annotation, they are looked for wherever such ids have led.

        Raises:
            InvalidArgumentException: *path* is no path.
        """
        attributes_of(path)
        self._paths.append((path, object_type))
        return self

    def paths(self, object_type: type | None, mappings: Mappings) -> list[IncludePath]:
        """Return the paths as the session understands them, for documents loaded as *object_type*."""
        return include_paths(self._paths, object_type, mappings)


Includes: TypeAlias = Callable[[IncludeBuilder], object] | None
"""What `load(includes=…)` takes: `lambda builder: builder.include_documents("company")`."""


def collect_includes(includes: Includes, object_type: type | None, mappings: Mappings) -> list[IncludePath]:
    """Run the function that a user gave for `includes`."""
    if includes is None:
        return []
    if not callable(includes):
        raise InvalidArgumentTypeException(
            "includes is a function, as in includes=lambda builder: builder.include_documents('company'), "
            f"not {includes!r:.80}"
        )
    builder = IncludeBuilder()
    includes(builder)
    return builder.paths(object_type, mappings)

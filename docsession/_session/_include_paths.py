"""What a user wants to come along with documents, as the session understands it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from docsession._documents._mapping import Mappings
from docsession._documents._paths import PathLike, attributes_of, check_attributes, json_keys_of, target_of
from docsession._session._including import IncludePath


def include_paths(
    paths: Iterable[tuple[PathLike, type[Any] | None]], object_type: type[Any] | None, mappings: Mappings
) -> list[IncludePath]:
    """Return paths as a user names them as the session understands them, for documents of a class.

    Raises:
        InvalidArgumentException: The class has no such field.
    """
    found = []
    for path, named in paths:
        attributes = attributes_of(path)
        check_attributes(object_type, attributes)
        target = named or target_of(object_type, attributes)
        keys = json_keys_of(object_type, attributes)
        found.append(IncludePath(keys, None if target is None else mappings.for_class(target)))
    return found

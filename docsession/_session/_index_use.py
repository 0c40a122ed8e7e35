"""Which indexes a plan of PostgreSQL's uses, and for what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_ORDERED = {"Index Scan", "Index Only Scan"}
_SORTS = {"Sort", "Incremental Sort"}


@dataclass(frozen=True, slots=True)
class IndexUse:
    """An index that a plan reads.

    Attributes:
        name: Its name.
        condition: What is looked up in it, or what it has the nearest of; None where it is read from one end to the
            other.
    """

    name: str
    condition: str | None


def index_uses(plan: Mapping[str, Any]) -> list[IndexUse]:
    """Return the indexes that a plan reads."""
    return [
        IndexUse(node["Index Name"], node.get("Index Cond") or node.get("Order By"))
        for node in _nodes(plan)
        if "Index Name" in node
    ]


def why_not_by_index(plan: Mapping[str, Any], table: str, name: str | None, *, has_conditions: bool) -> str | None:
    """Return why a plan does not find the documents of a table by an index; None where it does.

    Args:
        plan: The topmost node, in PostgreSQL's JSON.
        table: The table.
        name: The index that is to be used; None: any.
        has_conditions: True where not all documents are asked for; an index then has to look them up. Otherwise it
            is enough that it has them in order.
    """
    nodes = list(_nodes(plan))
    if any(node["Node Type"].endswith("Seq Scan") and node.get("Relation Name") == table for node in nodes):
        return f"all of the table {table!r} is read"
    uses = index_uses(plan)
    found = [use.name for use in uses if use.condition is not None]
    if not has_conditions and not found:
        is_sorted = any(node["Node Type"] in _SORTS for node in nodes)
        found = [] if is_sorted else [node["Index Name"] for node in nodes if node["Node Type"] in _ORDERED]
    if name is not None and name not in found:
        return f"the index {name!r} is not used for it; used is {', '.join(found) or 'none'}"
    if not found:
        return f"no index of the table {table!r} serves it"
    return None


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)

"""What all the declarations of one table make in it together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from docsession._declarations import IndexDeclaration
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._access import Access, access_of
from docsession._query._index_ddl import IndexTarget
from docsession._query._index_kinds import IndexKind
from docsession._sql._definitions import Definition, Kind


def define_all(declared: Iterable[tuple[IndexDeclaration, IndexTarget]]) -> tuple[list[Definition], Access]:
    """Return what declarations make in one table, in the order in which it is made, and what that offers to queries.

    The same declared twice, by a class and one below it, is made once.

    Raises:
        InvalidArgumentException: Two that differ have the same name, or something is no declaration.
    """
    given = [(_kind(each), target) for each, target in declared]
    found: dict[tuple[Kind, str], Definition] = {}
    for each, target in given:
        if each.comes_first:
            _add(found, each.define(target))
    access = access_of(found.values())
    for each, target in given:
        if not each.comes_first:
            _add(found, each.define(target.promoting(access)))
    order = list(Kind)
    definitions = sorted(found.values(), key=lambda definition: order.index(definition.kind))
    lists = frozenset(path for _, target in given for path in target.lists)
    return definitions, replace(access_of(definitions), lists=lists) if lists else access_of(definitions)


def _add(found: dict[tuple[Kind, str], Definition], made: Iterable[Definition]) -> None:
    for each in made:
        known = found.setdefault((each.kind, each.name), each)
        if known.digest != each.digest:
            raise InvalidArgumentException(
                f"two indexes of the table {each.table!r} that differ are called {each.name!r} "
                f"({', '.join(known.fields)}, and {', '.join(each.fields)}): name one of them with name="
            )


def _kind(given: object) -> IndexKind:
    if isinstance(given, IndexKind):
        return given
    raise InvalidArgumentTypeException(
        f"indexes are declared by Index, GinIndex, Promoted, Statistics, FullText, Trigram and VectorIndex, as in "
        f"[Index(lambda o: o.name)], not {given!r:.60}"
    )

"""The command that shows the indexes of databases, and whether anybody uses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from docsession._cli_common import Setting, autogenerate_command, on_databases
from docsession._errors import PermissionDeniedException
from docsession._migrate import Target
from docsession._migrate._index_advice import index_advice
from docsession._migrate._index_overview import IndexOverview, index_overview
from docsession._migrate._project import Model

_HEADER = ("table", "index", "is", "scans", "size", "origin")


@click.command()
@on_databases
def indexes(setting: Setting) -> None:
    """List the indexes of collections: used, unused, invalid, and missing ones.

    Missing are those that the models declare and the database lacks; and, where stores have counted what their queries
    ask for, those that would serve queries which none serves now. The latter are shown as declarations, to be pasted.

    An index is used where a query has read it since the server began to count, or where it is unique. Each server
    counts for itself: an index that is unused here may serve queries of a standby.
    """
    models = setting.needs() if setting.project.models else None

    def work(target: Target) -> None:
        found = index_overview(target, models)
        if not found:
            click.echo(f"{target.database}: no indexes but those of the ids")
        rows = [_HEADER, *map(_row, found)] if found else []
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo(f"{target.database}: {line.rstrip()}")
        for line in _advice(target, models):
            click.echo(f"{target.database}: {line}")

    setting.for_each(work)


def _advice(target: Target, models: Sequence[Model] | None) -> Iterator[str]:
    try:
        found = [] if models is None else index_advice(target, models)
    except PermissionDeniedException as error:
        yield f"which indexes queries lack cannot be told: {error}"
        return
    if found:
        yield f"queries that no index serves; declare what follows, `{autogenerate_command()}` does the rest:"
    for each in found:
        milliseconds = each.seconds * 1000 / each.queries
        queries = "query" if each.queries == 1 else "queries"
        documents = "document" if each.documents == 1 else "documents"
        asked = f"{each.queries:,} {queries} of {milliseconds:,.1f} ms on {each.documents:,} {documents}"
        needs = "" if each.needs is None else f"; needs the extension {each.needs}"
        doubt = "" if each.doubt is None else f"; {each.doubt}"
        yield f"{each.collection}: {each.declaration},  # {asked}{needs}{doubt}"


def _row(each: IndexOverview) -> tuple[str, ...]:
    origin = "docsession's" if each.origin is None else each.origin.value
    return each.table, each.name, each.use.value, f"{each.scans:,}", _size(each.size), origin


def _size(size: int) -> str:
    return f"{-(-size // 1024):,} kB"

"""The command that shows the indexes of databases, and whether anybody uses them."""

from __future__ import annotations

import click

from docsession._cli_common import Setting, on_databases
from docsession._migrate import Target
from docsession._migrate._index_overview import IndexOverview, index_overview

_HEADER = ("table", "index", "is", "scans", "size", "origin")


@click.command()
@on_databases
def indexes(setting: Setting) -> None:
    """List the indexes of collections: used, unused, invalid, and missing ones that the models declare.

    An index is used where a query has read it since the server began to count, or where it is unique. Each server
    counts for itself: an index that is unused here may serve queries of a standby.
    """
    models = setting.needs() if setting.project.models else None

    def work(target: Target) -> None:
        found = index_overview(target, models)
        if not found:
            click.echo(f"{target.database}: no indexes but those of the ids")
            return
        rows = [_HEADER, *map(_row, found)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo(f"{target.database}: {line.rstrip()}")

    setting.for_each(work)


def _row(each: IndexOverview) -> tuple[str, ...]:
    origin = "docsession's" if each.origin is None else each.origin.value
    return each.table, each.name, each.use.value, f"{each.scans:,}", _size(each.size), origin


def _size(size: int) -> str:
    return f"{-(-size // 1024):,} kB"

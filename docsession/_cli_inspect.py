"""The commands that look into databases: which there are, what the configuration says, a Python shell."""

from __future__ import annotations

import code
import importlib.util
import sys
from contextlib import suppress
from typing import Any

import click

from docsession._cli_common import Setting, on_databases
from docsession._errors import InvalidArgumentException
from docsession._executors._psycopg import PoolSettings
from docsession._migrate._databases import Overview, overview
from docsession._migrate._project import lines_of

_UNKNOWN = "?"


@click.command()
@on_databases
def databases(setting: Setting) -> None:
    """List the databases of docsession on the server, with revision, number of collections and size.

    All of them, unless --database names some. What the role may not read is shown as "?".
    """
    wanted = set(setting.names) if setting.names_given else None
    found = [each for each in overview(setting.conninfo) if wanted is None or each.name in wanted]
    if not found:
        click.echo("there is no database of docsession on this server", err=True)
        return
    has_project = len(lines_of(setting.project)) > 1 or any(each.project_revision for each in found)
    header = ["database", "revision", *(["project"] if has_project else []), "collections", "size"]
    rows = [header, *(_row(each, has_project=has_project) for each in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(each: Overview, *, has_project: bool) -> list[str]:
    collections = _UNKNOWN if each.collections is None else str(each.collections)
    project = [each.project_revision or "-"] if has_project else []
    return [each.name, each.revision or "-", *project, collections, each.size]


@click.command()
@on_databases
def config(setting: Setting) -> None:
    """Show what the configuration comes to, without secrets; asks no server."""
    project = setting.project
    server = setting.server
    place = PoolSettings(conninfo=server.conninfo).place if server.conninfo is not None else "started when needed"
    lines = lines_of(project)
    shown: dict[str, object] = {
        "file": project.file or project.source or "none",
        "server": f"{place} (from {server.source})",
        "store": project.store or ("as the settings say" if project.make_store else "none"),
        "databases": "all that exist" if setting.names == ("*",) else ", ".join(setting.names),
        "models": ", ".join(f"{cls.__module__}:{cls.__qualname__}" for cls in setting.models()) or "none",
        "collections": ", ".join(f"{name} -> {table}" for name, table in setting.collections().items()) or "none",
        "migrations": project.migrations if len(lines) > 1 else f"{project.migrations or 'none'} (no revisions yet)",
    }
    for name, value in shown.items():
        click.echo(f"{name}: {value}")


@click.command()
@on_databases
@click.option("--command", "-c", metavar="CODE", help="Run this instead of opening the shell.")
def shell(setting: Setting, command: str | None) -> None:
    """Open a Python shell with `store`, an open `session` and the classes of the models.

    It is IPython where that is installed. What the session changes is saved by session.save_changes().
    """
    if command is None and not sys.stdin.isatty():
        raise click.UsageError("the shell needs a terminal; run code without one by --command CODE")
    if len(setting.databases) > 1:
        raise InvalidArgumentException("the shell works on one database: name it with --database")
    with setting.open_store() as store, store.open_session(setting.databases[0]) as session:
        names: dict[str, Any] = {cls.__name__: cls for cls in setting.models()}
        names |= {"store": store, "session": session}
        if command is None:
            _interact(names, f"{store!r}\nThere are: {', '.join(names)}")
        else:
            exec(compile(command, "<command>", "exec"), names)  # noqa: S102  # what the user asks for


def _interact(names: dict[str, Any], banner: str) -> None:
    if importlib.util.find_spec("IPython") is not None:
        click.echo(banner)
        importlib.import_module("IPython").start_ipython(argv=[], user_ns=names)
        return
    with suppress(SystemExit):  # exit() ends the shell, and then the session and the store are closed
        code.interact(banner, local=names, exitmsg="")

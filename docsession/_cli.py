"""The command `docsession`.

Exit codes: 0 done; 1 `check` found differences; 2 wrong usage; 3 it could not be done, and the last line says why.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import click
from typing_extensions import override

from docsession._documents._naming import check_database
from docsession._embedded import EmbeddedServer
from docsession._errors import DocSessionError
from docsession._executors._url import parse_url
from docsession._migrate import DEFAULT_DATABASE, LOCK_TIMEOUT_SECONDS, Listener, Target, create_collections, drift
from docsession._migrate import current as current_state
from docsession._migrate import downgrade as downgrade_database
from docsession._migrate import upgrade as upgrade_database

URL_VARIABLE = "DOCSESSION_URL"

Command = TypeVar("Command", bound=Callable[..., None])


class _Failed(click.ClickException):
    exit_code = 3


class _Commands(click.Group):
    """Prints the errors of docsession as one message instead of a traceback."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DocSessionError as error:
            raise _Failed(f"{error} [{error.code}]") from error


def _server_options(command: Command) -> Command:
    command = click.option(
        "--database",
        "-d",
        "databases",
        multiple=True,
        metavar="NAME",
        help=f'A database (a schema of the server); may be given several times.  [default: "{DEFAULT_DATABASE}"]',
    )(command)
    return click.option(
        "--url",
        metavar="URL",
        help=f"postgresql://…; without it {URL_VARIABLE} is used, and without that the embedded server.",
    )(command)


_lock_option = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=LOCK_TIMEOUT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another process that is changing the same database.",
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="docsession")
def main() -> None:
    """Bring the databases of docsession to a revision, and compare them with it."""


@main.command()
@click.argument("revision", default="head")
@_server_options
@click.option(
    "--collection",
    "-c",
    "collections",
    multiple=True,
    metavar="NAME",
    help="A collection, as in Companies, whose table is made too where it is missing; may be given several times.",
)
@_lock_option
def upgrade(
    revision: str, url: str | None, databases: tuple[str, ...], collections: tuple[str, ...], lock_timeout: float
) -> None:
    """Bring databases to REVISION, by default the newest; one that is missing is made.

    REVISION may also be "+1", the next one.
    """
    with _targets(url, databases) as targets:
        for target in targets:
            state = upgrade_database(target, revision, lock_timeout=lock_timeout, listener=_listener(target))
            click.echo(f"{target.database}: {state}")
            if collections:
                for collection, table in create_collections(target, collections).items():
                    click.echo(f"{target.database}: the collection {collection} is in the table {table}")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision")
@_server_options
@_lock_option
def downgrade(revision: str, url: str | None, databases: tuple[str, ...], lock_timeout: float) -> None:
    """Bring databases back to REVISION: "-1" is the one before, "base" takes the system tables away.

    A database that holds collections does not go back to "base".
    """
    with _targets(url, databases) as targets:
        for target in targets:
            state = downgrade_database(target, revision, lock_timeout=lock_timeout, listener=_listener(target))
            click.echo(f"{target.database}: {state}")


@main.command()
@_server_options
def current(url: str | None, databases: tuple[str, ...]) -> None:
    """Show at which revision databases are."""
    with _targets(url, databases) as targets:
        for target in targets:
            click.echo(f"{target.database}: {current_state(target)}")


@main.command()
@_server_options
@click.pass_context
def check(ctx: click.Context, url: str | None, databases: tuple[str, ...]) -> None:
    """Compare databases with what docsession would make; exit with 1 where they differ."""
    differs = False
    with _targets(url, databases) as targets:
        for target in targets:
            lines = drift(target)
            for line in lines:
                click.echo(f"{target.database}: {line}")
            if not lines:
                click.echo(f"{target.database}: no difference")
            differs = differs or bool(lines)
    if differs:
        ctx.exit(1)


@contextmanager
def _targets(url: str | None, databases: tuple[str, ...]) -> Iterator[list[Target]]:
    """Yield each database once, on the server that the options name; an embedded one is left at the end."""
    names = [check_database(name) for name in dict.fromkeys(databases or (DEFAULT_DATABASE,))]
    given = url if url is not None else os.environ.get(URL_VARIABLE)
    if given == "":
        _refuse_empty(url)
    if given is not None:
        conninfo = parse_url(given)
        yield [Target(conninfo, name) for name in names]
        return
    with EmbeddedServer.start() as server:
        click.echo(f"the embedded PostgreSQL in {server.data_directory}", err=True)
        conninfo = parse_url(server.url)
        yield [Target(conninfo, name) for name in names]


def _refuse_empty(url: str | None) -> NoReturn:
    where = URL_VARIABLE if url is None else "--url"
    raise click.UsageError(f"{where} is empty; name a server, or leave it out for the embedded one")


def _listener(target: Target) -> Listener:
    return Listener(
        step=lambda line: click.echo(f"{target.database}: {line}"),
        waiting=lambda: click.echo(f"{target.database}: waiting for another process that is changing it …", err=True),
    )

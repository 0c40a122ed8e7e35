"""The commands that bring databases to a revision, and compare them with it."""

from __future__ import annotations

import click

from docsession._cli_common import Setting, listener_of, lock_option, on_databases
from docsession._migrate import Target, create_collections, drift
from docsession._migrate import current as current_state
from docsession._migrate import downgrade as downgrade_database
from docsession._migrate import upgrade as upgrade_database


@click.command()
@click.argument("revision", default="head")
@on_databases
@click.option(
    "--collection",
    "-c",
    "collections",
    multiple=True,
    metavar="NAME",
    help="A collection, as in Companies, whose table is made too where it is missing; may be given several times.",
)
@lock_option
def upgrade(setting: Setting, revision: str, collections: tuple[str, ...], lock_timeout: float) -> None:
    """Bring databases to REVISION, by default the newest; one that is missing is made.

    REVISION may also be "+1", the next one.
    """

    def work(target: Target) -> None:
        state = upgrade_database(target, revision, lock_timeout=lock_timeout, listener=listener_of(target))
        click.echo(f"{target.database}: {state}")
        if collections:
            for collection, table in create_collections(target, collections).items():
                click.echo(f"{target.database}: the collection {collection} is in the table {table}")

    setting.for_each(work)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision")
@on_databases
@lock_option
def downgrade(setting: Setting, revision: str, lock_timeout: float) -> None:
    """Bring databases back to REVISION: "-1" is the one before, "base" takes the system tables away.

    A database that holds collections does not go back to "base".
    """

    def work(target: Target) -> None:
        state = downgrade_database(target, revision, lock_timeout=lock_timeout, listener=listener_of(target))
        click.echo(f"{target.database}: {state}")

    setting.for_each(work)


@click.command()
@on_databases
def current(setting: Setting) -> None:
    """Show at which revision databases are."""
    setting.for_each(lambda target: click.echo(f"{target.database}: {current_state(target)}"))


@click.command()
@on_databases
@click.pass_context
def check(ctx: click.Context, setting: Setting) -> None:
    """Compare databases with what docsession would make; exit with 1 where they differ."""
    differs = False

    def work(target: Target) -> None:
        nonlocal differs
        lines = drift(target)
        for line in lines or ["no difference"]:
            click.echo(f"{target.database}: {line}")
        differs = differs or bool(lines)

    setting.for_each(work)
    if differs:
        ctx.exit(1)

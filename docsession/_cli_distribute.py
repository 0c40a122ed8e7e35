"""The command `docsession distribute`."""

from __future__ import annotations

from typing import Final

import click

from docsession._cli_common import Setting, lock_option, on_databases
from docsession._errors import MigrationException
from docsession._migrate import Target
from docsession._migrate._distribute import Sharding, distribute, plan_distribution

COST: Final = {
    Sharding.SCHEMA: "Each database is put on one worker as a whole. Nothing of docsession is lost by that; tables "
    "outside of it, as those of the application, can be joined with it no longer where they are on another node.",
    Sharding.ID: "The documents of each collection are spread over all workers by their id. That takes away: unique "
    "indexes on fields, foreign keys and triggers on the tables of collections; and reads of several documents are no "
    "longer of one moment, at any isolation level (a save is still written as a whole, and checked versions hold). "
    "Collections that begin later are spread when this command is run again.",
}


@click.command("distribute")
@on_databases
@click.option(
    "--by",
    "sharding",
    type=click.Choice([each.value for each in Sharding]),
    required=True,
    help="schema: each database as a whole on one worker. id: the documents of each collection over all workers.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; print the SQL.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@lock_option
def distribute_command(setting: Setting, sharding: str, dry_run: bool, yes: bool, lock_timeout: float) -> None:
    """Spread databases over the workers of Citus.

    The server is the coordinator of a Citus cluster, and the PostgreSQL database has the extension. What is spread
    already is left as it is.
    """
    how = Sharding(sharding)
    if not dry_run:
        click.echo(COST[how], err=True)
        if not yes and not click.confirm(f"Distribute {', '.join(setting.databases)}?", err=True):
            raise MigrationException("nothing was done; --yes answers in scripts")

    def work(target: Target) -> None:
        if dry_run:
            _show(target, how)
        elif distribute(target, how, lock_timeout, lambda: _wait(target), lambda sql: _tell(target, sql)):
            click.echo(f"{target.database}: distributed by {sharding}")
        else:
            click.echo(f"{target.database}: is distributed by {sharding} already")

    setting.for_each(work)


def _show(target: Target, how: Sharding) -> None:
    plan = plan_distribution(target, how)
    if not plan.is_installed:
        click.echo(f"-- {target.database}: the extension `citus` is missing here", err=True)
    for statement in plan.statements:
        click.echo(f"{statement};")


def _tell(target: Target, statement: str) -> None:
    click.echo(f"{target.database}: {statement}")


def _wait(target: Target) -> None:
    click.echo(f"{target.database}: waiting for another process that is changing it …", err=True)

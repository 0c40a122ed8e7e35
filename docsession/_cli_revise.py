"""The commands that compare databases with the models and write revisions and scripts."""

from __future__ import annotations

from pathlib import Path

import click

from docsession._cli_common import Setting, autogenerate_command, on_databases
from docsession._documents._naming import command_line
from docsession._errors import InvalidArgumentException
from docsession._migrate import Standing, Target, current, drift, write_sql
from docsession._migrate._declared_drift import declared_drift
from docsession._migrate._drift import missing_collections
from docsession._migrate._project import lines_of
from docsession._migrate._revise import Written, autogenerate, write_revision
from docsession._migrate._scripts import LIBRARY
from docsession._migrate._steps import range_of


@click.command()
@on_databases
@click.pass_context
def check(ctx: click.Context, setting: Setting) -> None:
    """Compare databases with what docsession and the project's models would make; exit with 1 where they differ."""
    lines = lines_of(setting.project)
    collections = setting.collections()
    setting.tell_unmarked()
    needs = setting.needs()
    differs = False

    def work(target: Target) -> None:
        nonlocal differs
        found = drift(target)
        for line in lines:
            state = current(target, line)
            if line is not LIBRARY and state.standing not in {Standing.CURRENT, Standing.MISSING}:
                found.append(str(state))
        if not found:
            found += [_missing(setting, target, *each) for each in missing_collections(target, collections)]
        if not found:
            found += [f"{line}; run `{autogenerate_command()}`" for line in declared_drift(target, needs)]
        for text in found or ["no difference"]:
            click.echo(f"{target.database}: {text}")
        differs = differs or bool(found)

    setting.for_each(work)
    if differs:
        ctx.exit(1)


def _missing(setting: Setting, target: Target, collection: str, table: str) -> str:
    has_revisions = len(lines_of(setting.project)) > 1
    command = autogenerate_command() if has_revisions else None
    command = command or command_line("upgrade", target.database, [collection])
    return f"table {table}: is missing, for the collection {collection} of the models; run `{command}`"


@click.command()
@click.argument("range_", metavar="[RANGE]", default="base:head")
@on_databases
@click.option("--downgrade", "-D", "down", is_flag=True, help="Write what goes back.")
def sql(setting: Setting, range_: str, down: bool) -> None:
    """Print the SQL that brings databases from one revision to another, for psql; asks no server.

    RANGE is like "0001:head"; without one it is everything, "base:head". With --downgrade it is like "head:0001".
    "project@base:head" is a range of the project's own revisions.

    Run it with `psql --set ON_ERROR_STOP=1`, while no other process migrates the database: it takes no lock.
    """
    start, steps = range_of(range_, lines_of(setting.project))
    for database in setting.databases:
        click.echo(f"-- The database {database}.\n")
        for step in steps:
            click.echo(write_sql(database, start, step.revision, line=step.line, down=down), nl=False)


@click.command()
@click.option("--message", "-m", required=True, metavar="TEXT", help="What the revision does, in a few words.")
@click.option("--autogenerate", "compare", is_flag=True, help="Write what the first database lacks of the models.")
@click.option("--rev-id", metavar="ID", help="The revision's id; without it one is made.")
@on_databases
def revision(setting: Setting, message: str, compare: bool, rev_id: str | None) -> None:
    """Write the project's next revision into its folder; read it before it is run."""
    folder = setting.project.migrations
    if folder is None:
        raise InvalidArgumentException(
            "a project's revisions need a configuration: write docsession.toml with, for instance, "
            'models = ["shop.models"]; they go into docsession_migrations beside it'
        )
    if not compare:
        _tell(write_revision(folder, message, rev_id))
        return
    if not setting.project.models:
        raise InvalidArgumentException(f"--autogenerate needs models, and {setting.project.place} names none")
    if not setting.databases:
        raise InvalidArgumentException("--autogenerate needs a database to compare with: --database NAME")
    written = autogenerate(setting.targets[0], folder, setting.needs(), message, rev_id)
    if written is None:
        click.echo(f"{setting.databases[0]}: has all that the models need; nothing was written")
    else:
        _tell(written)


def _tell(written: Written) -> None:
    here = Path.cwd()
    file = written.file.relative_to(here) if written.file.is_relative_to(here) else written.file
    click.echo(f"wrote {file}")

"""The commands that bring databases to a revision, and tell at which they are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

from docsession._cli_common import Setting, listener_of, lock_option, on_databases
from docsession._migrate import Standing, State, Target, create_collections, run_locked
from docsession._migrate import current as current_state
from docsession._migrate import downgrade as downgrade_database
from docsession._migrate import upgrade as upgrade_database
from docsession._migrate._project import lines_of
from docsession._migrate._scripts import scripts
from docsession._migrate._steps import Step, steps_to


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
@click.option("--all-collections", is_flag=True, help="The same for every collection of the project's models.")
@lock_option
def upgrade(
    setting: Setting, revision: str, collections: tuple[str, ...], all_collections: bool, lock_timeout: float
) -> None:
    """Bring databases to REVISION, by default the newest; one that is missing is made.

    REVISION may also be "+1", the next one. Where the project has revisions of its own, they follow docsession's;
    "docsession@…" and "project@…" name those of one of them.
    """
    steps = steps_to(revision, lines_of(setting.project))
    wanted = _wanted_collections(setting, collections, all_collections=all_collections)

    needs = setting.needs() if wanted and setting.project.models else []

    def work(target: Target) -> None:
        _migrate(upgrade_database, target, steps, lock_timeout)
        if wanted:
            for collection, table in create_collections(target, wanted, needs).items():
                click.echo(f"{target.database}: the collection {collection} is in the table {table}")

    with _one_run(setting, lock_timeout):
        setting.for_each(work)


def _wanted_collections(setting: Setting, given: Iterable[str], *, all_collections: bool) -> dict[str, str | None]:
    """Return the table of each collection whose table is to be made; None where the name decides."""
    if not setting.project.models:
        if all_collections:
            raise click.UsageError(f"--all-collections needs models, and {setting.project.place} names none")
        return dict.fromkeys(given)
    known = setting.collections()
    for collection in given:
        if collection not in known:
            click.echo(
                f"warning: no class of the models has the collection {collection!r}; they have: {', '.join(known)}",
                err=True,
            )
    if all_collections:
        setting.tell_unmarked()
    wanted = dict.fromkeys((*(known if all_collections else ()), *given))
    return {collection: known.get(collection) for collection in wanted}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision")
@on_databases
@lock_option
def downgrade(setting: Setting, revision: str, lock_timeout: float) -> None:
    """Bring databases back to REVISION: "-1" is the one before, "base" takes the system tables away.

    A database that holds collections does not go back to "base". Where the project has revisions of its own, say whose:
    "project@-1", "docsession@0001".
    """
    steps = steps_to(revision, lines_of(setting.project), down=True)
    with _one_run(setting, lock_timeout):
        setting.for_each(lambda target: _migrate(downgrade_database, target, steps, lock_timeout))


def _migrate(run: Callable[..., State], target: Target, steps: Iterable[Step], lock_timeout: float) -> None:
    for step in steps:
        state = run(target, step.revision, line=step.line, lock_timeout=lock_timeout, listener=listener_of(target))
        click.echo(f"{target.database}: {state}")


@contextmanager
def _one_run(setting: Setting, lock_timeout: float) -> Iterator[None]:
    if not setting.databases:
        yield
        return
    waiting = functools.partial(click.echo, "waiting for another docsession that is migrating databases …", err=True)
    with run_locked(setting.conninfo, lock_timeout, waiting):
        yield


@click.command()
@on_databases
@click.option("--check-heads", is_flag=True, help="Exit with 1 also where a database is not at the newest revision.")
@click.option("--verbose", "-v", is_flag=True, help="Show what the revision does and where its file is.")
@click.pass_context
def current(ctx: click.Context, setting: Setting, check_heads: bool, verbose: bool) -> None:
    """Show at which revision databases are; exit with 1 where one is missing."""
    lines = lines_of(setting.project)
    states: list[State] = []

    def work(target: Target) -> None:
        for line in lines:
            state = current_state(target, line)
            states.append(state)
            click.echo(f"{target.database}: {state}")
            if verbose:
                _show_revision(state)
            if state.standing is Standing.MISSING:
                break

    setting.for_each(work)
    accepted = {Standing.CURRENT} if check_heads else set(Standing) - {Standing.MISSING}
    if any(state.standing not in accepted for state in states):
        ctx.exit(1)


def _show_revision(state: State) -> None:
    for script in scripts(state.line).walk_revisions():
        if script.revision == state.revision:
            click.echo(f"    {script.doc}\n    {script.path}")


@click.command()
@on_databases
@click.option("--indicate-current", "-i", is_flag=True, help="Ask the server, and mark where the databases are.")
@click.option("--verbose", "-v", is_flag=True, help="Show the files too.")
def history(setting: Setting, indicate_current: bool, verbose: bool) -> None:
    """List the revisions there are, the newest first; asks no server."""
    for line in lines_of(setting.project):
        click.echo(line.label if line.folder is None else f"{line.label} ({line.folder})")
        states = [current_state(target, line) for target in setting.targets] if indicate_current else []
        directory = scripts(line)
        for script in directory.walk_revisions():
            marks = ["head"] if script.revision in directory.get_heads() else []
            marks += [state.target.database for state in states if state.revision == script.revision]
            mark = f" ({', '.join(marks)})" if marks else ""
            click.echo(f"    {script.revision}{mark}: {script.doc}")
            if verbose:
                click.echo(f"        {script.path}")

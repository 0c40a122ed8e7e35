"""The commands that work on documents: `docsession documents migrate`."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from typing import Final

import click
import msgspec

from docsession._cli_common import Setting, on_databases
from docsession._documents._exact import canonical_exact, decode_exact
from docsession._documents._mapping import Mappings
from docsession._errors import MigrationException
from docsession._faces._store import DocumentStore
from docsession._migrate import Target
from docsession._migrate._documents import BATCH_SIZE, Change, DocumentMigration, Options

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it."""


@click.group()
def documents() -> None:
    """Work on the documents of a collection."""


@documents.command()
@click.argument("model", metavar="MODEL")
@on_databases
@click.option(
    "--models",
    "-m",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="A module with the classes and their upcasters, instead of those of the configuration; may be given several "
    "times.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 10_000),
    default=BATCH_SIZE,
    show_default=True,
    metavar="N",
    help="How many documents are read and written at once, in one transaction.",
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="How many documents a second at most."
)
@click.option("--after", default="", metavar="ID", help="Only documents whose id is behind this one.")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be written.")
@click.option(
    "--sample",
    type=click.IntRange(0),
    metavar="N",
    help="Show what changes in the first N documents.  [default: 3 with --dry-run, else 0]",
)
@click.option("--progress/--no-progress", default=None, help="Show a bar.  [default: on a terminal]")
def migrate(
    setting: Setting,
    model: str,
    modules: tuple[str, ...],
    batch: int,
    rate: float | None,
    after: str,
    dry_run: bool,
    sample: int | None,
    progress: bool | None,
) -> None:
    """Bring the documents of MODEL to the current version of their class.

    MODEL is a class of the project's models, by its name or its collection, or package.module:Class. Subclasses in its
    collection are among its documents.

    Other programs may read and write meanwhile: what they have written is not overwritten, but taken up again at the
    end. After an interruption the same command goes on where it stopped, for documents that are up to date are passed
    over. Ctrl-C ends with the exit code 130.
    """
    if not modules and ":" in model:
        modules, model = (model,), model.rpartition(":")[2].rpartition(".")[2]
    if modules:
        setting = setting.with_models(modules)
    cls = setting.find_model(model)
    options = Options(batch, rate, after, dry_run)
    shown = (3 if dry_run else 0) if sample is None else sample
    if not setting.databases:
        return
    with setting.open_store() as store:
        setting.for_each(lambda target: _migrate(store, target, cls, options, shown, progress))


def _migrate(
    store: DocumentStore, target: Target, cls: type, options: Options, shown: int, with_bar: bool | None
) -> None:
    database = store._database_of(target.database)
    migration = DocumentMigration(store._start(), database, Mappings(store.conventions), cls, options)
    name = f"{target.database}: {migration.collection}"
    total, unknown = migration.prepare()
    if unknown:
        click.echo(
            f"{name}: {_count(unknown)} of subclasses that no model has, by their @type, left as they are; name "
            "the modules of these classes too",
            err=True,
        )
    done = "would be brought" if options.is_dry else "brought"
    try:
        _work(migration, name, total, shown, is_bar_wanted=sys.stderr.isatty() if with_bar is None else with_bar)
    except KeyboardInterrupt:
        click.echo(f"\n{name}: {_count(migration.progress.written)} {done} up to date, then interrupted", err=True)
        click.echo(_how_to_go_on(migration), err=True)
        raise SystemExit(INTERRUPTED) from None
    except BaseException:
        click.echo(f"{name}: {_count(migration.progress.written)} {done} up to date, then stopped", err=True)
        click.echo(_how_to_go_on(migration), err=True)
        raise
    click.echo(f"{name}: {_count(migration.progress.written)} {done} up to date")
    if failed := migration.progress.failed:
        raise MigrationException(
            f"{_count(len(failed))} of {name} could not be brought up to date and stay as they are:\n"
            f"{migration.progress.failures()}\nEverything else is done"
        )


def _work(migration: DocumentMigration, name: str, total: int, shown: int, *, is_bar_wanted: bool) -> None:
    with click.progressbar(
        length=total, label=name, file=sys.stderr, show_pos=True, hidden=not (is_bar_wanted and total)
    ) as bar:
        for changes in migration.batches():
            for change in changes[:shown]:
                click.echo("".join(_difference(change)), nl=False)
            shown -= min(shown, len(changes))
            bar.update(len(changes))


def _how_to_go_on(migration: DocumentMigration) -> str:
    progress = migration.progress
    if progress.last and not progress.conflicts:
        return f"Run the command again to go on; --after {_quoted(progress.last)} passes over what was looked at."
    return "Run the command again to go on."


def _count(number: int) -> str:
    return f"{number} document{'' if number == 1 else 's'}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _difference(change: Change) -> Iterator[str]:
    before, after = _lines(change.before), _lines(change.after)
    return difflib.unified_diff(before, after, change.key, change.key)


def _lines(columns: Iterable[bytes]) -> list[str]:
    data, metadata = (msgspec.json.format(_sorted(column), indent=2).decode() for column in columns)
    return [f"{line}\n" for line in f"{data}\n@metadata {metadata}".splitlines()]


def _sorted(column: bytes) -> bytes:
    return canonical_exact(decode_exact(column[1:])) if column else b"{}"

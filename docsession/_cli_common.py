"""What the commands share: the options that say which databases, and the project's settings behind them.

A command is a function with `setting` as its first argument, under `@on_databases`:

    @click.command()
    @on_databases
    def count(setting: Setting) -> None:
        setting.for_each(lambda target: click.echo(f"{target.database}: …"))

and is added to the list in `_cli.py`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import click
from psycopg.conninfo import make_conninfo

from docsession._conventions import DocumentConventions
from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._documents._naming import PROGRAM, check_database
from docsession._embedded import EmbeddedServer
from docsession._errors import DocSessionError, InvalidArgumentException
from docsession._faces._store import DocumentStore
from docsession._faces._store_common import DEFAULT_DATABASE, URL_VARIABLE
from docsession._migrate import LOCK_TIMEOUT_SECONDS, Listener, Target, database_names
from docsession._migrate._project import (
    EVERY_DATABASE,
    Model,
    Project,
    Server,
    collections_of,
    find_project,
    find_server,
    load_models,
    load_store,
    needs_of,
    unmarked_of,
)


def autogenerate_command() -> str:
    """Return the command that writes a revision with what models declare, as it is called here."""
    return f"{PROGRAM.get()} revision --autogenerate"


class Failed(click.ClickException):
    """It could not be done; the message is the last line."""

    exit_code = 3

    def __init__(self, error: DocSessionError) -> None:
        super().__init__(f"{error} [{error.code}]")


class Setting:
    """What a command works on; a server is looked for when it is needed first.

    Attributes:
        project: What `docsession.toml` says.
        store: The store that it names, not started; None where it names none.
        server: Who named the server.
        names: The databases as they were named; `("*",)` is all that exist.
        names_given: True where single databases were named.
    """

    def __init__(self, project: Project, url: str | None, names: tuple[str, ...], resources: ExitStack) -> None:
        self.project = project
        self.store = load_store(project)
        self.server: Server = find_server(project, self.store, url, URL_VARIABLE)
        default = DEFAULT_DATABASE if self.store is None else self.store.database
        self.names = names or project.databases or (default,)
        self.names_given = bool(names or project.databases) and self.names != (EVERY_DATABASE,)
        self._resources = resources

    @cached_property
    def conninfo(self) -> Mapping[str, str]:
        """The server, by libpq's names; the embedded one is started, and left when the command has ended."""
        if self.server.conninfo is not None:
            return self.server.conninfo
        options: dict[str, Any] = {} if self.store is None else self.store._embedded_options
        embedded = self._resources.enter_context(EmbeddedServer.start(**options))
        click.echo(f"the embedded PostgreSQL in {embedded.data_directory}", err=True)
        return {name: str(value) for name, value in embedded.conninfo.items()}

    @cached_property
    def databases(self) -> tuple[str, ...]:
        """The databases, in order; the server is asked where all are meant."""
        if self.names != (EVERY_DATABASE,):
            return self.names
        found = tuple(database_names(self.conninfo))
        if not found:
            click.echo("there is no database of docsession on this server yet; name one: --database NAME", err=True)
        return found

    @property
    def targets(self) -> list[Target]:
        """The databases on their server."""
        return [Target(self.conninfo, name) for name in self.databases]

    def for_each(self, work: Callable[[Target], None]) -> None:
        """Do *work* on one database after the other; where one fails, say which were done and which not."""
        for index, target in enumerate(self.targets):
            try:
                work(target)
            except BaseException:
                _tell_the_rest(self.databases, index)
                raise

    def models(self) -> list[type]:
        """Import the project's models and return their classes."""
        return load_models(self.project)

    def collections(self) -> dict[str, str]:
        """Return the table of each collection of the project's models."""
        return collections_of(self.models(), Mappings(self.conventions))

    def tell_unmarked(self) -> None:
        """Warn of classes that look like documents, and that no command will see."""
        for cls in unmarked_of(self.project):
            name = f"{cls.__module__}:{cls.__qualname__}"
            click.echo(
                f"warning: {name} has an id, and is not marked as a document, so it was passed over: put @document "
                f"above it, or name it in the models, {name!r}",
                err=True,
            )
        if self.project.models and not self.models():
            click.echo(
                f"warning: no class of the models ({', '.join(self.project.models)}) is marked with @document", err=True
            )

    def needs(self) -> list[Model]:
        """Return what the project's models need of a database."""
        return needs_of(self.models(), self.conventions)

    def with_models(self, models: tuple[str, ...]) -> Setting:
        """Return the same setting with other models; without a configuration they are found from the working folder."""
        changed = copy(self)
        path = self.project.python_path or (Path.cwd(),)
        changed.project = replace(self.project, models=models, python_path=path)
        return changed

    def find_model(self, name: str) -> type:
        """Return the class of the project's models that is called *name*, as it is or by its collection.

        Raises:
            InvalidArgumentException: There is none, or several.
        """
        models = self.models()
        mappings = Mappings(self.conventions)
        found = [cls for cls in models if name in {cls.__name__, f"{cls.__module__}.{cls.__qualname__}"}]
        if not found:
            mapped: list[tuple[type, DocumentMapping[Any]]] = [(cls, mappings.for_class(cls)) for cls in models]
            found = [cls for cls, mapping in mapped if mapping.collection == name and mapping.alias is None]
        if len(found) == 1:
            return found[0]
        if found:
            places = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in found)
            raise InvalidArgumentException(f"{name!r} is one of {places}: name it with its module")
        known = ", ".join(cls.__name__ for cls in models) or "none"
        raise InvalidArgumentException(
            f"there is no class {name!r} among the models of {self.project.place}; there are: {known}"
        )

    @property
    def conventions(self) -> DocumentConventions:
        """The conventions of the project's store, else the default ones."""
        return self.store.conventions if self.store is not None else DocumentConventions()

    @contextmanager
    def open_store(self) -> Iterator[DocumentStore]:
        """Open a blocking store on the server: the project's own where it is one, else one with its conventions."""
        if isinstance(self.store, DocumentStore) and self.server.is_of_store:
            with self.store:
                yield self.store
            return
        with DocumentStore(
            make_conninfo("", **self.conninfo), self.databases[0], conventions=self.conventions
        ) as store:
            yield store


def _tell_the_rest(databases: tuple[str, ...], index: int) -> None:
    if len(databases) > 1:
        done, rest = databases[:index], databases[index + 1 :]
        click.echo(
            f"stopped at {databases[index]}; done: {', '.join(done) or 'none'}; not begun: {', '.join(rest) or 'none'}",
            err=True,
        )


def project_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--config` and give the command the project as *project*; a framework's, where one runs the command."""

    @click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The docsession.toml or pyproject.toml; without it the nearest one at or above the working directory.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, config: Path | None = None, **options: Any) -> None:
        given = click.get_current_context().find_object(Project)
        command(*args, project=find_project(Path.cwd(), config) if given is None else given, **options)

    return wrapped


def on_databases(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which databases, and give the command what they mean as its first argument."""

    @click.option(
        "--url",
        metavar="URL",
        help=f"The server, postgresql://…; without it what the configuration says, else {URL_VARIABLE}, else the "
        "embedded server.",
    )
    @click.option(
        "--database",
        "-d",
        "databases",
        multiple=True,
        metavar="NAME",
        help="A database (a schema of the server); may be given several times.  [default: those of the configuration, "
        f'else "{DEFAULT_DATABASE}"]',
    )
    @click.option("--all-databases", "-A", is_flag=True, help="Every database of docsession that the server has.")
    @project_option
    @click.pass_context
    @functools.wraps(command)
    def wrapped(
        ctx: click.Context,
        /,
        *,
        project: Project,
        url: str | None,
        databases: tuple[str, ...],
        all_databases: bool,
        **options: Any,
    ) -> None:
        if all_databases and databases:
            raise click.UsageError("--database and --all-databases exclude each other")
        if url is not None and not url.strip():
            raise click.UsageError("--url is empty; name a server, or leave it out")
        named = (url, project.url, project.url_variable, project.store, project.make_store)
        if os.environ.get(URL_VARIABLE) == "" and not any(named):
            raise click.UsageError(f"{URL_VARIABLE} is empty; name a server, or leave it out for the embedded one")
        names = (EVERY_DATABASE,) if all_databases else tuple(dict.fromkeys(map(check_database, databases)))
        command(Setting(project, url, names, ctx.with_resource(ExitStack())), **options)

    return wrapped


lock_option = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=LOCK_TIMEOUT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another process that is changing the same databases.",
)


def listener_of(target: Target) -> Listener:
    """Return who prints how the migration of a database goes on."""
    return Listener(
        step=lambda line: click.echo(f"{target.database}: {line}"),
        waiting=lambda: click.echo(f"{target.database}: waiting for another process that is changing it …", err=True),
    )


EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 check, or current, found a database that is not as it should be; 2 wrong usage; "
    "3 it could not be done, and the last line says why; 130 Ctrl-C."
)

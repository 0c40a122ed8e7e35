"""The command `docsession`.

Exit codes: 0 done; 1 `check`, or `current`, found a database that is not as it should be; 2 wrong usage; 3 it could not
be done, and the last line says why.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

import click
from typing_extensions import override

from docsession._cli_common import EXIT_CODES, Failed
from docsession._cli_distribute import distribute_command
from docsession._cli_documents import documents
from docsession._cli_indexes import indexes
from docsession._cli_inspect import config, databases, shell
from docsession._cli_migrate import current, downgrade, history, upgrade
from docsession._cli_revise import check, revision, sql
from docsession._documents._naming import PROGRAM
from docsession._errors import DocSessionError
from docsession._migrate._project import Project

Command = TypeVar("Command", bound=click.Command)

COMMANDS = (
    upgrade,
    downgrade,
    current,
    history,
    check,
    revision,
    sql,
    documents,
    distribute_command,
    databases,
    indexes,
    config,
    shell,
)
"""In the order of the help; a command of another module is added here."""


class Commands(click.Group):
    """Prints the errors of docsession as one message instead of a traceback."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DocSessionError as error:
            raise Failed(error) from error
        except KeyboardInterrupt:
            # As shells have it; click's own 1 would say that something differs.
            click.echo("Aborted!", err=True)
            ctx.exit(130)

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for command in COMMANDS if (name := command.name) is not None]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(package_name="docsession")
def main() -> None:
    """Bring the databases of docsession to a revision, compare them with it, and look into them."""


for _command in COMMANDS:
    main.add_command(_command)


def commands_for(find: Callable[[str | None], Project]) -> click.Group:
    """Return the same commands as a group of a framework's own, which takes the place of `docsession.toml`.

    Args:
        find: Takes the store's name, None for the default one, and returns what the framework's settings say of it.
    """

    @click.option("--store", metavar="NAME", help="One of several stores of the settings.  [default: the default one]")
    @click.pass_context
    def group(ctx: click.Context, store: str | None) -> None:
        program = ctx.command_path if store in {None, "default"} else f"{ctx.command_path} --store {shlex.quote(store)}"
        token = PROGRAM.set(program)
        ctx.call_on_close(lambda: PROGRAM.reset(token))
        ctx.obj = find(store)

    group.__doc__ = main.help
    made = click.group("docsession", cls=Commands, epilog=EXIT_CODES)(group)
    for command in COMMANDS:
        made.add_command(_without_file(command))
    return made


def _without_file(command: Command) -> Command:
    """Return the command without the option that names a file."""
    changed = copy(command)
    changed.params = [param for param in command.params if param.name != "config"]
    if isinstance(changed, click.Group):
        changed.commands = {name: _without_file(each) for name, each in changed.commands.items()}
    return changed

"""The command `docsession`.

Exit codes: 0 done; 1 `check`, or `current`, found a database that is not as it should be; 2 wrong usage; 3 it could not
be done, and the last line says why.
"""

from __future__ import annotations

from typing import Any

import click
from typing_extensions import override

from docsession._cli_common import EXIT_CODES, Failed
from docsession._cli_distribute import distribute_command
from docsession._cli_documents import documents
from docsession._cli_indexes import indexes
from docsession._cli_inspect import config, databases, shell
from docsession._cli_migrate import current, downgrade, history, upgrade
from docsession._cli_revise import check, revision, sql
from docsession._errors import DocSessionError

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


class _Commands(click.Group):
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(package_name="docsession")
def main() -> None:
    """Bring the databases of docsession to a revision, compare them with it, and look into them."""


for _command in COMMANDS:
    main.add_command(_command)

"""`manage.py docsession upgrade`, and the other commands of `docsession`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any

import click
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS
from typing_extensions import override

from docsession._cli import commands_for
from docsession._migrate._project import Project
from docsession.contrib.django._projects import project_of
from docsession.contrib.django._stores import STORES


class Command(BaseCommand):
    """The commands of `docsession`, on the stores that Django's settings describe."""

    help = "Bring the databases of docsession to a revision, compare them with it, and look into them."
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", default=DEFAULT_DB_ALIAS, help="One of several stores of DOCSESSION.")
        parser.add_argument(
            "command_line",
            nargs=argparse.REMAINDER,
            metavar="COMMAND …",
            help="upgrade, check, revision …, with their options; without one they are listed.",
        )

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        streams = contextlib.ExitStack()
        if options.get("stdout") is not None:
            streams.enter_context(contextlib.redirect_stdout(options["stdout"]))
        if options.get("stderr") is not None:
            streams.enter_context(contextlib.redirect_stderr(options["stderr"]))
        with streams:
            command_line = _without_djangos(options["command_line"]) or ["--help"]
            code = self._run(["--store", options["store"], *command_line])
        if code:
            sys.exit(code)

    @staticmethod
    def _run(command_line: list[str]) -> int:
        try:
            code = commands_for(_find).main(command_line, prog_name="manage.py docsession", standalone_mode=False)
        except click.ClickException as error:
            raise CommandError(error.format_message(), returncode=error.exit_code) from error
        except click.Abort as error:
            raise CommandError("aborted", returncode=130) from error
        except ImproperlyConfigured as error:
            raise CommandError(str(error), returncode=3) from error
        return code if isinstance(code, int) else 0


def _find(store: str | None) -> Project:
    return project_of(STORES.settings_of(store or DEFAULT_DB_ALIAS))


def _without_djangos(command_line: list[str]) -> list[str]:
    """Leave out Django's own options, which may stand behind the command and are known by now."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name)
    for name in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        parser.add_argument(name, action="store_true")
    return parser.parse_known_args(command_line)[1]

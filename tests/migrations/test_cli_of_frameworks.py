"""The same commands as a group of a framework's own, whose settings take the place of a file."""

import pytest
from click.testing import CliRunner

from docsession import DocumentStore, InvalidArgumentException
from docsession._cli import commands_for, main
from docsession._migrate._project import Project
from docsession._sql._schema import HEAD_REVISION
from tests.migrations.conftest import DONE, FAILED, USAGE


@pytest.fixture
def made():
    """The stores that the settings were asked for."""
    return []


@pytest.fixture
def command(made, url_of, database, monkeypatch, tmp_path):
    """Run a command of the group, and return its exit code and what it printed."""
    monkeypatch.delenv("DOCSESSION_URL", raising=False)
    monkeypatch.chdir(tmp_path)

    def make_store():
        made.append(DocumentStore(url_of(), database))
        return made[-1]

    def find(name):
        if name not in {None, "default"}:
            raise InvalidArgumentException(f"there is no store {name!r}")
        return Project(source="the settings", make_store=make_store)

    group = commands_for(find)

    def call(*arguments):
        result = CliRunner().invoke(group, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.output

    return call


def test_it_works_on_the_settings_store(command, database):
    assert command("upgrade")[0] == DONE
    assert command("--store", "default", "check") == (DONE, f"{database}: no difference\n")


def test_what_is_named_at_the_command_counts_before_the_settings(command, new_database):
    other = new_database()
    assert command("upgrade", "--database", other)[1].endswith(f"{other}: {HEAD_REVISION}, the newest\n")


def test_the_configuration_is_shown_with_its_place(command):
    code, output = command("config")
    assert code == DONE
    assert output.startswith("file: the settings\nserver: ")
    assert "(from the settings)\nstore: as the settings say\n" in output


def test_a_command_that_opens_a_store_closes_its_own(command, made):
    assert command("upgrade")[0] == DONE
    made.clear()
    assert command("shell", "--command", "print(session.advanced.number_of_requests)") == (DONE, "0\n")
    assert [store.disposed for store in made] == [True]


def test_no_file_is_asked_for_or_read(command, tmp_path):
    (tmp_path / "docsession.toml").write_text("this is no TOML", encoding="utf-8")
    assert command("config")[0] == DONE
    assert command("config", "--config", "docsession.toml")[0] == USAGE
    code, output = command("documents", "migrate", "--help")
    assert (code, "--config" in output, "--batch" in output) == (DONE, False, True)


def test_what_the_settings_refuse_is_one_line(command):
    assert command("--store", "other", "check") == (FAILED, "Error: there is no store 'other' [ds220]\n")


def test_they_are_all_the_commands(command):
    group = commands_for(lambda _: Project())
    assert set(group.commands) == set(main.commands)
    assert "--config" in CliRunner().invoke(main, ["check", "--help"]).output

"""Where the revisions are found, and what a state says (no database)."""

import pytest

from docsession._errors import MigrationException
from docsession._migrate import Standing, State, Target
from docsession._migrate._scripts import script_location, scripts
from docsession._sql._schema import HEAD_REVISION


def made(folder):
    folder.mkdir(parents=True)
    (folder / "env.py").touch()
    return folder


class TestPlaces:
    def test_an_installed_package_carries_the_revisions(self, tmp_path):
        inside = made(tmp_path / "docsession" / "_migrations")
        made(tmp_path / "migrations")
        assert script_location(tmp_path / "docsession") == inside

    def test_in_a_checkout_they_are_beside_the_package(self, tmp_path):
        beside = made(tmp_path / "migrations")
        assert script_location(tmp_path / "docsession") == beside

    def test_other_migrations_beside_an_installed_package_are_not_taken(self, tmp_path):
        (tmp_path / "migrations").mkdir()
        with pytest.raises(MigrationException, match="install docsession again"):
            script_location(tmp_path / "docsession")

    def test_every_revision_can_be_loaded(self):
        assert next(script.revision for script in scripts().walk_revisions()) == HEAD_REVISION


class TestCommands:
    @pytest.mark.parametrize(
        ("database", "expected"),
        [
            ("docsession", "docsession upgrade --database docsession"),
            ("my shop", "docsession upgrade --database 'my shop'"),
            ("-shop", "docsession upgrade --database=-shop"),
            ("it's", """docsession upgrade --database 'it'"'"'s'"""),
        ],
    )
    def test_a_command_can_be_pasted_into_a_shell(self, database, expected):
        assert Target({}, database).command("upgrade") == expected

    def test_a_target_does_not_show_its_password(self):
        assert "secret" not in repr(Target({"password": "secret"}, "shop"))


class TestStates:
    @pytest.mark.parametrize(
        ("standing", "revision", "expected"),
        [
            (Standing.MISSING, None, "does not exist; run `docsession upgrade --database shop`"),
            (Standing.EMPTY, None, "has no revision; run `docsession upgrade --database shop`"),
            (Standing.OLDER, "0000", "0000, older than 0001; run `docsession upgrade --database shop`"),
            (Standing.CURRENT, "0001", "0001, the newest"),
        ],
    )
    def test_a_state_says_what_to_do(self, standing, revision, expected):
        assert str(State(Target({}, "shop"), standing, revision, "0001")) == expected

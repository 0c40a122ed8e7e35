"""A primary and a streaming standby, started by the test and gone after it.

The programs are the embedded server's, of the major version that the run tests, or those of
DOCSESSION_TEST_BINARIES (a directory with bin/). Both servers listen on sockets in a directory that
nobody else can enter, without passwords.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psycopg

from docsession._embedded._account import Account, server_account
from docsession._embedded._binaries import find_binaries
from docsession._embedded._places import system_base
from docsession._embedded._postmaster import read_pid_file
from tests.support.servers import eventually

SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "hot_standby": "on",
    "listen_addresses": "",
    "max_connections": "100",
    "max_wal_senders": "5",
    "shared_buffers": "16MB",
    # Only a transaction that asks for it waits for the standby.
    "synchronous_commit": "local",
    "unix_socket_permissions": "0700",
    "wal_keep_size": "64MB",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "50ms",
}
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
SECONDS = 60
NONE: Mapping[str, str] = MappingProxyType({})


class Server:
    """One PostgreSQL in `folder`, run by this process."""

    def __init__(self, binaries: Path, account: Account, folder: Path, settings: Mapping[str, str]) -> None:
        self.data = folder / "data"
        self.url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}&port=5432"
        self.conninfo = f"host={folder} port=5432 user=postgres"
        self._settings = SETTINGS | {"unix_socket_directories": str(folder)} | settings
        self._binaries = binaries
        self._account = account
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o700)
        account.give(folder)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        done = self._account.run([self._binaries / program, *arguments])
        assert done.returncode == 0, done.stdout.decode()

    def start(self) -> None:
        """Start it, and return once it accepts connections."""
        assert self._process is None, "it runs already"
        command = [str(self._binaries / "postgres"), "-D", str(self.data)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        user = {"user": self._account.uid, "group": self._account.gid, "extra_groups": ()}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"LC_ALL": "C", "PGTZ": "UTC"},
                start_new_session=True,
                **(user if self._account.switched else {}),
            )
        assert eventually(self._is_ready, SECONDS), self._log.read_text()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        found = read_pid_file(self.data)
        return found is not None and found[0].pid == self._process.pid and found[1] in {"ready", "standby"}

    def stop(self, mode: str = "fast") -> None:
        """Stop it, and return once it is gone; `immediate` is a crash, but in order. Does nothing where it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(SIGNALS[mode])
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(SECONDS)
            raise

    def ask(self, question: str, *params: object) -> object:
        """Return the first column of the first row; None without one."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(question, params)
            row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]


class ReplicatedCluster:
    """Two servers of one cluster; `primary` is the one that takes writes, `standby` the other, also after `promote`.

    Attributes:
        primary, standby: The servers; `ask(sql)` asks one.
    """

    def __init__(self, primary: Server, standby: Server) -> None:
        self.primary = primary
        self.standby = standby
        self.was_promoted = False

    @property
    def primary_url(self) -> str:
        return self.primary.url

    @property
    def standby_url(self) -> str:
        return self.standby.url

    @property
    def urls(self) -> list[str]:
        """Both, the first primary first."""
        return [self.primary.url, self.standby.url]

    def set_synchronous(self, on: bool) -> None:
        """Make transactions that ask for it (`synchronous_commit`) wait for the standby, or not; it need not run."""
        names = "standby" if on else ""
        self.primary.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.primary.ask("SELECT pg_reload_conf()")
        assert eventually(lambda: self.primary.ask("SHOW synchronous_standby_names") == names)
        if self.standby.is_running:
            self._wait_until_connected("sync" if on else "async")

    def stop_standby(self) -> None:
        self.standby.stop()
        assert eventually(lambda: self.primary.ask("SELECT count(*) FROM pg_stat_replication") == 0)

    def start_standby(self) -> None:
        """Start it, and return once it streams."""
        self.standby.start()
        self._wait_until_connected(None)

    def pause_replay(self) -> None:
        """Let the standby stop applying what it receives; it goes on receiving."""
        self.standby.ask("SELECT pg_wal_replay_pause()")
        # The pause comes into effect with the next look of the startup process, which a new record brings about.
        self.primary.ask("SELECT pg_logical_emit_message(false, 'pause', '')")
        assert eventually(lambda: self.standby.ask("SELECT pg_get_wal_replay_pause_state()") == "paused")

    def resume_replay(self) -> None:
        self.standby.ask("SELECT pg_wal_replay_resume()")
        self.wait_for_standby()

    def wait_for_standby(self) -> None:
        """Return once the standby has applied all that is committed."""
        lsn = self.primary.ask("SELECT pg_current_wal_insert_lsn()::text")
        self.flush()
        assert eventually(lambda: bool(self.standby.ask("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn)))

    def flush(self) -> None:
        """Have all that is done written and sent: what nobody waited for is so only with the next commit."""
        self.primary.ask("SELECT pg_logical_emit_message(true, 'flush', '')")

    def stop_primary(self, mode: str = "fast") -> None:
        """Stop it: `fast` sends all to the standby first, `immediate` is a crash."""
        self.primary.stop(mode)

    def promote(self) -> None:
        """Make the standby take writes; `primary` and `standby` go on naming what they named."""
        self.was_promoted = True
        assert self.standby.ask("SELECT pg_promote(true, %s)", SECONDS) is True

    def start_primary(self, *, as_standby: bool = False) -> None:
        """Start the stopped primary again; as a standby of the promoted one where it was stopped `fast` before."""
        if as_standby:
            _follow(self.primary, self.standby)
        self.primary.start()

    def restore(self) -> None:
        """Bring both back to the beginning, as far as settings go: running, asynchronous, replaying."""
        assert not self.was_promoted, "a test that promotes takes the fixture `own_cluster`"
        if not self.primary.is_running:
            self.primary.start()
        if not self.standby.is_running:
            self.standby.start()
        if self.primary.ask("SHOW synchronous_standby_names"):
            self.set_synchronous(False)
        if self.standby.ask("SELECT pg_get_wal_replay_pause_state()") != "not paused":
            self.standby.ask("SELECT pg_wal_replay_resume()")
        self._wait_until_connected(None)

    def _wait_until_connected(self, state: str | None) -> None:
        query = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
        assert eventually(lambda: self.primary.ask(query) in ({state} if state else {"sync", "async"}), SECONDS)


def _follow(server: Server, primary: Server) -> None:
    """Make *server* a standby of *primary* from its next start on."""
    with (server.data / "postgresql.auto.conf").open("a") as conf:
        conf.write(f"\nprimary_conninfo = '{primary.conninfo} application_name=standby'\n")
        conf.write("recovery_target_timeline = 'latest'\n")
    (server.data / "standby.signal").touch()


def _programs(account: Account) -> Path:
    given = os.environ.get("DOCSESSION_TEST_BINARIES")
    if given:
        return Path(given) / "bin"
    binaries = find_binaries(int(os.environ.get("DOCSESSION_TEST_MAJOR", "18")))
    if not account.can_run(binaries.postgres):
        binaries = binaries.copy_for(account, system_base(account))
    return binaries.postgres.parent


@contextmanager
def replicated_cluster(
    settings: Mapping[str, str] = NONE, standby_settings: Mapping[str, str] = NONE
) -> Iterator[ReplicatedCluster]:
    """Start a primary and a standby that streams from it, asynchronously; both are gone afterwards.

    Args:
        settings: Settings of PostgreSQL for both.
        standby_settings: Settings for the standby alone.
    """
    account = server_account()
    programs = _programs(account)
    base = Path(tempfile.mkdtemp(prefix="ds-pair-"))
    base.chmod(0o711)
    primary = Server(programs, account, base / "1", settings)
    standby = Server(programs, account, base / "2", {**settings, **standby_settings})
    try:
        primary.run(
            "initdb",
            f"--pgdata={primary.data}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        )
        primary.start()
        standby.run(
            "pg_basebackup",
            f"--dbname={primary.conninfo}",
            f"--pgdata={standby.data}",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--no-sync",
        )
        _follow(standby, primary)
        account.give(standby.data / "standby.signal")
        cluster = ReplicatedCluster(primary, standby)
        cluster.start_standby()
        yield cluster
    finally:
        standby.stop("immediate")
        primary.stop("immediate")
        shutil.rmtree(base)

"""The embedded server's life: started, shared, left, killed and found again."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from docsession._embedded import EmbeddedServer
from docsession._embedded import _binaries as binaries
from docsession._errors import EmbeddedServerException, InvalidArgumentTypeException, MissingDependencyException
from tests.support.servers import HOLD, Worker, ask, end_server, eventually, is_alive, server_directory, server_pid


@pytest.fixture
def directory() -> Iterator[Path]:
    with server_directory() as path:
        yield path


@pytest.fixture(scope="module")
def once() -> Iterator[Path]:
    with server_directory() as path:
        start(path).stop()
        yield path


@pytest.fixture
def made(once: Path) -> Iterator[Path]:
    """A directory in which servers have run before, and none does: an initdb less."""
    yield once
    end_server(once)


def start(directory: Path, **options: object) -> EmbeddedServer:
    return EmbeddedServer.start(directory, **{"durable": False, **options})


class TestStartAndStop:
    @pytest.mark.parametrize("major_version", [16, 18])
    def test_the_last_of_two_holders_stops_the_server(self, directory: Path, major_version: int) -> None:
        first = start(directory, major_version=major_version)
        second = start(directory, major_version=major_version)
        pid = server_pid(directory)
        first.stop()
        first.stop()
        assert ask(second.url, "SELECT current_setting('server_version_num')::int / 10000") == major_version
        assert server_pid(directory) == pid
        second.stop()
        assert pid is not None
        assert not is_alive(pid)
        assert server_pid(directory) is None

    def test_data_outlive_the_server(self, directory: Path) -> None:
        with start(directory, durable=True) as server:
            with psycopg.connect(server.url) as connection:
                connection.execute("CREATE TABLE kept (n int)")
            assert ask(server.url, "SHOW fsync") == "on"
        with start(directory, durable=True) as server:
            assert ask(server.url, "SELECT count(*) FROM kept") == 0

    def test_it_can_be_described(self, made: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "docsession.embedded"), start(made) as server:
            password = str(server.conninfo["password"])
            assert (server.data_directory, server.major_version, server.tcp) == (made, 18, False)
            assert password in server.url
            assert password not in repr(server)
            with psycopg.connect(**server.conninfo) as connection:
                assert connection.info.host == str(server.socket_directory)
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            ("INFO", f"PostgreSQL 18 started in {made}")
        ]
        with pytest.raises(EmbeddedServerException, match="was left"):
            _ = server.url

    def test_documents_can_hold_any_text_whatever_the_environment(
        self, made: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An LC_ALL that does not exist, and what else may lie about, never reaches the server."""
        strange = {"LC_ALL": "xx_XX.latin1", "PGDATA": "/nowhere", "PGPORT": "1", "TZ": "Mars/Phobos", "SECRET": "s"}
        with Worker(HOLD, made, environment=strange) as holder:
            url = holder.hear()["url"]
            assert ask(url, "SELECT current_setting('server_encoding') || current_setting('timezone')") == "UTF8UTC"
            assert (
                ask(url, "SELECT lower('ÄΣ') || datcollate FROM pg_database WHERE datname = 'postgres'") == "äσC.UTF-8"
            )
            environment = Path(f"/proc/{server_pid(made)}/environ").read_bytes()
            assert b"SECRET" not in environment
            assert b"LC_ALL" not in environment
            holder.finish()

    @pytest.mark.parametrize("name", ["with a space", "x" * 150, """o'd"d $HOME `q`, ü%20"""])
    def test_any_directory_will_do(self, directory: Path, name: str) -> None:
        path = directory.parent / name
        with start(path) as server:
            assert ask(server.url) == 1
            sockets = server.socket_directory
            assert sockets.stat().st_mode & 0o777 == 0o700
            assert len(os.fsencode(sockets)) < 90
            assert (path / "data").stat().st_mode & 0o777 == 0o700
            assert (path / "password").stat().st_mode & 0o777 == 0o600
            assert path.stat().st_mode & 0o007 == 0
        assert sockets.is_relative_to(path) or not sockets.exists()

    def test_threads_may_start_and_stop_at_once(self, made: Path) -> None:
        failures: list[BaseException] = []

        def use() -> None:
            try:
                for _ in range(3):
                    with start(made) as server:
                        assert ask(server.url) == 1
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert server_pid(made) is None


class TestProcesses:
    def test_three_processes_starting_at_once_share_one_server(self, directory: Path) -> None:
        workers = [Worker(HOLD, directory) for _ in range(3)]
        urls = {worker.hear()["url"] for worker in workers}
        assert len(urls) == 1
        pid = server_pid(directory)
        assert pid is not None
        for worker in workers:
            assert is_alive(pid)
            worker.finish()
        assert not is_alive(pid)

    def test_a_killed_holder_leaves_a_server_that_the_next_one_stops(self, made: Path) -> None:
        with Worker(HOLD, made) as holder:
            holder.hear()
            pid = server_pid(made)
            holder.kill()
        assert pid is not None
        assert is_alive(pid)
        with start(made) as server:
            assert ask(server.url) == 1
            assert server_pid(made) == pid
        assert not is_alive(pid)

    def test_a_killed_holder_does_not_stop_the_others(self, made: Path) -> None:
        with Worker(HOLD, made) as holder, start(made) as server:
            holder.hear()
            holder.kill()
            with start(made):
                pass
            assert ask(server.url) == 1

    def test_ctrl_c_ends_the_holder_and_never_the_server_of_others(self, made: Path) -> None:
        with start(made) as server, Worker(HOLD, made) as holder:
            holder.hear()
            os.killpg(holder.process.pid, signal.SIGINT)
            _, errors = holder.process.communicate()
            assert "KeyboardInterrupt" in errors
            assert ask(server.url) == 1
        with Worker(HOLD, made) as holder:
            holder.hear()
            pid = server_pid(made)
            os.killpg(holder.process.pid, signal.SIGINT)
            holder.process.communicate()
        assert pid is not None
        assert not is_alive(pid)

    def test_a_forked_worker_holds_the_server_itself(self, made: Path) -> None:
        code = """
server = EmbeddedServer.start(sys.argv[1], durable=False)
if os.fork() == 0:
    wait()
    say(one=ask(server))
    wait()
    sys.exit(0)
server.stop()
say(left=True)
"""
        with Worker(code, made) as worker:
            assert worker.hear() == {"left": True}
            pid = server_pid(made)
            assert pid is not None
            assert is_alive(pid)
            worker.tell()
            assert worker.hear() == {"one": 1}
            worker.tell()
            worker.finish()
            assert eventually(lambda: not is_alive(pid))

    def test_a_worker_of_multiprocessing_holds_the_server_itself(self, made: Path) -> None:
        code = """
def work(receiver):
    receiver.recv()
    say(one=ask(server))
    receiver.recv()

server = EmbeddedServer.start(sys.argv[1], durable=False)
receiver, sender = multiprocessing.Pipe()
process = multiprocessing.get_context("fork").Process(target=work, args=(receiver,))
process.start()
server.stop()
sender.send(1)
wait()
sender.send(2)
process.join()
say(code=process.exitcode)
"""
        with Worker(code, made) as worker:
            assert worker.hear() == {"one": 1}
            pid = server_pid(made)
            assert pid is not None
            worker.tell()
            assert worker.hear() == {"code": 0}
            assert not is_alive(pid)
            worker.finish()

    def test_a_forked_worker_that_leaves_does_not_take_the_server_along(self, made: Path) -> None:
        code = """
server = EmbeddedServer.start(sys.argv[1], durable=False)
for leave in (server.stop, lambda: None, lambda: os.kill(os.getpid(), signal.SIGKILL)):
    child = os.fork()
    if child == 0:
        leave()
        sys.exit(0)
    os.waitpid(child, 0)
say(one=ask(server))
server.stop()
"""
        with Worker(code, made) as worker:
            assert worker.hear() == {"one": 1}
            worker.finish()
        assert server_pid(made) is None


class TestAccidents:
    def test_a_killed_server_recovers_at_the_next_start(self, directory: Path) -> None:
        """What was committed is there, a session of the killed server is not in the way."""
        with start(directory, durable=True) as first:
            with psycopg.connect(first.url) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
            with contextlib.closing(psycopg.connect(first.url)) as idle:
                idle.execute("SELECT 1")
                pid = server_pid(directory)
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                assert eventually(lambda: not is_alive(pid))
                with start(directory, durable=True) as second:
                    assert ask(second.url, "SELECT n FROM kept") == 42
                    assert ask(first.url, "SELECT n FROM kept") == 42
                assert ask(first.url, "SELECT n FROM kept") == 42

    def test_a_pid_file_that_tells_nothing_true_is_replaced(self, made: Path) -> None:
        """Empty, garbage, stale, and with the number of a process that is another program now."""
        start(made).stop()
        whole = "{}\n/x\n1\n5432\n/x\n\n1 1\nready\n"
        for content in ("", "garbage\n", "999999\n", whole.format(999999), whole.format(os.getpid())):
            (made / "data" / "postmaster.pid").write_text(content)
            with start(made) as server:
                assert ask(server.url) == 1

    def test_a_running_server_with_an_emptied_pid_file_is_started_again_by_its_only_holder(self, made: Path) -> None:
        with Worker(HOLD, made) as holder:
            holder.hear()
            holder.kill()
        pid = server_pid(made)
        os.truncate(made / "data" / "postmaster.pid", 0)
        with start(made) as server:
            assert ask(server.url) == 1
            assert server_pid(made) != pid
            os.truncate(made / "data" / "postmaster.pid", 0)
            with pytest.raises(EmbeddedServerException, match=r"postmaster\.pid is damaged"):
                start(made)

    def test_a_killed_initdb_leaves_no_half_cluster(self, directory: Path) -> None:
        with Worker(HOLD, directory) as holder:
            assert eventually(lambda: any(directory.glob("data.new-*/data/base")))
            parent = psutil.Process(holder.process.pid)
            parent.suspend()  # whatever its children do meanwhile, it goes on with nothing
            for process in parent.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # initdb's own come and go
                    process.kill()
            holder.kill()
        assert not (directory / "data").exists()
        with start(directory) as server:
            assert ask(server.url) == 1
            assert list(directory.glob("data.new-*")) == []

    def test_a_removed_directory_does_not_keep_its_server(self, directory: Path) -> None:
        server = start(directory)
        pid = server_pid(directory)
        assert pid is not None
        directory.rename(directory.with_name("moved"))
        server.stop()
        assert eventually(lambda: not is_alive(pid))


class TestWishes:
    def test_settings_reach_the_server(self, made: Path) -> None:
        with start(made, settings={"work_mem": "5MB", "max-connections": "50"}) as server:
            assert ask(server.url, "SHOW work_mem") == "5MB"
            assert ask(server.url, "SHOW max_connections") == "50"
            assert ask(server.url, "SHOW fsync") == "off"
            with pytest.raises(
                EmbeddedServerException, match=r"is in use, and its settings are others: work_mem = 5MB"
            ):
                start(made, settings={"work_mem": "6MB"})
            with pytest.raises(EmbeddedServerException, match="is in use, and it was started with durable=False"):
                start(made, durable=True)
            with start(made, settings={"work_mem": "5MB"}), start(made):
                pass

    def test_a_server_that_nobody_holds_is_started_again_as_wished(self, made: Path) -> None:
        with Worker(HOLD, made) as holder:
            holder.hear()
            holder.kill()
        with start(made, durable=True, tcp=True) as server:
            assert ask(server.url, "SHOW fsync") == "on"
            assert ask(server.tcp_url) == 1

    def test_settings_of_our_own_are_refused(self, directory: Path) -> None:
        with pytest.raises(EmbeddedServerException, match="listen_addresses: set by docsession itself"):
            start(directory, settings={"listen_addresses": "*"})

    def test_it_cannot_be_sent_to_another_process(self, made: Path) -> None:
        import pickle

        with start(made) as server, pytest.raises(TypeError, match="held by one process"):
            pickle.dumps(server)


class TestTcp:
    def test_it_listens_on_this_machine_alone_and_wants_the_password(self, made: Path) -> None:
        with start(made, tcp=True) as server:
            assert ask(server.tcp_url, "SHOW listen_addresses") == "127.0.0.1"
            assert ask(server.tcp_url, "SELECT inet_server_port()") == server.port
            wrong = {**server.conninfo, "host": "127.0.0.1", "password": "wrong"}
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(**wrong)
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(**{**server.conninfo, "password": "wrong"})
            with start(made) as joined:
                assert (joined.tcp, joined.port, joined.tcp_url) == (True, server.port, server.tcp_url)
            port = server.port
        with start(made, tcp=True) as server:
            assert server.port == port

    def test_without_it_nothing_listens(self, made: Path) -> None:
        with start(made) as server:
            assert ask(server.url, "SHOW listen_addresses") == ""
            with pytest.raises(EmbeddedServerException, match="tcp=True"):
                _ = server.tcp_url
            with pytest.raises(EmbeddedServerException, match="is in use, and it listens on its socket only"):
                start(made, tcp=True)


class TestErrors:
    def test_a_failed_start_shows_the_end_of_the_log(self, made: Path) -> None:
        with pytest.raises(EmbeddedServerException) as raised:
            start(made, settings={"shared_buffers": "lots"})
        assert 'invalid value for parameter "shared_buffers": "lots"' in str(raised.value)
        assert str(made / "server.log") in str(raised.value)
        with start(made) as server:
            assert ask(server.url) == 1

    def test_data_of_another_version_are_refused(self, directory: Path) -> None:
        start(directory, major_version=16).stop()
        with pytest.raises(EmbeddedServerException, match="holds data of PostgreSQL 16, and major_version is 18"):
            start(directory)

    def test_a_version_that_the_wheel_lacks_is_refused(self, directory: Path) -> None:
        with pytest.raises(EmbeddedServerException, match=r"no version 15: .* holds 16 and 18"):
            start(directory, major_version=15)

    def test_a_missing_wheel_names_the_extra(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(binaries, "_PACKAGE", "a_package_that_is_not_there")
        with pytest.raises(MissingDependencyException, match=r"pip install 'docsession\[embedded\]'"):
            start(directory)

    @pytest.mark.parametrize(
        ("name", "message"), [("PG_VERSION", "is the data directory of another PostgreSQL"), ("a.txt", "holds other")]
    )
    def test_a_directory_with_other_files_is_left_alone(self, directory: Path, name: str, message: str) -> None:
        directory.mkdir(mode=0o755)
        (directory / name).touch()
        with pytest.raises(EmbeddedServerException, match=message):
            start(directory)
        assert directory.stat().st_mode & 0o777 == 0o755

    def test_a_file_is_no_directory(self, directory: Path) -> None:
        directory.touch()
        with pytest.raises(EmbeddedServerException, match="is not a directory"):
            start(directory)
        with pytest.raises(EmbeddedServerException, match="cannot be made: Not a directory"):
            start(directory / "below")

    @pytest.mark.parametrize("path", ["", "a\nb", "a\0b"])
    def test_a_path_that_cannot_be_one_is_refused(self, path: str) -> None:
        with pytest.raises(EmbeddedServerException, match="must be a path"):
            EmbeddedServer.start(path)

    def test_what_is_no_path_is_refused(self) -> None:
        with pytest.raises(InvalidArgumentTypeException, match="must be a path, not 5"):
            EmbeddedServer.start(5)  # type: ignore[arg-type]  # the mistake to be told

    def test_a_lost_password_is_told(self, directory: Path) -> None:
        start(directory).stop()
        (directory / "password").unlink()
        with pytest.raises(EmbeddedServerException, match="password is gone"):
            start(directory)

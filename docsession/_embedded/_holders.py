"""Who holds which server: counted in a process, by a shared file lock over processes, a fork included."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from docsession._embedded._account import Account, server_account
from docsession._embedded._binaries import find_binaries
from docsession._embedded._cluster import Cluster, Wish
from docsession._embedded._locks import exclusive, open_lock, release, try_lock
from docsession._embedded._places import Place, find_place, system_base
from docsession._embedded._postmaster import Running
from docsession._errors import EmbeddedServerException

_log = logging.getLogger("docsession.embedded")
# Longer than a start and a stop by another process may take.
_LOCK_SECONDS = 240.0
# One for each process that tidies up at that moment.
_REMOVALS = 100


class Hold:
    """The share of this process in one server.

    Attributes:
        cluster: The server.
        descriptor: The holders' lock, held shared.
        for_child: A second one, while a fork is on its way: the child's.
        holders: One token for each that uses the server in this process.
        running, password: What they need to connect.
    """

    def __init__(self, cluster: Cluster, descriptor: int) -> None:
        self.cluster = cluster
        self.descriptor = descriptor
        self.for_child = -1
        self.holders: set[object] = set()
        self.running: Running | None = None
        self.password = ""


_lock = threading.RLock()
_holds: dict[Path, Hold] = {}


def join(data_directory: str | os.PathLike[str] | None, major_version: int, wish: Wish) -> tuple[Hold, object]:
    """Start the server or join the one that runs, and count one holder more: the token.

    Raises:
        MissingDependencyException: The wheel is not installed.
        EmbeddedServerException: It cannot be started or joined.
    """
    binaries = find_binaries(major_version)
    account = server_account()
    if not account.can_run(binaries.postgres):
        binaries = binaries.copy_for(account, system_base(account))
    with _lock, _starting(data_directory, major_version, account) as place:
        cluster = Cluster(place, binaries, account)
        hold = _holds.get(place.directory) or Hold(cluster, open_lock(place.holders_lock))
        try:
            said = _run(hold, cluster, wish)
        except BaseException:
            if not hold.holders:
                release(hold.descriptor)
            raise
        token = object()
        hold.holders.add(token)
        _holds[place.directory] = hold
    _log.log(
        logging.INFO if place.lasting else logging.WARNING,
        "PostgreSQL %d %s in %s%s",
        major_version,
        said,
        place.directory,
        f" ({place.note})" if place.note else "",
    )
    _leave_after_multiprocessing()
    return hold, token


@contextlib.contextmanager
def _starting(data_directory: str | os.PathLike[str] | None, major_version: int, account: Account) -> Iterator[Place]:
    """Hold the start lock of a server's directory."""
    with contextlib.ExitStack() as stack:
        for tries in reversed(range(_REMOVALS)):
            try:
                place = find_place(data_directory, major_version, account)
                stack.enter_context(exclusive(place.start_lock, _LOCK_SECONDS))
            except FileNotFoundError:
                # Somebody took it for an abandoned one and removed it, since nobody held it yet.
                if not tries:
                    raise
            else:
                yield place
                return


def leave(hold: Hold, token: object) -> None:
    """Count one holder less, once; the last one of the last process stops the server.

    Raises:
        EmbeddedServerException: The server does not stop.
    """
    with _lock:
        if token in hold.holders:
            hold.holders.remove(token)
            if not hold.holders:
                _give_up(hold)


def _run(hold: Hold, cluster: Cluster, wish: Wish) -> str:
    """See that a server runs that *wish* fits; returns what was done."""
    if not try_lock(hold.descriptor, shared=True):
        raise EmbeddedServerException(f"{cluster.place.holders_lock} is held by another program. End it, try again.")
    cluster.make(durable=wish.durable)
    hold.password = cluster.place.password()
    running = cluster.running()
    if running is not None:
        why = cluster.fits(running, wish)
        if not why:
            hold.running = running
            return "joined"
        alone = not hold.holders and running.visible and try_lock(hold.descriptor, shared=False)
        # Also after a refusal: a change of a lock gives the old one up first.
        try_lock(hold.descriptor, shared=True)
        if not alone:
            raise EmbeddedServerException(
                f"The server of {cluster.place.directory} is in use, and {why}. "
                "Ask for the same everywhere, end the other users of the server, or give another data_directory."
            )
        cluster.stop(running)
    hold.running = cluster.start(wish)
    return "started"


def _give_up(hold: Hold) -> None:
    """Give up the share of this process; the last process stops the server."""
    place = hold.cluster.place
    _holds.pop(place.directory, None)
    hold.holders.clear()
    if hold.descriptor < 0:
        return
    try:
        with exclusive(place.start_lock, _LOCK_SECONDS):
            if try_lock(hold.descriptor, shared=False):
                running = hold.cluster.running()
                if running is not None:
                    hold.cluster.stop(running)
    except FileNotFoundError:
        _log.warning("%s was removed while its server ran", place.directory)
        if hold.running is not None:
            hold.cluster.kill(hold.running.pid)
    except OSError as error:
        raise EmbeddedServerException(f"The server of {place.directory} cannot be stopped: {error}.") from error
    finally:
        release(hold.descriptor)


@atexit.register
def _leave_all() -> None:
    with _lock:
        for hold in list(_holds.values()):
            try:
                _give_up(hold)
            except EmbeddedServerException:
                _log.exception("The embedded server could not be stopped")


# A fork shares the parent's open files, and with them its lock: unlocked by one, unlocked for both. So the child gets
# a descriptor that was opened and locked before the fork, and there is no moment in which it holds nothing.


def _before_fork() -> None:
    _lock.acquire()
    for hold in _holds.values():
        hold.for_child = _second(hold)


def _after_fork_in_parent() -> None:
    for hold in _holds.values():
        if hold.for_child >= 0:
            os.close(hold.for_child)  # never unlocked: the lock is the child's
            hold.for_child = -1
    _lock.release()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    for hold in _holds.values():
        inherited = hold.descriptor
        hold.descriptor = hold.for_child if hold.for_child >= 0 else _second(hold)
        hold.for_child = -1
        if inherited >= 0:
            os.close(inherited)  # never unlocked: the lock is the parent's
    # A child of multiprocessing forgets what its parent wants at exit, then runs this.
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(_leave_all, lambda _: _leave_after_multiprocessing())


def _second(hold: Hold) -> int:
    """Open and take the holders' lock once more; -1 where that is impossible: then the child holds nothing."""
    try:
        descriptor = open_lock(hold.cluster.place.holders_lock)
    except OSError:
        _log.exception("A forked process could not take its share of the embedded server")
        return -1
    try_lock(descriptor, shared=True)
    return descriptor


def _leave_after_multiprocessing() -> None:
    """Leave at the end of a child of multiprocessing too, which ends without atexit."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, _leave_all, exitpriority=-100)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

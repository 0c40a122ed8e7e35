"""What runs of tests leave behind that were killed, and how the next run knows it from what somebody still uses.

A temporary directory of an embedded server is in use while a process holds the server. A database (a schema) on a
server that goes on says in its comment whose it is: each process of a run holds a lock file of its own, and locks end
with their process, however that ends.

<temporary directory>/
    docsession-tests.<random>/      an embedded server
    docsession-tests-owners.<uid>/  0700
        place                       a random name, a part of what tells this directory from those of other machines
        <owner>                     held by a process that has databases on a server
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import stat
import tempfile
import time
from pathlib import Path
from typing import Final, Self

from docsession._embedded._abandoned import remove_abandoned
from docsession._embedded._locks import exclusive, is_at, open_lock, try_lock
from docsession._errors import EmbeddedServerException

_PREFIX: Final = "docsession-tests."
_DIRECTORY: Final = re.compile(r"docsession-tests\.[0-9a-f]{12}", re.ASCII)
_DATABASE: Final = re.compile(r"test_[0-9a-f]{12}", re.ASCII)
BEGINNING: Final = "docsession tests: "
"""Of the comment of each database."""
_COMMENT: Final = re.compile(BEGINNING + "place ([0-9a-f]{12}), owner ([0-9a-f]{12}), since ([0-9]{1,15})", re.ASCII)
_PLACE: Final = "place"
_PATIENCE: Final = 10.0
_EMPTY_SECONDS: Final = 3600.0
_OLD_SECONDS: Final = 7 * 24 * 3600.0
"""From when on a run is thought to have ended whose lock cannot be seen from here."""


def temporary_directory() -> Path:
    """Make a directory for an embedded server that is removed after the run."""
    made = Path(tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(6)}"
    made.mkdir(mode=0o700)
    return made


def is_temporary(directory: Path) -> bool:
    """Whether a directory was made to be removed after the run, here or by the plugin of pytest."""
    return _DIRECTORY.fullmatch(directory.name) is not None and directory.is_dir()


def remove_abandoned_directories() -> None:
    """Remove the embedded servers of runs that were killed."""
    for found in Path(tempfile.gettempdir()).iterdir():
        if _DIRECTORY.fullmatch(found.name):
            with contextlib.suppress(OSError):  # somebody else has removed it meanwhile
                if found.lstat().st_uid == os.geteuid() and (any(found.iterdir()) or _is_old(found)):
                    remove_abandoned(found)


def _is_old(directory: Path) -> bool:
    """Whether nobody will begin to use an empty directory any more."""
    return time.time() - directory.lstat().st_mtime > _EMPTY_SECONDS


class Owner:
    """A process that has databases; `Owner.claim()` makes it of the one it is called in.

    Attributes:
        comment: What the databases say of it.
    """

    def __init__(self, directory: Path, place: str, name: str, lock: int) -> None:
        self._directory = directory
        self._place = place
        self._name = name
        self._lock = lock
        self._pid = os.getpid()

    @classmethod
    def claim(cls) -> Self | None:
        """Return a new owner; None where there is no place for its lock, so that nobody could tell that it lives."""
        try:
            directory, place = _own_place()
            _tidy(directory)
            while True:
                name = secrets.token_hex(6)
                lock = open_lock(directory / name)
                if try_lock(lock, shared=False) and is_at(lock, directory / name):
                    return cls(directory, place, name, lock)
                os.close(lock)
        except (OSError, EmbeddedServerException):
            return None

    @property
    def comment(self) -> str:
        return f"{BEGINNING}place {self._place}, owner {self._name}, since {int(time.time())}"

    def has_abandoned(self, database: str, comment: str | None) -> bool:
        """Whether a database is that of an owner who lives no more; *comment* is what it says."""
        said = _COMMENT.fullmatch(comment or "")
        if said is None or not _DATABASE.fullmatch(database):
            return False
        place, owner, since = said.groups()
        if place != self._place:
            return time.time() - int(since) > _OLD_SECONDS
        return not (self._directory / owner).exists()

    def end(self) -> None:
        """Let the lock go; a forked child leaves it to its parent."""
        if self._pid == os.getpid():
            (self._directory / self._name).unlink(missing_ok=True)
            os.close(self._lock)


def _own_place() -> tuple[Path, str]:
    directory = Path(tempfile.gettempdir()) / f"docsession-tests-owners.{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.lstat().st_uid != os.geteuid() or not stat.S_ISDIR(directory.lstat().st_mode):
        raise PermissionError(f"{directory} is somebody else's")
    path = directory / _PLACE
    with exclusive(path, _PATIENCE):
        name = path.read_text(encoding="ascii")
        if not name:
            name = secrets.token_hex(6)
            path.write_text(name, encoding="ascii")
    return directory, _place_of(directory, name)


def _place_of(directory: Path, name: str) -> str:
    """Return what tells a directory from its copies: an image that it is a part of may run many times at once.

    Locks in one say nothing of those who are at work in another. Where in doubt, as after a restart, they differ.
    """
    found = directory.stat()
    start = ""
    with contextlib.suppress(OSError):
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    told = f"{name} {platform.node()} {start} {found.st_dev} {found.st_ino}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _tidy(directory: Path) -> None:
    """Remove the locks of owners who live no more."""
    for found in directory.iterdir():
        if found.name != _PLACE:
            lock = open_lock(found)
            if try_lock(lock, shared=False):
                found.unlink(missing_ok=True)
            os.close(lock)

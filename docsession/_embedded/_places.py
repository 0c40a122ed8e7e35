"""Where an embedded server lives: its directory, and a socket directory that is short enough.

<directory>/                 0700, ours alone (as root: 0710, root and the group of the server's user)
    docsession.start.lock    held while the server is started or stopped
    docsession.holders.lock  held shared by every process that uses the server
    docsession.server.lock   held by the server's own processes
    docsession.json          how the running server was started
    password                 0600
    server.log
    data/                    PostgreSQL's data directory, 0700
    socket/                  0700 (elsewhere where this path is too long for a socket)
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from docsession._embedded._account import Account
from docsession._errors import EmbeddedServerException, InvalidArgumentTypeException, MissingDependencyException

_START_LOCK = "docsession.start.lock"
# A socket's path has 107 bytes on Linux, 103 on macOS and the BSDs.
_SOCKET_PATH_BYTES = 103
_SYSTEM_BASES = ("/var/lib/docsession", "/var/tmp/docsession-0", "/tmp/docsession-0")  # noqa: S108 - ownership is checked
# Characters that neither libpq's list of hosts nor PostgreSQL's list of directories takes as a separator or quote.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._ +@~-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """One embedded server's directory.

    Attributes:
        directory: The resolved path.
        note: Why it is not the expected one; "" where it is.
        lasting: False in the temp directory, which the system may empty.
    """

    directory: Path
    note: str = ""
    lasting: bool = True

    @property
    def start_lock(self) -> Path:
        return self.directory / _START_LOCK

    @property
    def holders_lock(self) -> Path:
        return self.directory / "docsession.holders.lock"

    @property
    def server_lock(self) -> Path:
        return self.directory / "docsession.server.lock"

    @property
    def record(self) -> Path:
        return self.directory / "docsession.json"

    @property
    def password_file(self) -> Path:
        return self.directory / "password"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def password(self) -> str:
        """Return the server's password, generated where there is no server yet.

        Raises:
            EmbeddedServerException: There is a server whose password file is gone.
        """
        try:
            return self.password_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            if self.data.exists():
                raise EmbeddedServerException(
                    f"{self.password_file} is gone, and with it the password of the data in {self.data}. "
                    "Put the file back from a backup, or give another data_directory."
                ) from None
        write_private(self.password_file, secrets.token_urlsafe(24))
        return self.password_file.read_text(encoding="ascii").strip()

    def socket_directory(self, account: Account) -> Path:
        """Return the socket directory, 0700 and of the server's user; in the temp directory where ours is too long.

        Raises:
            EmbeddedServerException: No short directory is ours.
        """
        own = self.directory / "socket"
        if _fits(own):
            return _own_directory(own, account)
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        for temporary in dict.fromkeys((Path(tempfile.gettempdir()).resolve(), Path("/tmp"))):  # noqa: S108 - ownership is checked
            base = temporary / f"docsession-{os.geteuid()}"
            if _fits(base / name) and account.can_enter(temporary):
                _take_base(base, account)
                return _own_directory(base / name, account)
        raise EmbeddedServerException(
            f"No directory is short enough for the server's socket: {own} and {tempfile.gettempdir()} are too long. "
            "Give a shorter data_directory or set TMPDIR to a shorter path."
        )


def find_place(requested: str | os.PathLike[str] | None, major_version: int, account: Account) -> Place:
    """Find and make the directory of a server.

    Without *requested* it is the user's data directory (on Linux ~/.local/share/docsession/postgres-18), and a
    private one in the temp directory where that cannot be made. Where root asks for a place that the server's
    user cannot reach, as below its own 0700 home, a place is taken that this user can reach: no other
    directory's mode is ever changed.

    Raises:
        InvalidArgumentTypeException: *requested* is no path.
        EmbeddedServerException: The directory cannot be made, or is not ours.
    """
    if requested is None:
        place = _default_place(major_version, account)
    else:
        try:
            text = os.fspath(requested)
        except TypeError as error:
            raise InvalidArgumentTypeException(f"data_directory must be a path, not {requested!r}.") from error
        if not text or not text.isprintable():
            raise EmbeddedServerException(f"data_directory {text!r} must be a path without control characters.")
        place = _reachable(Path(os.path.expanduser(text)).resolve(), account)  # noqa: PTH111 - the other one raises
    try:
        _make(place.directory, account)
    except OSError as error:
        raise EmbeddedServerException(
            f"{place.directory} cannot be made: {error.strerror}. Give a data_directory that can be written."
        ) from error
    _take(place.directory, account)
    return place


def system_base(account: Account, near: Path | None = None) -> Path:
    """Return root's own directory that every user can traverse, for what the server's user must reach.

    Raises:
        EmbeddedServerException: There is no place for one.
    """
    candidates = [Path(base) for base in _SYSTEM_BASES]
    temporary = Path(tempfile.gettempdir()).resolve()
    if near is not None and near.is_relative_to(temporary):
        candidates.insert(0, temporary / "docsession-0")
    problems: list[str] = []
    for base in candidates:
        try:
            _take_base(base, account)
        except (OSError, EmbeddedServerException) as error:
            problems.append(f"{base}: {error}")
            continue
        if account.can_enter(base):
            return base
        problems.append(f"{base}: the user {account.name} cannot enter it")
    raise EmbeddedServerException(
        f"No directory can be reached by the user {account.name}, whom root runs the server as "
        f"({'; '.join(problems)}). Give a data_directory that this user can reach, or start as an ordinary user."
    )


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    descriptor, fresh = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(fresh).replace(path)


def _default_place(major_version: int, account: Account) -> Place:
    try:
        import platformdirs
    except ImportError as error:
        raise MissingDependencyException(
            "The embedded PostgreSQL is not installed whole: pip install 'docsession[embedded]'."
        ) from error
    name = f"postgres-{major_version}"
    wanted = Path(platformdirs.user_data_dir("docsession", appauthor=False)).resolve() / name
    place = _reachable(wanted, account)
    # A directory that exists may hold data: where it cannot be used that is an error, never empty data elsewhere.
    if place.note or wanted.exists():
        return place
    try:
        _make(wanted, account)
    except OSError as error:
        note = f"{wanted} cannot be made: {error.strerror}"
        if account.switched:
            return Place(system_base(account) / name, note, lasting=False)
        base = Path(tempfile.gettempdir()).resolve() / f"docsession-{os.geteuid()}"
        _take_base(base, account)
        return Place(base / name, note, lasting=False)
    return place


def _reachable(wanted: Path, account: Account) -> Place:
    """Return *wanted*, or for root a place that the server's user can reach."""
    if not account.switched:
        return Place(wanted)
    ancestor = wanted.parent
    while not ancestor.exists():
        ancestor = ancestor.parent
    if not ancestor.is_dir() or account.can_enter(ancestor):
        return Place(wanted)
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted.name)[:32].strip("-.") or "postgres"
    name = f"{readable}-{hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]}"
    note = f"instead of {wanted}: the user {account.name}, whom root runs the server as, cannot enter {ancestor}"
    return Place(system_base(account, near=wanted) / name, note)


def _make(directory: Path, account: Account) -> None:
    """Make *directory* and the parents it lacks; those of root can be traversed whatever its umask."""
    missing = [path for path in directory.parents if not path.exists()]
    for parent in reversed(missing):
        with contextlib.suppress(FileExistsError):
            parent.mkdir()
            if account.switched:
                parent.chmod(0o711)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)


def _take_base(base: Path, account: Account) -> None:
    """Make *base* ours: a directory of directories, which the server's user of root passes through."""
    with contextlib.suppress(FileExistsError):
        base.mkdir(mode=0o700)
    _check_own(base)
    base.chmod(0o711 if account.switched else 0o700)


def _take(directory: Path, account: Account) -> None:
    """Make *directory* ours: refuse another user's, and one with files that are not ours."""
    _check_own(directory)
    names = {path.name for path in directory.iterdir()} - {"lost+found"}
    if names and _START_LOCK not in names:
        what = "is the data directory of another PostgreSQL" if "PG_VERSION" in names else "holds other files"
        raise EmbeddedServerException(
            f"{directory} {what}. Give as data_directory one that is empty or does not exist."
        )
    if account.switched:
        os.chown(directory, 0, account.gid)
    directory.chmod(0o710 if account.switched else 0o700)


def _own_directory(path: Path, account: Account) -> Path:
    """Return *path* as a 0700 directory of the server's user."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), account.uid}:
        raise EmbeddedServerException(f"{path} is not a directory of ours. Remove it, or give another data_directory.")
    account.give(path)
    path.chmod(0o700)
    return path


def _check_own(path: Path) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedServerException(f"{path} is not a directory. Give another data_directory.")
    if found.st_uid != os.geteuid():
        raise EmbeddedServerException(
            f"{path} belongs to the user with uid {found.st_uid}, not to uid {os.geteuid()}. "
            "Run as that user, or give another data_directory."
        )


def _fits(directory: Path) -> bool:
    path = os.fsencode(directory / ".s.PGSQL.65535")
    return len(path) <= _SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(os.fspath(directory)) is not None

"""Who runs the server: the user who calls, and for root, whom PostgreSQL refuses, another one."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from docsession._errors import EmbeddedServerException

_CANDIDATES = ("postgres", "nobody")
_CLEAN: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the server's processes run as.

    Attributes:
        name: For messages.
        uid, gid: What the processes run with.
        switched: True where this is not the calling user (who is root then).
        is_known: Whether the system has a name for it.
    """

    name: str
    uid: int
    gid: int
    switched: bool
    is_known: bool = True

    def run(
        self,
        command: Sequence[str | Path],
        *,
        errors: int = subprocess.STDOUT,
        environment: Mapping[str, str] = _CLEAN,
        keep: int = -1,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run *command* to its end as this user; what it says is in `stdout`.

        It gets a session of its own (a Ctrl-C of the terminal does not reach it), none of our
        environment, and no open file but the descriptors *errors* (its stderr) and *keep*.

        Raises:
            EmbeddedServerException: It cannot be run at all.
        """
        try:
            return subprocess.run(  # noqa: S603 - programs of our own wheel
                [os.fspath(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                cwd="/",
                umask=0o077,
                start_new_session=True,
                pass_fds=() if keep < 0 else (keep,),
                user=self.uid if self.switched else None,
                group=self.gid if self.switched else None,
                extra_groups=() if self.switched else None,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServerException(
                f"{command[0]} cannot be run as the user {self.name}: {error}. "
                "Start as an ordinary user, or give the store the URL of a server."
            ) from error

    def can_run(self, program: Path) -> bool:
        """Whether this user can run *program*; tried, because modes alone do not tell."""
        if not self.switched:
            return os.access(program, os.X_OK)
        try:
            return self.run([program, "--version"]).returncode == 0
        except EmbeddedServerException:
            return False

    def can_enter(self, directory: Path) -> bool:
        """Whether this user can traverse *directory*; tried, because modes alone do not tell."""
        if not self.switched:
            return os.access(directory, os.X_OK)
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", directory]).returncode == 0

    def give(self, path: Path) -> None:
        """Make *path*, which is our own, belong to this user."""
        if self.switched:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def server_account() -> Account:
    """Return the user who runs the server: the calling one, and for root `postgres`, else `nobody`.

    Raises:
        EmbeddedServerException: Root, and there is neither.
    """
    uid = os.geteuid()
    if uid != 0:
        try:
            return Account(pwd.getpwuid(uid).pw_name, uid, os.getegid(), switched=False)
        except KeyError:
            return Account(f"uid {uid}", uid, os.getegid(), switched=False, is_known=False)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid, switched=True)
    raise EmbeddedServerException(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as. "
        "Start as an ordinary user, or make a user `postgres`."
    )

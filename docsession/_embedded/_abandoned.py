"""Servers of temporary directories whose processes were killed: nobody is left to stop them and to tidy up."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

from docsession._embedded._account import server_account
from docsession._embedded._locks import is_at, is_free, open_lock, release, try_lock
from docsession._embedded._places import Place, find_place
from docsession._embedded._postmaster import is_postmaster, read_pid_file
from docsession._errors import EmbeddedServerException

_QUIT_SECONDS = 10.0


def remove_abandoned(directory: Path) -> bool:
    """Remove the directory of a server that no process uses, with all data in it, and end the server before.

    Returns:
        False where a process uses the server, or is starting it, or where the directory is none of a server of ours.
    """
    if not directory.is_dir() or directory.is_symlink():
        return False
    try:
        place = find_place(directory, 0, server_account())
        starting = open_lock(place.start_lock)
    except (EmbeddedServerException, OSError):
        return False
    try:
        if not try_lock(starting, shared=False):
            return False
        # Somebody may have removed it meanwhile, and somebody else have begun anew: then this is no lock any more.
        if not is_at(starting, place.start_lock) or not _remove(place):
            return False
    finally:
        release(starting)
    if place.directory != directory:
        shutil.rmtree(directory, ignore_errors=True)
    return True


def _remove(place: Place) -> bool:
    holders = open_lock(place.holders_lock)
    try:
        if not try_lock(holders, shared=False) or not _end_server(place):
            return False
        shutil.rmtree(place.directory, ignore_errors=True)
        return True
    finally:
        release(holders)


def _end_server(place: Place) -> bool:
    """End the server without care for its data; False where it goes on, as one in another container does."""
    found = read_pid_file(place.data)
    if found is not None and is_postmaster(found[0].pid, place.data):
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(found[0].pid, signal.SIGQUIT)
    deadline = time.monotonic() + _QUIT_SECONDS
    while not is_free(place.server_lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    if found is not None and not found[0].socket_directory.is_relative_to(place.directory):
        shutil.rmtree(found[0].socket_directory, ignore_errors=True)
    return True

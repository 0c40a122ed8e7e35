"""What every error of docsession has to be."""

import atexit
import contextlib
import socket
import traceback
from pathlib import Path

import pytest

from docsession import DocSessionError

SECRET = "s3cret-Pässword"
PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")


@contextlib.contextmanager
def refused(kind, *words, cause=None):
    """Expect an error of exactly this class, with these words, a section in the docs, and no password anywhere."""
    with pytest.raises(DocSessionError) as caught:
        yield caught
    error = caught.value
    assert type(error) is kind
    for word in words:
        assert word in str(error), str(error)
    assert f"({error.code})=" in PAGE
    if cause is not None:
        assert isinstance(error.__cause__, cause)
    assert SECRET not in "".join(traceback.format_exception(error)) + repr(error)


def free_port():
    """A port where nobody listens, now and later."""
    probe = socket.socket()
    atexit.register(probe.close)
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]

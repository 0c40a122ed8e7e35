"""Type checkers infer from the public names what the documentation promises, and find the mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SNIPPETS = Path(__file__).parent / "snippets"


def check(*command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_mypy_agrees():
    """Strict, so that an ignored mistake that is none is reported too."""
    pytest.importorskip("mypy")

    code, output = check("mypy", "--strict", "--no-incremental", str(SNIPPETS))

    assert code == 0, output


def test_pyright_agrees():
    """The same for the other checker."""
    pytest.importorskip("pyright")

    code, output = check("pyright", "--pythonpath", sys.executable, "--project", str(SNIPPETS.parent))

    assert (code, output.strip().splitlines()[-1]) == (0, "0 errors, 0 warnings, 0 informations"), output

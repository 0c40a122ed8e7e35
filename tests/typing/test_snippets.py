"""Type checkers infer from the public names what the documentation promises, and find the mistakes."""

import json
import re
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


@pytest.fixture
def readme(tmp_path):
    """The README's example as a module."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    module = tmp_path / "readme.py"
    module.write_text(code)
    return module


def test_the_readme_passes_mypy(readme):
    """As a newcomer would run it, strict."""
    pytest.importorskip("mypy")

    code, output = check("mypy", "--strict", "--no-incremental", str(readme))

    assert code == 0, output


def test_the_readme_passes_pyright(readme):
    """The same for the other checker, as it comes; strict, it does not like any `field(default_factory=list)`."""
    pytest.importorskip("pyright")
    settings = json.loads((SNIPPETS.parent / "pyrightconfig.json").read_text())
    settings |= {"include": [readme.name], "extraPaths": [str(ROOT)], "typeCheckingMode": "standard"}
    (readme.parent / "pyrightconfig.json").write_text(json.dumps(settings))

    code, output = check("pyright", "--pythonpath", sys.executable, "--project", str(readme.parent))

    assert (code, output.strip().splitlines()[-1]) == (0, "0 errors, 0 warnings, 0 informations"), output

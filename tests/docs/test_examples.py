"""Every example in the README and the documentation runs and prints what the page says."""

import doctest
import re
import shutil
import sys
import tempfile
import types
from pathlib import Path

import pytest

from docsession._embedded import _holders
from tests.support.hosts import django_settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page):
    """Yield (line, code) of each fenced block of Python."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        yield text.count("\n", 0, match.start(1)), match.group(1)


def run(page, namespace):
    """Run the blocks of a page in order: with prompts as doctests, without as plain code."""
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for line, code in examples(page):
        if ">>>" in code:
            test = doctest.DocTestParser().get_doctest(code, namespace, page.name, str(page), line)
            # The parser gives every test its own copy of the namespace.
            test.globs = namespace
            report = []
            runner.run(test, out=report.append, clear_globs=False)
            assert not report, "".join(report)
        else:
            exec(compile("\n" * line + code, str(page), "exec"), namespace)


@pytest.fixture
def data_home():
    """A directory in which the embedded server keeps its data, and which the user it runs as can enter."""
    folder = Path(tempfile.mkdtemp(prefix="docsession-docs-"))
    folder.chmod(0o755)
    yield folder
    for place, hold in list(_holders._holds.items()):
        if place.is_relative_to(folder):  # of a store that the page leaves open
            for token in list(hold.holders):
                _holders.leave(hold, token)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("page", [page for page in PAGES if any(examples(page))], ids=lambda page: page.name)
def test_the_examples_run(page, monkeypatch, data_home):
    """A page is one program: its blocks share their names and one embedded server of their own."""
    monkeypatch.delenv("DOCSESSION_URL", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(data_home))
    monkeypatch.setattr(tempfile, "tempdir", str(data_home))
    module = types.ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with django_settings():
        run(page, module.__dict__)

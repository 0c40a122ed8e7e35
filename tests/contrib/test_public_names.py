"""Each package for a framework has its public names in one list, and nothing else."""

import importlib
import pkgutil

import pytest

import docsession.contrib
from tests.support.contrib import CONTRIB


@pytest.mark.parametrize("module", sorted(CONTRIB))
def test_the_public_names_are_those_that_were_promised(module):
    """They may be imported with a star, and exist."""
    package = importlib.import_module(module)
    assert package.__all__ == CONTRIB[module] == sorted(CONTRIB[module])
    assert all(hasattr(package, name) for name in package.__all__)


def test_no_package_is_forgotten():
    found = {f"docsession.contrib.{each.name}" for each in pkgutil.iter_modules(docsession.contrib.__path__)}
    assert {name for name in found if "._" not in name} == {name for name in CONTRIB if ".contrib." in name}

"""Alembic's plugin, by the entry point in `alembic.plugins`.

It is called `alembic.autogenerate.…` because environments use the plugins of that name without being told to.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Final

from alembic.runtime import plugins
from alembic.util import DispatchPriority

from docsession._alembic import _rendering  # noqa: F401  # registers the operations, too
from docsession._alembic._comparison import compare_declared, know_vectors

NAME: Final = "alembic.autogenerate.docsession"


def setup(plugin: plugins.Plugin) -> None:
    """Register what Alembic is to know."""
    plugin.add_autogenerate_comparator(know_vectors, "schema", "docsession", priority=DispatchPriority.FIRST)
    plugin.add_autogenerate_comparator(compare_declared, "schema", "docsession", priority=DispatchPriority.LAST)


def ensure() -> None:
    """Register the plugin where no entry point has: in a checkout that was installed before it had one."""
    if NAME not in plugins._all_plugins:
        plugins.Plugin(NAME)
        setup(plugins._all_plugins[NAME])


class _PluginModule(ModuleType):
    """A module that is also the collection of itself.

    Alembic up to 1.20.0 iterates over what an entry point names, and cannot be imported any more where that fails;
    later ones take a module, and warn of anything else.
    """

    def __iter__(self) -> Iterator[ModuleType]:
        yield self


sys.modules[__name__].__class__ = _PluginModule

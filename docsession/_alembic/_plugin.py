"""Alembic's plugin, by the entry point in `alembic.plugins`.

It is called `alembic.autogenerate.…` because environments use the plugins of that name without being told to.
"""

from __future__ import annotations

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

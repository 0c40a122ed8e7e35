"""How revisions show the operations on declared indexes."""

from __future__ import annotations

from typing import Final

from alembic.autogenerate.render import renderers

from docsession._alembic._operations import LOCK_TIMEOUT, CreateDefinition, DefinitionOperation, DropDefinition
from docsession._sql._definitions import Kind

_CREATE: Final = {
    Kind.INDEX: "docsession_create_index",
    Kind.COLUMN: "docsession_add_column",
    Kind.STATISTICS: "docsession_create_statistics",
    Kind.FOREIGN_KEY: "docsession_add_foreign_key",
}
_DROP: Final = {
    Kind.INDEX: "docsession_drop_index",
    Kind.COLUMN: "docsession_drop_column",
    Kind.STATISTICS: "docsession_drop_statistics",
    Kind.FOREIGN_KEY: "docsession_drop_foreign_key",
}


@renderers.dispatch_for(CreateDefinition)
def _render_create(autogen_context: object, operation: CreateDefinition) -> list[str]:
    definition = operation.definition
    arguments = [source_of(definition.name), source_of(definition.table), source_of(definition.body)]
    if definition.is_unique:
        arguments.append("unique=True")
    if definition.extensions:
        arguments.append(f"extensions=[{', '.join(map(source_of, definition.extensions))}]")
    if definition.rewrites_table or operation.lock_timeout != LOCK_TIMEOUT:
        arguments.append(f"lock_timeout={source_of(operation.lock_timeout)}")
    recorded = getattr(definition, "recorded", "")
    if recorded:
        arguments.append(f"digest={source_of(recorded)}")
    return _call(autogen_context, operation, _CREATE[definition.kind], arguments)


@renderers.dispatch_for(DropDefinition)
def _render_drop(autogen_context: object, operation: DropDefinition) -> list[str]:
    definition = operation.definition
    arguments = [source_of(definition.name), source_of(definition.table)]
    return _call(autogen_context, operation, _DROP[definition.kind], arguments)


def _call(autogen_context: object, operation: DefinitionOperation, name: str, arguments: list[str]) -> list[str]:
    prefix = autogen_context.opts["alembic_module_prefix"] or ""  # type: ignore[attr-defined]  # Alembic's own class cannot be imported here
    if operation.schema is not None:
        arguments = [*arguments, f"schema={source_of(operation.schema)}"]
    lines = [f"# {note}" for note in operation.notes]
    call = f"{prefix}{name}({', '.join(arguments)})"
    if len(call) <= 110:
        return [*lines, call]
    inner = "".join(f"    {argument},\n" for argument in arguments)
    return [*lines, f"{prefix}{name}(\n{inner})"]


def source_of(text: str) -> str:
    """Return *text* as Python source, in double quotes where that needs no escapes, as formatters have it."""
    text = str(text)
    return f'"{text}"' if text.isprintable() and not set(text) & {'"', "\\"} else repr(text)

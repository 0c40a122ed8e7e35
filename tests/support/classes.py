"""Classes of every kind with given fields."""

import dataclasses
from typing import Any

import attrs
import msgspec
import pydantic
from typing_extensions import TypedDict

KINDS_OF_CLASSES = [
    "dataclass",
    "frozen dataclass",
    "Struct",
    "attrs",
    "attrs with dict",
    "pydantic",
    "annotated plain",
    "hinted plain",
    "TypedDict",
]


def _init(self, **values):
    vars(self).update(values)


def make_class(kind: str, fields: dict[str, Any], module: str) -> tuple[type, str | None]:
    """A class with *fields* (name -> annotation) and an id, and the name of the attribute that holds the id."""
    name = f"Holder_{kind.replace(' ', '_')}"
    space = {"__module__": module}
    pairs = list(fields.items())
    match kind:
        case "dataclass":
            return dataclasses.make_dataclass(name, [*pairs, ("Id", str | None, None)], namespace=space), "Id"
        case "frozen dataclass":
            pairs.insert(0, ("Id", str))
            return dataclasses.make_dataclass(name, pairs, frozen=True, slots=True, namespace=space), "Id"
        case "Struct":
            return msgspec.defstruct(name, [*pairs, ("Id", str | None, None)], module=module), "Id"
        case "attrs" | "attrs with dict":
            made = {each: attrs.field(type=annotation) for each, annotation in pairs}
            made["Id"] = attrs.field(type=str | None, default=None)
            return attrs.make_class(name, made, slots=kind == "attrs"), "Id"
        case "pydantic":
            config = pydantic.ConfigDict(arbitrary_types_allowed=True)
            made = {each: (annotation, ...) for each, annotation in pairs} | {"Id": (str | None, None)}
            return pydantic.create_model(name, __config__=config, __module__=module, **made), "Id"
        case "annotated plain":
            return type(name, (), {**space, "__annotations__": dict(fields), "__init__": _init}), "Id"
        case "hinted plain":
            names: dict[str, Any] = {}
            body = "".join(f"\n    self.{each} = {each}" for each in fields)
            exec(f"def init(self, {', '.join(fields)}):{body}", names)
            names["init"].__annotations__.update(fields)
            return type(name, (), {**space, "__init__": names["init"]}), "Id"
        case "TypedDict":
            return TypedDict(name, dict(fields)), None  # type: ignore[misc]  # made at run time
    raise AssertionError(kind)


def make_instance(cls: type, kind: str, values: dict[str, Any]) -> Any:
    """An instance with the given values; a frozen one has some id already."""
    return cls(**values, Id="x") if kind == "frozen dataclass" else cls(**values)

"""pydantic models: stored under the names of the fields, built by the model's own validator.

Nothing here imports pydantic: a model carries all that is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Annotated, Any

from docsession._documents._annotations import Scope
from docsession._documents._kinds import MakeForm, cached_names
from docsession._documents._objects import Field, Recipe
from docsession._documents._places import MisfitError, describe
from docsession._documents._untyped import NeedsTypesError, has_special


def model_parts(cls: Any, form: MakeForm) -> tuple[list[Field], Recipe]:
    """Return fields and recipe of a model; validators run, private attributes get their defaults."""
    if not cls.__pydantic_complete__:
        cls.model_rebuild(raise_errors=False)
    scope = Scope(cls, {})
    extra = cls.model_config.get("extra")
    fields = [
        Field(name, name, form(_annotation(info), scope), required=info.is_required())
        for name, info in cls.__pydantic_fields__.items()
    ]
    has_decorators = bool(cls.__pydantic_decorators__.model_validators) or bool(
        cls.__pydantic_decorators__.root_validators
    )

    def build(values: dict[str, Any]) -> Any:
        return read_model(lambda: cls.__pydantic_validator__.validate_python(values, by_name=True, by_alias=False))

    def extras(instance: Any) -> Mapping[str, Any]:
        return instance.__pydantic_extra__ or {}

    def takes(_: str) -> bool:
        return True

    # A validator before the fields may fill in what the document lacks.
    if has_decorators:
        fields = [Field(each.name, each.key, each.form, required=False) for each in fields]
    return fields, Recipe(
        build,
        extras=extras if extra == "allow" else None,
        takes=takes if extra == "allow" else None,
        refuses_unknown=extra == "forbid",
        attributes=_model_attributes(cls),
        is_custom=True,
        pydantic=True,
    )


def _annotation(info: Any) -> Any:
    """Return the annotation of a field, with what else it says of a union."""
    return Annotated[info.annotation, info] if info.discriminator is not None else info.annotation


def read_model(validate: Callable[[], Any]) -> Any:
    """Return what *validate* returns, a model, with pydantic's error as ours.

    Raises:
        MisfitError: It does not fit.
    """
    try:
        return validate()
    except ValueError as error:
        errors = getattr(error, "errors", None)
        if errors is None:
            raise
        first = errors(include_url=False, include_context=False)[0]
        raise MisfitError(first["msg"], describe(first["input"]), tuple(first["loc"])) from error


def _model_attributes(cls: Any) -> Callable[[Any], Mapping[str, Any]]:
    """Return what hands the fields of a model to msgspec's encoder at once."""
    cached = cached_names(cls)
    allows_extra = cls.model_config.get("extra") == "allow"
    if not cached and not allows_extra:
        return attrgetter("__dict__")

    def attributes(instance: Any) -> Mapping[str, Any]:
        found: dict[str, Any] = instance.__dict__
        if not cached.isdisjoint(found):
            found = {name: value for name, value in found.items() if name not in cached}
        extra: dict[str, Any] | None = instance.__pydantic_extra__
        if not extra:
            return found
        if has_special(extra.values()):
            raise NeedsTypesError
        return {**found, **extra}

    return attributes

"""What a query returns other than documents: some of their fields, and what is computed over many of them, in SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

import msgspec
from typing_extensions import override

from docsession._documents._containers import Maybe
from docsession._documents._form import Form
from docsession._documents._objects import ObjectForm
from docsession._documents._places import MisfitError
from docsession._documents._scalars import Scalar
from docsession._documents._values import read_json
from docsession._errors import DocumentMismatchException, InvalidArgumentException, InvalidArgumentTypeException
from docsession._port import Row
from docsession._query._compilation import Compilation
from docsession._query._kinds import bare, is_datetime, is_ordered, shape_of_form
from docsession._query._operands import COUNTS, DECIMALS, NUMBERS, Arithmetic, Column, Operand, Place
from docsession._query._predicates import Predicate
from docsession._query._recorder import Recorded, form_of, operand_of, record
from docsession._sql._values import Shape

_BOOLS: Final[Form] = Scalar(bool)
_LOCAL_DATETIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?$"


class Aggregate(Operand):
    """Something computed over the documents of a group, or over all that a query finds.

    Args:
        function: `count`, `sum`, `min`, `max` or `avg`.
        of: What it is computed from; None counts the documents.
    """

    __slots__ = ("_function", "_of", "_shape")

    def __init__(self, function: str, of: Operand | None) -> None:
        self._function = function
        self._of = of
        self._shape = Shape.NUMBER
        self.label = f"{function}({'' if of is None else of.label})"
        if of is None:
            self.form = COUNTS
            return
        form = bare(of.form)
        if function in {"sum", "avg"}:
            if shape_of_form(form) is not Shape.NUMBER and not form.untyped:
                raise InvalidArgumentTypeException(f"{self.label}: {of.label} holds {form.label}, which has no sum")
            is_exact = form is not NUMBERS and isinstance(form, Scalar) and form.kind is Decimal
            self.form = Maybe(DECIMALS if is_exact else form if function == "sum" and not form.untyped else NUMBERS)
        else:
            shape = Shape.INSTANT if is_datetime(form) else shape_of_form(form)
            if form.untyped:
                shape = Shape.NUMBER
            if shape is None or shape is Shape.JSON or not is_ordered(form, None):
                raise InvalidArgumentTypeException(f"{self.label}: {of.label} holds {form.label}, which has no order")
            self._shape = shape
            self.form = Maybe(form)

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("aggregate", self._function))
        if self._of is not None:
            self._of.walk(key, values)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        if self._of is None:
            return "count(*)"
        if self._shape is Shape.INSTANT and isinstance(self._of, Place):
            return self._datetime_sql(to, self._of, shape)
        value = self._of.sql(to, self._shape)
        return f"coalesce(sum({value}), 0)" if self._function == "sum" else f"{self._function}({value})"

    def _datetime_sql(self, to: Compilation, of: Place, shape: Shape) -> str:
        """Return the SQL of datetimes: as a moment, as the text of those without an offset, else as either, in JSON."""
        moment = of.sql(to, Shape.INSTANT)
        text = of.sql(to, Shape.TEXT)
        moments = f"{self._function}({moment})"
        texts = f"{self._function}({text}) FILTER (WHERE {moment} IS NULL AND {text} ~ '{_LOCAL_DATETIME}')"
        if shape is Shape.INSTANT:
            return moments
        return texts if shape is Shape.TEXT else f"coalesce(to_jsonb({moments}), to_jsonb({texts}))"


class Truth(Operand):
    """Whether a condition is true; where nothing is, it is false."""

    __slots__ = ("_condition",)

    def __init__(self, condition: Predicate) -> None:
        self._condition = condition
        self.form = _BOOLS
        self.label = "a condition"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        self._condition.walk(key, values)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        return f"coalesce({self._condition.sql(to)}, false)"


class Selected:
    """One value of each row.

    Attributes:
        name: What it is called in a dict or an instance; "" in a tuple.
        operand: What it is.
    """

    __slots__ = ("name", "operand")

    def __init__(self, name: str, operand: Operand) -> None:
        self.name = name
        self.operand = operand

    def sql(self, to: Compilation, groups: Sequence[Place] = ()) -> str:
        """Return it as SQL of type jsonb; called once for each `walk` of its operand.

        Raises:
            InvalidArgumentException: There are groups, and it is no single value in each.
        """
        operand = self.operand
        if isinstance(operand, Aggregate):
            return f"to_jsonb({operand.sql(to, Shape.NUMBER)})"
        if groups and isinstance(operand, Arithmetic) and is_of_groups(operand, groups):
            return f"to_jsonb({operand.sql(to, Shape.NUMBER)})"
        if groups:
            if isinstance(operand, Place) and any(each.is_same(operand) for each in groups):
                return f"to_jsonb({group_sql(operand, to)})"
            raise InvalidArgumentException(
                f"select(): {operand.label} differs inside a group; group_by() it too, or take min_() or max_()"
            )
        if isinstance(operand, Column):
            return f"to_jsonb({operand.sql(to, operand.shape)})"
        if isinstance(operand, Place):
            return "to_jsonb(t.id)" if operand.is_id(to) else operand.json(to)
        return f"to_jsonb({operand.sql(to, Shape.NUMBER)})"

    def read(self, value: bytes | None) -> Any:
        """Return the value of a row.

        Raises:
            DocumentMismatchException: A document holds something else there than its class declares.
        """
        if value is None:
            return None
        json = read_json(value[1:])
        if json is None:
            return None
        try:
            return bare(self.operand.form).decode(json, None)
        except MisfitError as error:
            raise DocumentMismatchException(
                f"select(): a document has {error.found} at {self.operand.label}, where {error.expected} is declared",
                path=self.operand.label,
                expected=error.expected,
                found=error.found,
            ) from error


class Projection:
    """What of each row is returned, and as what.

    Attributes:
        columns: The values.
        build: Makes what is returned of them, in their order.
        key: What tells it from other projections of the same columns; nothing of its SQL depends on `build`.
    """

    __slots__ = ("build", "columns")

    def __init__(self, columns: Sequence[Selected], build: Callable[[Sequence[Any]], Any]) -> None:
        self.columns = tuple(columns)
        self.build = build

    def read(self, row: Row) -> Any:
        """Return what a row stands for."""
        return self.build([column.read(value) for column, value in zip(self.columns, row, strict=True)])


def project(
    root: Recorded, function: Callable[[Any], object] | None, into: type[Any] | None, *, grouped: bool = False
) -> Projection:
    """Return what `select(function, into=…)` asks for.

    Args:
        root: What stands for the documents.
        function: The function.
        into: The class.
        grouped: True: of groups, of which what has no value is null, and not missing.

    Raises:
        InvalidArgumentException: The function returns something else than fields.
    """
    if function is None:
        if into is None:
            raise InvalidArgumentException(
                "select() takes a function, as in lambda o: (o.company, o.freight), or into="
            )
        return _into(into, {name: getattr(root, name) for name in names_of(into)}, grouped=grouped)
    made = record(function, root, "select()")
    if into is not None:
        if not isinstance(made, Mapping):
            raise InvalidArgumentException(
                f"select(…, into={into.__qualname__}) takes a function that returns a dict: {{'name': o.name}}"
            )
        return _into(into, made, grouped=grouped)
    if isinstance(made, Mapping):
        names = [str(name) for name in made]
        return Projection(
            [_selected(name, value) for name, value in made.items()],
            lambda values: dict(zip(names, values, strict=True)),
        )
    if isinstance(made, tuple):
        return Projection([_selected("", value) for value in made], tuple)
    return Projection([_selected("", made)], lambda values: values[0])


def is_of_groups(operand: Operand, groups: Sequence[Place]) -> bool:
    """Return True for what has one value in each group."""
    return all(
        isinstance(each, Aggregate) or (isinstance(each, Place) and any(group.is_same(each) for group in groups))
        for each in operand.components()
    )


def group_sql(place: Place, to: Compilation) -> str:
    """Return what documents are grouped by: null and missing are one group."""
    if place.is_id(to):
        return "t.id"
    shape = shape_of_form(place.form)
    if shape is None or shape is Shape.JSON or bare(place.form).kinds == {"bool"}:
        return f"nullif({place.json(to)}, 'null')"
    return place.sql(to, shape)


def aggregate(function: str, of: object) -> Recorded:
    """Return an aggregate of what was recorded.

    Raises:
        InvalidArgumentTypeException: It is no field.
    """
    operand = operand_of(of)
    if operand is None:
        raise InvalidArgumentTypeException(f"{function}_() takes a field of the documents, not {of!r:.60}")
    return Recorded(Aggregate(function, operand))


def _operand_of(value: object) -> Operand | None:
    return Truth(value) if isinstance(value, Predicate) else operand_of(value)


def _selected(name: object, value: object) -> Selected:
    operand = _operand_of(value)
    if operand is None or not isinstance(name, str):
        shown = f"{name!r}: {value!r:.60}" if name != "" else f"{value!r:.60}"
        raise InvalidArgumentTypeException(f"select() returns fields of the documents, not {shown}")
    if not operand.label:
        raise InvalidArgumentException("select() returns fields; a query without select() returns the documents")
    return Selected(name, operand)


def names_of(into: object) -> list[str]:
    """Return the names of the fields of a class.

    Raises:
        InvalidArgumentTypeException: It declares none.
    """
    return [field.name for field in _fields_of(into)]


def into_class(into: type[Any], fields: Mapping[str, Operand], *, grouped: bool = False) -> Projection:
    """Return what makes an instance of a class of each row, given what its fields are; see `project`.

    Raises:
        InvalidArgumentException: The class has no such field.
    """
    return _into(into, {name: Recorded(operand) for name, operand in fields.items()}, grouped=grouped)


def _into(into: type[Any], made: Mapping[Any, object], *, grouped: bool) -> Projection:
    fields = {field.name: field for field in _fields_of(into)}
    unknown = [str(name) for name in made if name not in fields]
    if unknown:
        raise InvalidArgumentException(f"{into.__qualname__} has no field {unknown[0]!r}; it has {', '.join(fields)}")
    keys = [fields[name].key for name in made]
    form = form_of(into)

    def build(values: Sequence[Any]) -> Any:
        wire = {key: value for key, value in zip(keys, values, strict=True) if value is not msgspec.UNSET}
        try:
            return form.decode(wire, None)
        except MisfitError as error:
            raise DocumentMismatchException(
                f"select(…, into={into.__qualname__}): {error.expected} is declared where there is {error.found}",
                expected=error.expected,
                found=error.found,
            ) from error

    kind = _RawOfGroup if grouped else _Raw
    columns = [kind(name, cast("Operand", _operand_of(value))) for name, value in made.items()]
    for name, value in made.items():
        _selected(name, value)
    return Projection(columns, build)


class _Raw(Selected):
    """A value that is read as the class it goes into declares it."""

    __slots__ = ()

    @override
    def read(self, value: bytes | None) -> Any:
        return msgspec.UNSET if value is None else read_json(value[1:])


class _RawOfGroup(Selected):
    """The same of a group, in which nothing is missing."""

    __slots__ = ()

    @override
    def read(self, value: bytes | None) -> Any:
        return None if value is None else read_json(value[1:])


def _fields_of(into: object) -> Sequence[Any]:
    form = form_of(into) if isinstance(into, type) and into is not dict else None
    if not isinstance(form, ObjectForm) or not form.fields:
        raise InvalidArgumentTypeException(f"select(into=…) takes a class with declared fields, not {into!r:.60}")
    return list(form.fields.values())

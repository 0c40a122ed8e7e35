"""What conditions compare and orders sort by: fields, arithmetic over them, lengths, columns."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from typing_extensions import override

from docsession._documents._form import Form
from docsession._documents._places import RefusedError
from docsession._documents._scalars import Scalar
from docsession._documents._values import check_str
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._compilation import Compilation, Scope
from docsession._query._kinds import CASTS, bare, binder, shape_of_form, shape_of_value
from docsession._sql._values import Path, Shape, json_at, text_at

NUMBERS: Final[Form] = Scalar(float)
COUNTS: Final[Form] = Scalar(int)
DECIMALS: Final[Form] = Scalar(Decimal)
TEXTS: Final[Form] = Scalar(str)


class Operand:
    """Something with a value in every document.

    No ABC, whose `isinstance` takes several times as long, and nothing is asked more often here.

    Attributes:
        form: The form of its values.
        label: What an error calls it.
    """

    __slots__ = ("form", "label")
    form: Form
    label: str

    def walk(self, key: list[object], values: list[Any]) -> None:
        """Add what tells its SQL from that of others to *key*, and its constants to *values*."""
        raise NotImplementedError

    def sql(self, to: Compilation, shape: Shape) -> str:
        """Return its SQL as a value of *shape*; called once for each `walk`."""
        raise NotImplementedError

    def components(self) -> Iterator[Operand]:
        """Yield what it is computed from."""
        yield self

    def shape_against(self, value: object) -> Shape:
        """Return what it and a value are compared as.

        Raises:
            InvalidArgumentTypeException: They are never equal.
        """
        return shape_of_value(self.form, value, self.label)


class Place(Operand):
    """A field of the document, or of an item of one of its lists.

    Attributes:
        scope: The list whose item it belongs to; None: the document.
        path: The JSON keys and positions that lead to it.
    """

    __slots__ = ("_key", "path", "scope")

    def __init__(self, scope: Scope | None, path: Path, form: Form, label: str) -> None:
        self.scope = scope
        self.path = path
        self.form = form
        self.label = label
        self._key = (0 if scope is None else scope.depth, *path)

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(self._key)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        return to.value(self.scope, self.path, shape)

    def is_same(self, other: Place) -> bool:
        """Return True where *other* is the same place."""
        return self._key == other._key

    def is_id(self, to: Compilation) -> bool:
        """Return True where it is no part of the document, but its id."""
        return self.scope is None and len(self.path) == 1 and self.path[0] == to.id_key

    def json(self, to: Compilation) -> str:
        """Return the SQL of the JSON there; null where there is none."""
        return json_at(to.document(self.scope), self.path)

    def text(self, to: Compilation) -> str:
        """Return the SQL of the text there, null where there is none or JSON's null."""
        return to.id if self.is_id(to) else text_at(to.document(self.scope), self.path)


class Column(Operand):
    """A column of the table: the id, the version, the last modification; or a key of the metadata.

    Attributes:
        shape: What its values are compared as.
        key: What `meta` calls it.
    """

    __slots__ = ("_sql", "key", "shape")

    def __init__(self, sql: str, form: Form, label: str, shape: Shape, key: str) -> None:
        self.key = key
        self._sql = sql
        self.form = form
        self.label = label
        self.shape = shape

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(self._sql)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        sql = to.column(self._sql)
        return f'(lower({sql}) COLLATE "C")' if shape is Shape.FOLDED else sql

    @override
    def shape_against(self, value: object) -> Shape:
        shape = super().shape_against(value)
        if self.shape is Shape.INSTANT and shape is not Shape.INSTANT:
            raise InvalidArgumentTypeException(
                f"{self.label} is a moment: compare it with a datetime that has an offset, not with {value!r:.60}"
            )
        return shape


class Length(Operand):
    """How many items a list has, or characters a text."""

    __slots__ = ("_of",)

    def __init__(self, of: Place) -> None:
        kinds = bare(of.form).kinds
        if not kinds <= {"string"} and not kinds <= {"array"}:
            raise InvalidArgumentTypeException(f"len_() takes a list or a str, and {of.label} holds {of.form.label}")
        self._of = of
        self.form = COUNTS
        self.label = f"len_({of.label})"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append("len")
        self._of.walk(key, values)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        if bare(self._of.form).kinds <= {"string"}:
            return f"char_length({self._of.text(to)})::numeric"
        value = self._of.json(to)
        return f"(CASE WHEN jsonb_typeof({value}) = 'array' THEN jsonb_array_length({value})::numeric END)"


class Arithmetic(Operand):
    """`left operator right` over numbers; null where one of them is none, and for a division by zero."""

    __slots__ = ("_left", "_operator", "_right")

    def __init__(self, operator: str, left: Any, right: Any) -> None:
        self._operator = operator
        self._left = left
        self._right = right
        for side in (left, right):
            if isinstance(side, Operand):
                if shape_of_form(side.form) is not Shape.NUMBER and not bare(side.form).untyped:
                    raise InvalidArgumentTypeException(
                        f"arithmetic takes numbers, and {side.label} holds {side.form.label}"
                    )
            elif isinstance(side, bool) or not isinstance(side, (int, float)):
                bind = binder(NUMBERS, Shape.NUMBER)
                if not hasattr(side, "as_tuple"):
                    raise InvalidArgumentTypeException(f"arithmetic takes numbers, not {side!r:.40}")
                bind(side)
        self.form = _form_of_result(operator, left, right)
        self.label = f"{_name(left)} {operator} {_name(right)}"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(self._operator)
        for side in (self._left, self._right):
            if isinstance(side, Operand):
                side.walk(key, values)
            else:
                key.append(None)
                values.append(side)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        left, right = (self._side(to, side) for side in (self._left, self._right))
        return f"({left} / nullif({right}, 0))" if self._operator == "/" else f"({left} {self._operator} {right})"

    @override
    def components(self) -> Iterator[Operand]:
        for side in (self._left, self._right):
            if isinstance(side, Operand):
                yield from side.components()

    @staticmethod
    def _side(to: Compilation, side: Any) -> str:
        if isinstance(side, Operand):
            return side.sql(to, Shape.NUMBER)
        return to.bind(to.take(), binder(NUMBERS, Shape.NUMBER), CASTS[Shape.NUMBER])


def check_key(name: str) -> str:
    """Return *name*, which may be a key of a document.

    Raises:
        InvalidArgumentException: No document has such a key.
    """
    try:
        return check_str(name, None)
    except RefusedError as error:
        raise InvalidArgumentException(f"{name!r:.60} is no key that a document has: {error}") from error


def _form_of_result(operator: str, left: object, right: object) -> Form:
    """Return what Python would make of such numbers; of a Decimal and a float it is the more exact one."""
    kinds: set[type] = set()
    for side in (left, right):
        form = bare(side.form) if isinstance(side, Operand) else Scalar(type(side))
        kinds.add(form.kind if isinstance(form, Scalar) else float)
    if Decimal in kinds:
        return DECIMALS
    return COUNTS if kinds == {int} and operator != "/" else NUMBERS


def _name(side: object) -> str:
    return side.label if isinstance(side, Operand) else repr(side)

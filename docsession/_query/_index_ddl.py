"""Index declarations -> DDL: the expressions and conditions of queries, with constants in place of bound values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._port import JSONB_VERSION, TextArray, Timestamp
from docsession._query._access import NOTHING_DECLARED, Access
from docsession._query._compilation import Compilation, Convert, Scope
from docsession._query._functions import Descending
from docsession._query._kinds import bare, shape_of_form, shapes_to_sort
from docsession._query._operands import Column, Operand, Place
from docsession._query._predicates import as_predicate
from docsession._query._recorder import Recorded, operand_of, record
from docsession._sql._definitions import escaped
from docsession._sql._values import Path, Shape, literal

TYPES: Final = {"text": Shape.TEXT, "numeric": Shape.NUMBER, "timestamptz": Shape.INSTANT, "jsonb": Shape.JSON}
"""The shapes that a declaration may name, by PostgreSQL's names of their types."""

_EPOCH: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Key:
    """A field that something is declared for.

    Attributes:
        operand: The field, or what is computed of fields.
        shapes: What its values are compared as.
        is_descending: True where it is sorted from the greatest to the least.
    """

    operand: Operand
    shapes: tuple[Shape, ...]
    is_descending: bool = False

    @property
    def label(self) -> str:
        """What an error calls it."""
        return self.operand.label

    @property
    def path(self) -> Path | None:
        """Where in the document it is; None for what is computed, and for columns."""
        return self.operand.path if isinstance(self.operand, Place) else None


class IndexTarget:
    """The table that something is declared for, and the class of its documents.

    Args:
        table: The table's name.
        root: What stands for a document in the functions of declarations.
        id_key: The key under which the class has its id; that is a column.
        access: The promoted columns, which expressions take as queries do.
        lists: Where to note of which lists conditions say what they hold; None: in a set of its own.
    """

    def __init__(
        self,
        table: str,
        root: Recorded,
        id_key: str | None,
        access: Access = NOTHING_DECLARED,
        lists: set[Path] | None = None,
    ) -> None:
        self.table = table
        self.lists: set[Path] = set() if lists is None else lists
        self._root = root
        self._id_key = id_key
        self._access = access

    def keys(
        self, function: Callable[[Any], object], what: str, type_: str | None = None, *, folded: bool = False
    ) -> list[Key]:
        """Return the fields that *function* names, in their order.

        Args:
            function: What the user has declared.
            what: The declaration's name, for errors.
            type_: One of `TYPES`, for fields whose class says nothing of their values; None is as queries sort them.
            folded: True compares without regard to case.

        Raises:
            InvalidArgumentException: It names no fields.
        """
        made = record(function, self._root, f"{what}()")
        keys = []
        for each in made if isinstance(made, tuple) else (made,):
            down = isinstance(each, Descending)
            operand = each.operand if isinstance(each, Descending) else operand_of(each)
            if operand is None:
                raise InvalidArgumentTypeException(
                    f"{what}() takes fields of the documents, as in lambda o: (o.country, desc(o.ordered_at)), "
                    f"not {each!r:.60}"
                )
            if not operand.label:
                raise InvalidArgumentException(f"{what}(lambda o: o): name a field, as in lambda o: o.name")
            if isinstance(operand, Place) and operand.scope is not None:
                raise InvalidArgumentException(
                    f"{what}(): {operand.label} belongs to an item of a list; use GinIndex()"
                )
            keys.append(Key(operand, self._shapes(operand, what, type_, folded=folded), down))
        if not keys:
            raise InvalidArgumentException(f"{what}() takes fields of the documents, as in lambda o: o.name")
        return keys

    def _shapes(self, operand: Operand, what: str, type_: str | None, *, folded: bool) -> tuple[Shape, ...]:
        if isinstance(operand, Place) and operand.path == (self._id_key,):
            return (Shape.TEXT,)
        form = bare(operand.form)
        shape = operand.shape if isinstance(operand, Column) else shape_of_form(form)
        if folded:
            if shape is not Shape.TEXT and not form.untyped:
                raise InvalidArgumentTypeException(
                    f"{what}(ignore_case=True): {operand.label} holds {operand.form.label}, which has no case"
                )
            return (Shape.FOLDED,)
        if type_ is not None:
            asked = TYPES[type_]
            if shape not in {None, asked} and not form.untyped:
                raise InvalidArgumentTypeException(
                    f"{what}(type={type_!r}): {operand.label} holds {operand.form.label}, which is compared otherwise"
                )
            return (asked,)
        return shapes_to_sort(form) if shape is None else (shape,)

    def expression(self, operand: Operand, shape: Shape) -> str:
        """Return the template of an expression."""
        return self._template(operand, lambda to: operand.sql(to, shape))

    def json(self, place: Place) -> str:
        """Return the template of the JSON at a place."""
        return self._template(place, place.json)

    def text(self, place: Place, *, folded: bool) -> str:
        """Return the template of the text at a place, without its collation."""
        promoted = self._access.columns.get((place.path, Shape.TEXT))
        if promoted is not None and not folded and not promoted.cast:
            return escaped(promoted.sql(""))
        return self._template(place, lambda to: f"lower({place.text(to)})" if folded else place.text(to))

    def condition(self, function: Callable[[Any], object] | None, what: str) -> str | None:
        """Return the template of a condition; None where there is none."""
        if function is None:
            return None
        predicate = as_predicate(record(function, self._root, f"{what}(where=…)"))
        return self._template(predicate, predicate.sql)

    def promoting(self, access: Access) -> IndexTarget:
        """Return the same table with its promoted columns."""
        return IndexTarget(self.table, self._root, self._id_key, access, self.lists)

    def _template(self, node: Any, write: Callable[[Compilation], str]) -> str:
        values: list[Any] = []
        node.walk([], values)
        # A name that occurs nowhere else stands for the schema while the text is written.
        stand_in = "schema"
        while stand_in in write(_Constants("", self._id_key, self._access, values)):
            stand_in += "_"
        to = _Constants(stand_in, self._id_key, self._access, values)
        text = write(to)
        self.lists |= to.lists
        return escaped(text).replace(f'"{stand_in}"', "{schema}")


class _Constants(Compilation):
    """A compilation whose values are written into the text, for the one row that the statement looks at."""

    __slots__ = ("_values",)

    one_row = True

    def __init__(self, schema: str, id_key: str | None, access: Access, values: Sequence[Any]) -> None:
        super().__init__(schema or "-", id_key, access, row="")
        self._values = values

    @override
    def bind(self, number: int, convert: Convert, cast: str = "") -> str:
        return constant(convert(self._values[number]), cast)

    @override
    def items(self, scope: Scope | None, path: Path) -> str:
        raise InvalidArgumentException("an index cannot look at the items of a list one by one")


def constant(value: object, cast: str = "") -> str:
    """Return a bound value as SQL, of the type that it would be sent as, or that of a *cast*."""
    if isinstance(value, Timestamp):
        return f"'{_EPOCH + dt.timedelta(microseconds=value)}'::timestamptz"
    if isinstance(value, str):
        return f"{literal(value)}{cast}"
    if isinstance(value, bytes):
        return f"{literal(value.removeprefix(JSONB_VERSION).decode())}::jsonb"
    if isinstance(value, TextArray):
        quoted = (each.replace("\\", "\\\\").replace('"', '\\"') for each in value)
        return literal("{" + ",".join(f'"{each}"' for each in quoted) + "}") + (cast or "::text[]")
    if isinstance(value, int):
        return f"{value}::bigint"
    raise InvalidArgumentTypeException(f"a {type(value).__qualname__} cannot be a constant of an index")

"""Orders that a field's own does not give: as texts without case, as numbers, null elsewhere, at random."""

from __future__ import annotations

import enum
import hashlib
import secrets
from typing import Any, Final

from typing_extensions import override

from docsession._documents._form import Form
from docsession._documents._scalars import Scalar
from docsession._errors import InvalidArgumentTypeException
from docsession._query._compilation import Compilation
from docsession._query._fields import Loose
from docsession._query._kinds import shape_of_form, shapes_to_sort
from docsession._query._operands import Column, Operand, Place
from docsession._sql._values import Shape

_RANKS: Final[Form] = Scalar(int)
_TEXTS: Final[Form] = Scalar(str)
_SEED_BYTES: Final = 8


class OrderingType(enum.Enum):
    """What values are sorted as (RavenDB: OrderingType).

    STRING: texts without regard to case, numbers by their digits. LONG, FLOAT: numbers, texts that look like some
    included. Without one a field is sorted by its type: numbers as numbers, texts by code point.
    """

    STRING = "STRING"
    LONG = "LONG"
    FLOAT = "FLOAT"


class NullsOrdering(enum.Enum):
    """Where what has no value stands among the sorted (RavenDB: NullsOrdering); by default it is the greatest."""

    DEFAULT = "DEFAULT"
    FIRST = "FIRST"
    LAST = "LAST"


class Caseless(Operand):
    """A field as texts without regard to case.

    Attributes:
        of: The field.
    """

    __slots__ = ("of",)

    def __init__(self, of: Place) -> None:
        self.of = of
        self.form = _TEXTS
        self.label = of.label

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append("caseless")
        self.of.walk(key, values)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        return self.of.sql(to, Shape.FOLDED)


class _Rank(Operand):
    """0 where there is no value, else 1."""

    __slots__ = ("_of", "_shape")

    def __init__(self, of: Operand) -> None:
        self._of = of
        # What JSON has no type of its own for is sorted by its text, which null has none of.
        self._shape = of.shape if isinstance(of, Column) else shapes_to_sort(of.form)[-1]
        self.form = _RANKS
        self.label = of.label

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append("rank")
        self._of.walk(key, values)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        return f"(CASE WHEN {self._of.sql(to, self._shape)} IS NULL THEN 0 ELSE 1 END)::numeric"


class Shuffle(Operand):
    """A number that a seed and the id of a document make, and nothing else."""

    __slots__ = ("_seed",)

    def __init__(self, seed: str | None) -> None:
        self._seed = seed
        self.form = _RANKS
        self.label = "random_ordering()"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append("shuffled")
        values.append(self._seed)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        return f"hashtextextended({to.id}, {to.bind(to.take(), _seed_number, '::bigint')})::numeric"


def orders_of(
    field: Operand, ordering: OrderingType | None, nulls: NullsOrdering, *, down: bool
) -> list[tuple[Operand, bool]]:
    """Return what to sort by, and whether from the greatest to the least."""
    made = field
    if isinstance(field, Place) and ordering is OrderingType.STRING:
        made = Caseless(field)
    elif isinstance(field, Place) and ordering is not None and shape_of_form(field.form) is not Shape.NUMBER:
        made = Loose(field, Shape.NUMBER)
    is_default = nulls is NullsOrdering.DEFAULT or (nulls is NullsOrdering.FIRST) is down
    if is_default:
        return [(made, down)]
    # Ascending, what has no value is the least of all then; descending, the least is the last.
    return [(_Rank(made), down), (made, down)]


def shuffled(seed: object) -> Shuffle:
    """Return what sorts at random; equal seeds sort equally, None otherwise each time.

    Raises:
        InvalidArgumentTypeException: It is no str.
    """
    if seed is not None and not isinstance(seed, str):
        raise InvalidArgumentTypeException(f"random_ordering() takes a seed, a str, not {type(seed).__qualname__}")
    return Shuffle(seed)


def _seed_number(seed: str | None) -> str:
    if seed is None:
        drawn = secrets.token_bytes(_SEED_BYTES)
    else:
        drawn = hashlib.blake2b(seed.encode(errors="surrogatepass"), digest_size=_SEED_BYTES).digest()
    return str(int.from_bytes(drawn, signed=True))

"""Conditions on texts: how they begin, what they hold, which regular expression they match."""

from __future__ import annotations

from typing import Any, Final

from typing_extensions import override

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._compilation import Compilation
from docsession._query._kinds import bare
from docsession._query._operands import Operand
from docsession._query._predicates import Predicate
from docsession._sql._values import Shape

LAST: Final = "\U0010ffff"
"""The last code point."""


class StartsWith(Predicate):
    """A text that begins with another one: a range, which a b-tree serves.

    Without regard to case both bounds are made of what the server's `lower` returns, which is not always
    what Python's does.
    """

    __slots__ = ("_above", "_operand", "_shape", "_text")

    def __init__(self, operand: Operand, text: str, shape: Shape = Shape.TEXT) -> None:
        check_text(operand, text, "starts_with")
        self._operand = operand
        self._shape = shape
        self._text = text
        # The last code point has no next one; neither has it another case.
        self._above = (text.rstrip(LAST) or None) if shape is Shape.FOLDED else next_text(text)

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("starts", self._shape, self._above is None))
        self._operand.walk(key, values)
        values.append((self._text, self._above))

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        left = self._operand.sql(to, self._shape)
        number = to.take()
        low = to.bind(number, lambda pair: pair[0])
        if self._shape is Shape.FOLDED:
            low = f"lower({low})"
        if self._above is None:
            return f"({left} < {low} OR {left} IS NULL)" if negated else f"{left} >= {low}"
        high = to.bind(number, lambda pair: pair[1])
        if self._shape is Shape.FOLDED:
            high = next_lower_text(high)
        if negated:
            return f"({left} < {low} OR {left} >= {high} OR {left} IS NULL)"
        return f"({left} >= {low} AND {left} < {high})"


def next_text(start: str) -> str | None:
    """Return the least text above all that begin with *start*, in code point order; None where there is none."""
    for end in range(len(start) - 1, -1, -1):
        code = ord(start[end])
        if code < 0x10FFFF:
            return start[:end] + chr(0xE000 if code == 0xD7FF else code + 1)
    return None


def next_lower_text(text: str) -> str:
    """Return the SQL of what `next_text` returns for the lower case of a text that does not end in `LAST`."""
    lower = f"lower({text})"
    code = f"ascii(right({lower}, 1))"
    following = f"chr(CASE {code} WHEN 55295 THEN 57344 ELSE {code} + 1 END)"
    return f"(left({lower}, -1) || {following})"


class Like(Predicate):
    """A text that holds another one: at its end, or anywhere.

    Args:
        before, after: What stands around the text in the pattern.
    """

    __slots__ = ("_after", "_before", "_operand", "_shape", "_text")

    def __init__(self, operand: Operand, text: str, before: str, after: str, shape: Shape = Shape.TEXT) -> None:
        check_text(operand, text, "contains" if after else "ends_with")
        self._operand = operand
        self._text = text
        self._before = before
        self._after = after
        self._shape = shape

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("like", self._shape))
        self._operand.walk(key, values)
        text = self._text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        values.append(f"{self._before}{text}{self._after}")

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        left = self._operand.sql(to, self._shape)
        pattern = to.bind(to.take(), _same)
        if self._shape is Shape.FOLDED:
            pattern = f"lower({pattern})"
        return f"({left} NOT LIKE {pattern} OR {left} IS NULL)" if negated else f"{left} LIKE {pattern}"


class Matches(Predicate):
    """A text in which PostgreSQL's regular expression finds something."""

    __slots__ = ("_operand", "_pattern", "_shape")

    def __init__(self, operand: Operand, pattern: str, shape: Shape = Shape.TEXT) -> None:
        check_text(operand, pattern, "matches")
        self._operand = operand
        self._pattern = pattern
        self._shape = shape

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append(("matches", self._shape))
        self._operand.walk(key, values)
        values.append(self._pattern)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        left = self._operand.sql(to, Shape.TEXT)
        operator = "~"
        if self._shape is Shape.FOLDED:
            # By code point only ASCII has cases.
            operator, left = "~*", f'{left} COLLATE "default"'
        pattern = to.bind(to.take(), _same)
        return f"({left} !{operator} {pattern} OR {left} IS NULL)" if negated else f"{left} {operator} {pattern}"


def check_characters(text: str, label: str) -> None:
    """Refuse a text that PostgreSQL cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentException(f"{label}: the text holds a lone surrogate") from None
    if "\0" in text:
        raise InvalidArgumentException(f"{label}: no text of PostgreSQL holds NUL")


def check_text(operand: Operand, text: object, function: str) -> None:
    """Refuse what is no text, or a field that holds none."""
    if not isinstance(text, str):
        raise InvalidArgumentTypeException(f"{function}() takes a str, not {type(text).__qualname__}")
    check_characters(text, f"{function}({operand.label}, …)")
    form = bare(operand.form)
    if not form.untyped and "string" not in form.kinds:
        raise InvalidArgumentTypeException(f"{function}() looks at texts, and {operand.label} holds {form.label}")


def _same(value: Any) -> Any:
    return value

"""Full text search in queries: its condition, its rank, and the text with what was found marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from typing_extensions import override

from docsession._documents._form import Form
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException
from docsession._query._compilation import Compilation
from docsession._query._kinds import bare
from docsession._query._operands import NUMBERS, TEXTS, Operand, Place
from docsession._query._predicates import Predicate
from docsession._query._recorder import Recorded, item_form, operand_of
from docsession._query._text_predicates import check_characters
from docsession._sql._search import any_of_words, check_language, headline, text_query, text_vector
from docsession._sql._values import Path, Shape

DEFAULT_LANGUAGE: Final = "simple"
_LONGEST_MARK: Final = 200


class Asked:
    """What is searched for, and where.

    Args:
        fields: A field, or several in a tuple.
        words: What is searched for.
        language: How words are understood; None: as the declared index of the fields says.
        function: What an error calls it.
        joined: What stands between words that are not as in a search box, but one by one; None: they are.
    """

    __slots__ = ("_function", "_language", "_words", "label", "places")

    def __init__(
        self, fields: object, words: object, language: str | None, function: str, joined: str | None = None
    ) -> None:
        self.places = _places(fields, function)
        self.label = ", ".join(place.label for place in self.places)
        checked = _text(words, f"{function}({self.label}, …)")
        self._words = checked if joined is None else any_of_words(checked, joined)
        self._function = "websearch_to_tsquery" if joined is None else "to_tsquery"
        self._language = None if language is None else check_language(language, function)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where in the document."""
        return tuple(place.path for place in self.places)

    def walk(self, key: list[object], values: list[Any]) -> None:
        """See `Predicate.walk`."""
        key.append(("search", self._function, self._language, len(self.places)))
        for place in self.places:
            place.walk(key, values)
        values.append(self._words)

    def sql(self, to: Compilation) -> tuple[str, str]:
        """Return the tsvector and the tsquery."""
        paths, language, weights = self.paths, self._language, None
        scope = self.places[0].scope
        declared = None if scope is not None else to.access.text_for(paths, language)
        if declared is not None:
            language, weights = declared.language, declared.weights
        language = language or DEFAULT_LANGUAGE
        query = text_query(language, to.bind(to.take(), _same), self._function)
        if declared is not None and declared.column is not None:
            return declared.sql(to.row), query
        return text_vector(to.document(scope), paths, language, weights), query

    def marked(self, to: Compilation) -> str:
        """Return the text with what was found marked."""
        (place,) = self.places
        language = self._language or to.access.language_of(place.path) or DEFAULT_LANGUAGE
        query = text_query(language, to.bind(to.take(), _same))
        return headline(to.document(place.scope), place.path, language, query, to.bind(to.take(), _same))


class Search(Predicate):
    """Texts that hold what is searched for."""

    __slots__ = ("_asked",)

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        self._asked.walk(key, values)

    @override
    def sql(self, to: Compilation, *, negated: bool = False) -> str:
        vector, query = self._asked.sql(to)
        return f"({vector} @@ {query}) IS NOT TRUE" if negated else f"({vector} @@ {query})"

    def rank(self, to: Compilation) -> str:
        """Return the SQL of how well a document fits; called once for each `walk`, as `sql` is."""
        return _rank(*self._asked.sql(to))


class Rank(Operand):
    """How well a document's texts fit what is searched for; 0 where they do not."""

    __slots__ = ("_asked",)

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.form = NUMBERS
        self.label = f"rank({asked.label})"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append("rank")
        self._asked.walk(key, values)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        return _rank(*self._asked.sql(to))


class Highlight(Operand):
    """A text with what was found marked; null where there is no text."""

    __slots__ = ("_asked", "_options")

    def __init__(self, asked: Asked, options: str) -> None:
        self._asked = asked
        self._options = options
        self.form = TEXTS
        self.label = f"highlight({asked.label})"

    @override
    def walk(self, key: list[object], values: list[Any]) -> None:
        key.append("highlight")
        self._asked.walk(key, values)
        values.append(self._options)

    @override
    def sql(self, to: Compilation, shape: Shape) -> str:
        return self._asked.marked(to)


def search(fields: object, words: str, /, *, language: str | None = None) -> bool:
    """Return a condition: a text, or one of several, holds what is searched for.

    Args:
        fields: `o.notes`, a text or a list of texts; or several in a tuple, `(o.title, o.body)`, as one text. An
            index serves it that is declared for just these fields: `FullText(lambda o: (o.title, o.body))`.
        words: As people write them into a search box: `red wool` asks for both words, `"red wool"` for the phrase,
            `red or blue` for one of them, `-blue` for texts without it.
        language: PostgreSQL's text search configuration, as `"english"`, by which a word is found in its other
            forms; a constant of the program, never what a user has typed. None takes that of the declared index,
            and without one "simple", which knows no forms.

    Raises:
        InvalidArgumentException: A field holds no text, or *language* is no name.
    """
    return cast("bool", Search(Asked(fields, words, language, "search")))


def rank(fields: object, words: str, /, *, language: str | None = None) -> float:
    """Return how well texts fit what is searched for, to sort by: `desc(rank(o.notes, "red wool"))`.

    A field with the weight A of a declared index counts 1, B 0.4, C 0.2, D 0.1.

    Args:
        fields: As for `search`, which finds the documents; this alone finds none.
        words: Likewise.
        language: Likewise.
    """
    return cast("float", Recorded(Rank(Asked(fields, words, language, "rank"))))


def highlight(
    text: str | None,
    words: str,
    /,
    *,
    language: str | None = None,
    start: str = "<b>",
    stop: str = "</b>",
    fragments: int = 0,
) -> str:
    """Return a text, in `select`, with what was found marked: the part of it where most was found.

    The rest of the text stays as it is, with whatever HTML is in it: to show it on a page use marks that no text
    holds, escape the result, and replace the marks then.

    Args:
        text: The field.
        words: As for `search`.
        language: Likewise; None takes that of a declared index that has the field.
        start: What stands before each word that was found.
        stop: What stands behind it.
        fragments: How many parts are returned at most, with `...` between them; 0: one.

    Raises:
        InvalidArgumentException: The field holds no text, or a value cannot be used.
    """
    asked = Asked(text, words, language, "highlight")
    if len(asked.places) > 1 or not _holds_text(asked.places[0].form):
        raise InvalidArgumentTypeException(f"highlight() takes one text of the documents, not ({asked.label})")
    if type(fragments) is not int or not 0 <= fragments <= 100:
        raise InvalidArgumentException(f"highlight(fragments=…) takes a number from 0 to 100, not {fragments!r:.40}")
    options = [f"MaxFragments={fragments}"]
    for name, mark in (("StartSel", start), ("StopSel", stop)):
        checked = _text(mark, "highlight(start=…, stop=…)")
        if len(checked) > _LONGEST_MARK:
            raise InvalidArgumentException(f"highlight(): a mark has {_LONGEST_MARK} characters at most")
        doubled = checked.replace('"', '""')
        options.append(f'{name}="{doubled}"')
    return cast("str", Recorded(Highlight(asked, ", ".join(options))))


def text_places(places: Sequence[Operand], function: str) -> tuple[Place, ...]:
    """Return fields that hold texts.

    Raises:
        InvalidArgumentTypeException: One does not.
    """
    found = []
    for place in places:
        if not isinstance(place, Place) or not place.label:
            raise InvalidArgumentTypeException(f"{function}() takes fields of the documents, not {place.label!r}")
        form = bare(place.form)
        if not (_holds_text(form) or ("array" in form.kinds and _holds_text(item_form(place)))):
            raise InvalidArgumentTypeException(
                f"{function}() looks at texts, and {place.label} holds {place.form.label}"
            )
        found.append(place)
    return tuple(found)


def _rank(vector: str, query: str) -> str:
    return f"coalesce(ts_rank({vector}, {query}), 0)::numeric"


def _holds_text(form: Form) -> bool:
    form = bare(form)
    return form.untyped or "string" in form.kinds


def _places(fields: object, function: str) -> tuple[Place, ...]:
    given = fields if isinstance(fields, tuple) else (fields,)
    operands = []
    for each in given:
        operand = operand_of(each)
        if operand is None:
            raise InvalidArgumentTypeException(
                f"{function}() takes a field of the document first, or several in a tuple, not {each!r:.60}"
            )
        operands.append(operand)
    places = text_places(operands, function)
    if not places:
        raise InvalidArgumentException(f"{function}() takes a field of the document, as in {function}(o.notes, …)")
    if len({id(place.scope) for place in places}) > 1:
        raise InvalidArgumentException(f"{function}(): the fields belong to one document, or to one item of a list")
    return places


def _text(words: object, label: str) -> str:
    if not isinstance(words, str):
        raise InvalidArgumentTypeException(f"{label} takes a str, not {type(words).__qualname__}")
    check_characters(words, label)
    return words


def _same(value: Any) -> Any:
    return value

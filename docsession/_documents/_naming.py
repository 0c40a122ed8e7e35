"""Names: from a class to its collection, from there to the table and to the prefix of ids; which are allowed."""

from __future__ import annotations

import functools
import re
import shlex
import unicodedata
from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException

if TYPE_CHECKING:
    import inflect

PROGRAM: Final = ContextVar("PROGRAM", default="docsession")
"""How the commands that run now are called: a framework has them under a name of its own, on its own settings."""

MAX_NAME_BYTES = 63
"""How long PostgreSQL lets an identifier be, in bytes of UTF-8."""

SYSTEM_PREFIX = "docsession_"
"""What the names of docsession's own tables begin with."""

_LAST_WORD = re.compile(r"(?:[^\W\d_][^\WA-Z\d_]+|[A-Z]+)\Z")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z](?!\b))|(?<=[A-Z])(?=[A-Z][a-rt-z]\b)")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


_REGULAR = re.compile(
    r"(?:or|ct|nt|rt|rd|st|te|ue|ee|re|al|it|de|ke|sion|tion|vice|oice|ance|urce|ace"
    r"|me|(?<!bre)am|ad|ap|ip|op|up|ar|ir|ur|in|og|ag|ug|ig|ow|aw|oy|ay|ll|ic|(?<!th)em|(?<!er)el"
    r"|(?<!op)le|(?<!fe)et|(?<!gga)ge|(?<!de)er)\Z"
)
_UNCOUNTABLE = frozenset({
    "butter", "cutlery", "equipment", "flounder", "furniture", "information", "jewelry", "machinery",
})  # fmt: skip


def _regular_plural(word: str) -> str | None:
    """Return the plural of a word whose ending says it surely; None leaves it to the library.

    Importing the library takes longer than everything else together (1.6 s where docsession's own modules
    take 0.4), and most names end like these.
    """
    if len(word) < 4 or word in _UNCOUNTABLE:
        return None
    if _REGULAR.search(word):
        return word + "s"
    if word.endswith("ss"):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeioub":
        return word[:-1] + "ies"
    return None


@functools.cache
def _engine() -> inflect.engine:
    import inflect

    return inflect.engine()


@functools.lru_cache(maxsize=4096)
def pluralize(name: str) -> str:
    """Return the English plural of a class name: `Companies` of `Company`, `OrderPeople` of `OrderPerson`.

    A name that is plural already stays as it is (`Settings`, `People`), and so does one whose last
    word is not in letters that have capitals.
    """
    match = _LAST_WORD.search(name)
    if match is None:
        return name + "s" if name[-1:].isalnum() and name.isascii() else name
    word = match.group()
    lowered = word.lower()
    if lowered == word.upper():
        return name
    if len(word) < 3 or word.isupper():
        return name + "s"
    plural = _regular_plural(lowered) or _library_plural(lowered)
    return name[: match.start()] + (plural[:1].upper() + plural[1:] if word[0].isupper() else plural)


def _library_plural(word: str) -> str:
    engine = _engine()
    if not word.endswith(("ss", "us", "is", "as")):
        singular = engine.singular_noun(word)  # False where the word is no plural
        if singular and singular != word and engine.plural_noun(singular) == word:
            return word
    return str(engine.plural_noun(word)) or word


def id_prefix_of_collection(collection: str) -> str:
    """Return what ids of *collection* begin with: lower case if it has at most one capital (RavenDB's rule)."""
    capitals = sum(map(str.isupper, collection))
    return collection.lower() if capitals <= 1 else collection


def table_of_collection(collection: str) -> str:
    """Return the name of the table of *collection*: `order_lines` of `OrderLines`.

    Raises:
        InvalidArgumentException: The name is too long for PostgreSQL or belongs to docsession itself.
    """
    check_collection(collection)
    words = _WORDS.sub("_", collection)
    table = re.sub(r"[\s_-]+", "_", words).lower()
    size = len(table.encode())
    if size > MAX_NAME_BYTES:
        raise InvalidArgumentException(
            f"the collection {collection!r:.80} would need a table whose name takes {size} bytes, more than "
            f"PostgreSQL's {MAX_NAME_BYTES}; give its class a shorter one: @document(collection=…)"
        )
    if table.startswith(SYSTEM_PREFIX):
        raise InvalidArgumentException(
            f"the collection {collection!r:.80} needs the table {table!r}, but names with {SYSTEM_PREFIX!r} belong to "
            "docsession itself; give its class another one: @document(collection=…)"
        )
    return table


def check_collection(name: object) -> str:
    """Return *name* if it may name a collection: any printable text.

    Raises:
        InvalidArgumentTypeException: It is not a str.
        InvalidArgumentException: It is blank, starts with "@", or holds a control character or a lone surrogate.
    """
    checked = _check_text(name, "a collection")
    if checked.startswith("@"):
        raise InvalidArgumentException(f"a collection's name must not start with '@', as {checked!r:.80} does")
    return checked


def check_database(name: object) -> str:
    """Return *name* if it may name a database, which is a schema of PostgreSQL: any text of at most 63 bytes.

    Raises:
        InvalidArgumentTypeException: It is not a str.
        InvalidArgumentException: It is blank, too long, holds a control character or a lone surrogate,
            or belongs to PostgreSQL (`pg_…`, `information_schema`).
    """
    checked = _check_text(name, "a database")
    size = len(checked.encode())
    if size > MAX_NAME_BYTES:
        raise InvalidArgumentException(
            f"the database name {checked!r:.80} takes {size} bytes in UTF-8, more than PostgreSQL's {MAX_NAME_BYTES}"
        )
    if checked.startswith("pg_") or checked == "information_schema":
        raise InvalidArgumentException(
            f"the database name {checked!r} belongs to PostgreSQL itself; choose another one"
        )
    return checked


def command_line(name: str, database: str, collections: Iterable[str] = ()) -> str:
    """Return a command that a user is to run, as in `docsession upgrade --database shop`, quoted for a shell."""
    words = [PROGRAM.get(), name, *_option("--database", database)]
    for collection in collections:
        words += _option("--collection", collection)
    return " ".join(words)


def _option(name: str, value: str) -> list[str]:
    quoted = shlex.quote(value)
    return [f"{name}={quoted}"] if value.startswith("-") else [name, quoted]


def _check_text(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise InvalidArgumentTypeException(f"the name of {what} is a str, not {type(name).__qualname__} ({name!r:.80})")
    name = str.__str__(name)
    if not name.strip():
        raise InvalidArgumentException(f"the name of {what} must not be blank, as {name!r:.80} is")
    for character in name:
        if unicodedata.category(character) in _REFUSED_CATEGORIES:
            raise InvalidArgumentException(
                f"the name of {what} holds the character U+{ord(character):04X}, which cannot be printed: {name!r:.120}"
            )
    return name

"""Text that would do harm wherever it is taken for something else, and which of it may be what."""

import unicodedata
from dataclasses import dataclass, field
from typing import Any

from docsession import DocSessionError
from tests.support.beside import settle

TEXTS = [
    'x"; drop table y; --', "x'; drop table y; --", "x; drop table y", "x`; drop table y; --", ";", "--", "/*", "*/",
    "'", "''", '"', '""', "`", "'; select pg_sleep(5); --", "') or ('1' = '1", "$1", "$2::text", "$$", "$q0$",
    "$q0$; drop table y; $q0$", "%s", "%(x)s", "%", "%%", "{}", "{0}", "{{", "}", "\\", "\\\\", "\\'", "\\x41", "\\n",
    "E'\\n'", 'U&"\\0061"', ":x", "::text", "?", "*", "a*b?c", "|", "a|b", "^(a+)+$", "[a-z]", "(", ")", "(?i)a",
    "***:a", "\\m", "_", "a_b", "a%b", "null", "NULL", "true", "0", "-1", "1e9", "select", "public", "pg_catalog",
    "information_schema", "docsession_hilo", "docsession_collections", "pg_shop", "@metadata", "@id", "@collection",
    "@types", "@type", "Id", "id", "__class__", "__dict__", ".", "..", "a.b", "a..b", "[]", "a[]", "[0]", "a[0]", " ",
    "", " x", "x ", "a b", "\u00a0", "\u3000", "a\nb", "a\r\nb", "\t", "a\0b", "\0", "a\x1bb", "\x7f", "a\x85b",
    "a\u2028b", "a\u2029b", "\ud800", "a\udfffb", "\udc80", "\u202ecba", "\u200f", "a\u200bb", "\ufeffa", "é",
    "e\u0301", "ß", "ẞ", "İ", "ı", "ﬁ", "Ω", "Σς", "ﾊ", "日本語", "👩\u200d👩\u200d👧", "🏴", "\U0010ffff", "\ue000",
    "\ud7ff", "\ufffd", "\ufffe", "x" * 63, "x" * 64, "ä" * 31, "ä" * 32, "x" * 1000, "x" * 1024, "x" * 1025,
    "ä" * 512, "ä" * 513, "🏴" * 256, "🏴" * 257, '"' * 63, "'" * 1024, "<script>", "../../etc/passwd", "a/../b",
    "C:\\x", "http://x/y?z=1&a=%20#f", "\\u0000", "\\ud800", '{"a": 1}', "a\u0000",
]  # fmt: skip


def is_printable(text):
    return not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text)


def may_be_id(text):
    return bool(text.strip()) and is_printable(text) and len(text.encode()) <= 1024


def may_be_named_so(text):
    """Collections and databases."""
    return bool(text.strip()) and is_printable(text)


def may_be_database(text):
    reserved = text.startswith("pg_") or text == "information_schema"
    return may_be_named_so(text) and len(text.encode()) <= 63 and not reserved


def may_be_json(text):
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


IDS = sorted({text for text in TEXTS if may_be_id(text) and not text.endswith(("/", "|"))})


def check_readable(error):
    """An error's text can be printed whatever it is about, and is not a page long."""
    str(error).encode()
    assert len(str(error)) < 1000


async def outcome(value):
    """What comes of a call: True where it works, else the error, which is one of ours."""
    try:
        await settle(value() if callable(value) else value)
    except DocSessionError as error:
        check_readable(error)
        return error
    return True


@dataclass
class Thing:
    name: str
    id: str | None = None


@dataclass
class Links:
    to: list[str]
    things: list[Any] = field(default_factory=list)
    id: str | None = None

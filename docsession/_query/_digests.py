"""Digests of what a query finds, made alike by PostgreSQL and here, so that what a client has is not sent again.

A version is never that of two contents, so a digest is made of ids and versions. What it is made of, in bytes, in
which no text of PostgreSQL has a NUL: the head, which says what else the answer depends on; each document in its order;
whether more follow, and the total; each document that came along, sorted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from docsession._port import Row, Statement, TextArray
from docsession._query._statements import DOCUMENT, PageStatement, QueryStatement

_LENGTH: Final = 32
"""Characters of a digest: enough that two states of a list never have the same."""
_DIGEST: Final = re.compile(f'"([0-9a-f]{{{_LENGTH}}})"')
_NUL: Final = "decode('00', 'hex')"
_ONE: Final = "convert_to(version::text || ' ' || id, 'UTF8')"


class UnchangedError(Exception):
    """A client has already what a query finds.

    Attributes:
        digest: That of what is found.
    """

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


def digest_of_rows(
    head: str, rows: Sequence[Row], along: Iterable[Row] = (), *, size: int | None = None, total: int | None = None
) -> str:
    """Return the digest of what a query has found.

    Args:
        head: What else the answer depends on.
        rows: The documents, as they were sent.
        along: Those that came along.
        size: How many of the documents are wanted; None: all.
        total: How many there are; None where they were not counted.
    """
    more = size is not None and len(rows) > size
    parts = (
        head,
        "\0".join([f"{row[3]} {row[0]}" for row in rows[:size]]),
        f"\0{'true' if more else 'false'} {'-' if total is None else total}",
    )
    # Of bytes, whose order is PostgreSQL's whatever the collation.
    others = b"\0".join(sorted({f"{row[3]} {row[0]}".encode() for row in along}))
    return hashlib.sha256("\0".join(parts).encode() + b"\0\0" + others).hexdigest()[:_LENGTH]


@dataclass(frozen=True, slots=True)
class Unless:
    """The condition that a client does not have already what a query finds.

    Attributes:
        head: What else the answer depends on.
        digests: What the client has.
    """

    head: str
    digests: TextArray

    def statement(self, page: PageStatement, including: Statement | None = None) -> QueryStatement:
        """Return the statement of a page that leaves the documents out where the digest is one of those.

        Its rows have the digest behind them in that case, and else null; there is one row at least.

        Args:
            page: The page.
            including: The same with what its documents refer to.
        """
        own = page.statement if including is None else including
        params = [*own.params, self.head, self.digests]
        head, digests = len(params) - 1, len(params)
        of_page, wanted = ["id IS NOT NULL"], "false"
        part: tuple[str, ...] = ()
        along = ""
        if including is not None:
            part = ("part",)
            of_page.append("part = 0")
            along = f"string_agg(DISTINCT {_ONE}, {_NUL} ORDER BY {_ONE}) FILTER (WHERE part > 0)"
            along = f" || coalesce({along}, '')"
        found = " AND ".join(of_page)
        if page.first is not None:
            params.append(page.first)
            wanted = f"count(*) FILTER (WHERE {found}) > ${len(params)}"
            found += f" AND place <= ${len(params)}"
        total = "coalesce(max(total)::text, '-')" if "total" in page.further else "'-'"
        rest = f"({wanted})::text || ' ' || {total}"
        digest = (
            f"convert_to(${head}, 'UTF8') || {_NUL} || "
            f"coalesce(string_agg({_ONE}, {_NUL} ORDER BY place) FILTER (WHERE {found}), '') || {_NUL} || {_NUL} || "
            f"convert_to({rest}, 'UTF8') || {_NUL} || {_NUL}{along}"
        )
        columns = ", ".join((*DOCUMENT, *part, *page.further))
        sent = ", ".join(f"q.{name}" for name in (*DOCUMENT, *part, *page.further))
        sql = (
            f"WITH q ({columns}) AS MATERIALIZED ({own.sql.decode()}), "
            "placed AS (SELECT *, row_number() OVER () AS place FROM q), "
            f"d AS MATERIALIZED (SELECT left(encode(sha256({digest}), 'hex'), {_LENGTH}) AS digest FROM placed) "
            f"SELECT {sent}, CASE WHEN d.digest = ANY(${digests}) THEN d.digest END "
            f"FROM d LEFT JOIN q ON NOT d.digest = ANY(${digests})"
        )
        return QueryStatement(sql.encode(), params, page.statement.shape, page.statement.settings)

    def read(self, rows: Sequence[Row], page: PageStatement) -> list[Row]:
        """Return the rows as the statement of the page has them.

        Raises:
            UnchangedError: The client has them already.
        """
        if rows[0][-1] is not None:
            raise UnchangedError(rows[0][-1])
        if len(rows) == 1 and rows[0][0] is None and "total" not in page.further:
            return []
        return [row[:-1] for row in rows]


def unless_known(head: str, tags: Iterable[str]) -> Unless | None:
    """Return the condition that a client does not have one of the entity tags; None where it has none of a list."""
    digests = [match[1] for match in map(_DIGEST.fullmatch, sorted(tags)) if match]
    return Unless(head, TextArray(digests)) if digests else None

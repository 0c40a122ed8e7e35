"""Every operator against the same filter in Python, over documents of which many are not as their class declares."""

import datetime as dt
import operator
import uuid
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docsession import (
    all_,
    any_,
    between,
    contains,
    contains_all,
    contains_any,
    ends_with,
    exists,
    in_,
    len_,
    not_,
    starts_with,
    value,
)
from tests.support.documents import Rows, driven, save


@dataclass
class Line:
    q: int | None = None
    p: str | None = None


@dataclass
class Doc:
    s: str | None = None
    n: int | None = None
    m: int | None = None
    b: bool | None = None
    at: dt.datetime | None = None
    tags: list[str] | None = None
    lines: list[Line] = field(default_factory=list)
    x: object = None
    id: str | None = None


MISSING = object()
JUNK = [MISSING, None, True, False, 0, 1, 2, -1.5, 10**20, "", "a", "b", "B", "1", "true", "ä", [], {}, ["a"], [1, "b"]]
TEXTS = ["", "a", "b", "B", "ab", "1", "true", "ä", "a%", "_", "a\\", "\U0010ffff", "null"]
NUMBERS = [0, 1, 2, -1.5, Decimal("1.50"), Decimal(10) ** 20, 2.0]
MOMENTS = [dt.datetime(2026, 1, day, 12, tzinfo=dt.UTC) for day in (1, 2, 3)]
INSTANTS = [*(each.isoformat() for each in MOMENTS), "2026-01-02T14:00:00+02:00", "now", "2026-01-02", MISSING, None, 5]


def make_documents():
    documents = []
    for i in range(60):
        document = {
            "s": [*TEXTS, *JUNK][i % (len(TEXTS) + len(JUNK))],
            "n": JUNK[(i * 7) % len(JUNK)],
            "m": [1, 2, None, "1", MISSING][i % 5],
            "b": JUNK[(i * 3) % len(JUNK)],
            "at": INSTANTS[i % len(INSTANTS)],
            "tags": [MISSING, None, [], ["a"], ["a", "b"], ["b", None], "a", {"a": 1}, [1], [["a"]]][i % 10],
            "lines": [
                [],
                [{"q": 1, "p": "a"}],
                [{"q": 2, "p": "b"}, {"q": 1}],
                [{"q": "1"}, {"p": 5}],
                MISSING,
                None,
                "x",
                [None, 3, {"q": None, "p": None}],
            ][i % 8],
            "x": JUNK[(i * 11) % len(JUNK)],
        }
        documents.append({key: each for key, each in document.items() if each is not MISSING})
    return documents


DOCUMENTS = make_documents()


def text(value):
    """What `->>` gives."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return str(value).replace("'", '"')
    return str(value)


def number(value):
    return value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def moment(value):
    if not isinstance(value, str) or "T" not in value:
        return None
    return dt.datetime.fromisoformat(value)


def compared(op, left, right):
    if op is operator.ne:
        return left is None or left != right
    return left is not None and op(left, right)


OPS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]

ops = st.sampled_from(OPS)
texts, numbers, moments = st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.sampled_from(MOMENTS)


def on_text(test):
    return lambda d: text(d.get("s")) is not None and test(text(d["s"]))


def leaves():
    """Pairs of a condition, given the recorder, and the same in Python, given a document."""
    return st.one_of(
        st.builds(lambda op, v: (lambda o: op(o.s, v), lambda d: compared(op, text(d.get("s")), v)), ops, texts),
        st.builds(lambda op, v: (lambda o: op(o.n, v), lambda d: compared(op, number(d.get("n")), v)), ops, numbers),
        st.builds(lambda op, v: (lambda o: op(o.at, v), lambda d: compared(op, moment(d.get("at")), v)), ops, moments),
        st.builds(
            lambda op, v: (lambda o: op(o.b, v), lambda d: compared(op, text(d.get("b")), str(v).lower())),
            st.sampled_from([operator.eq, operator.ne]),
            st.booleans(),
        ),
        st.builds(lambda op, v: (lambda o: op(o.x, v), lambda d: compared(op, text(d.get("x")), v)), ops, texts),
        st.builds(lambda op, v: (lambda o: op(o.x, v), lambda d: compared(op, number(d.get("x")), v)), ops, numbers),
        st.builds(
            lambda op: (
                lambda o: op(o.n, o.m),
                lambda d: (
                    op(number(d.get("n")), number(d.get("m")))
                    if number(d.get("n")) is not None and number(d.get("m")) is not None
                    else op is operator.ne
                ),
            ),
            ops,
        ),
        st.builds(
            lambda op, v: (
                lambda o: op(o.n * 2 + 1, v),
                lambda d: compared(op, None if number(d.get("n")) is None else Decimal(str(d["n"])) * 2 + 1, v),
            ),
            ops,
            numbers,
        ),
        st.builds(
            lambda vs: (lambda o: in_(o.s, vs), lambda d: text(d.get("s")) in vs),
            st.lists(st.one_of(texts, st.none()), max_size=3),
        ),
        st.builds(
            lambda vs: (
                lambda o: in_(o.n, vs),
                lambda d: d.get("n") in vs if d.get("n") is None else number(d["n"]) in {*vs} - {None},
            ),
            st.lists(st.one_of(numbers, st.none()), max_size=3),
        ),
        st.builds(
            lambda a, b: (
                lambda o: between(o.n, a, b),
                lambda d: number(d.get("n")) is not None and a <= number(d["n"]) <= b,
            ),
            numbers,
            numbers,
        ),
        st.builds(lambda v: (lambda o: starts_with(o.s, v), on_text(lambda t: t.startswith(v))), texts),
        st.builds(lambda v: (lambda o: ends_with(o.s, v), on_text(lambda t: t.endswith(v))), texts),
        st.builds(lambda v: (lambda o: contains(o.s, v), on_text(lambda t: v in t)), texts),
        st.just((lambda o: o.x == None, lambda d: d.get("x") is None)),
        st.just((lambda o: o.n != None, lambda d: d.get("n") is not None)),
        st.just((lambda o: value(o.x).is_missing(), lambda d: "x" not in d)),
        st.just((lambda o: exists(o.s), lambda d: "s" in d)),
        st.builds(
            lambda op, v: (
                lambda o: op(len_(o.tags), v),
                lambda d: compared(op, len(d["tags"]) if isinstance(d.get("tags"), list) else None, v),
            ),
            ops,
            st.integers(0, 2),
        ),
        st.builds(
            lambda vs: (
                lambda o: contains_any(o.tags, vs),
                lambda d: isinstance(d.get("tags"), list) and any(v in d["tags"] for v in vs),
            ),
            st.lists(texts, max_size=2),
        ),
        st.builds(
            lambda vs: (
                lambda o: contains_all(o.tags, vs),
                lambda d: not vs or (isinstance(d.get("tags"), list) and all(v in d["tags"] for v in vs)),
            ),
            st.lists(texts, max_size=2),
        ),
        st.builds(
            lambda op, v, w: (
                lambda o: any_(o.lines, lambda line: op(line.q, v) & (line.p == w)),
                lambda d: any(compared(op, number(_of(e, "q")), v) and text(_of(e, "p")) == w for e in items(d)),
            ),
            ops,
            numbers,
            texts,
        ),
        st.builds(
            lambda op, v: (
                lambda o: all_(o.lines, lambda line: op(line.q, v)),
                lambda d: all(compared(op, number(_of(e, "q")), v) for e in items(d)),
            ),
            ops,
            numbers,
        ),
    )


def _of(item, key):
    return item.get(key) if isinstance(item, dict) else None


def items(document):
    lines = document.get("lines")
    return lines if isinstance(lines, list) else []


def joined(children):
    pairs = st.tuples(children, children)
    return st.one_of(
        st.builds(lambda p: (lambda o: p[0][0](o) & p[1][0](o), lambda d: p[0][1](d) and p[1][1](d)), pairs),
        st.builds(lambda p: (lambda o: p[0][0](o) | p[1][0](o), lambda d: p[0][1](d) or p[1][1](d)), pairs),
        st.builds(lambda c: (lambda o: not_(c[0](o)), lambda d: not c[1](d)), children),
    )


conditions = st.recursive(leaves(), joined, max_leaves=5)


@pytest.fixture(scope="module")
def asked(postgres_url):
    """A store with the documents, and how to run on its loop."""
    from tests.support.faces import Face

    database = f"test_{uuid.uuid4().hex[:12]}"
    with driven(Face("blocking"), postgres_url, database) as (store, drive):
        drive(save(store, *(Doc(id=f"docs/{i:02}") for i in range(len(DOCUMENTS)))))
        rows = Rows(postgres_url, database)
        for i, document in enumerate(DOCUMENTS):
            rows.write("docs", f"docs/{i:02}", document)
        rows.close()
        yield store, drive
        store.wrapped.maintenance.delete_database(database)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(conditions)
def test_the_server_agrees_with_python(asked, condition):
    store, drive = asked
    build, holds = condition

    async def check():
        async with store.open_session() as session:
            query = session.query(Doc).where(build)
            found = [int(key.removeprefix("docs/")) for key in await query.select(lambda o: o.id).all()]
            assert found == [i for i, document in enumerate(DOCUMENTS) if holds(document)], str(await query.sql())
            assert await query.count() == len(found)

    drive(check())

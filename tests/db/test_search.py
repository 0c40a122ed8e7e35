"""Full text search: conditions, ranks, marked texts, and the indexes that serve them."""

import json
import math
from dataclasses import dataclass, field

import pytest

from docsession import (
    DocumentConventions,
    FullText,
    InvalidArgumentException,
    InvalidArgumentTypeException,
    InvalidOperationException,
    SearchOperator,
    any_,
    count,
    desc,
    document,
    highlight,
    not_,
    rank,
    search,
)
from tests.support.documents import save


@dataclass
class Comment:
    text: str


@dataclass
class Article:
    title: str
    body: str | None = None
    tags: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    views: int = 0
    id: str | None = None


@document(collection="Articles", indexes=[FullText(lambda a: (a.title, a.body), language="english", weights="AB")])
@dataclass
class Indexed:
    title: str
    body: str | None = None
    id: str | None = None


@document(
    collection="Articles",
    indexes=[FullText(lambda a: (a.title, a.body), language="english", weights="AB", stored=True)],
)
@dataclass
class Stored:
    title: str
    body: str | None = None
    id: str | None = None


ARTICLES = [
    ("articles/1", "Running shoes", "Red shoes for runners."),
    ("articles/2", "A blue bicycle", "It runs on its own."),
    ("articles/3", "Wool", None),
    ("articles/4", "The red bicycle", "Blue wheels; red frame, red saddle."),
]


async def ids(store, cls, condition, **options):
    async with store.open_session() as session:
        query = session.query(cls).where(condition)
        return [each.id for each in await query.all()]


@pytest.fixture
def articles(store):
    async def fill(cls=Article):
        await save(store, *((cls(title, body), key) for key, title, body in ARTICLES))

    return fill


class TestCondition:
    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("running", ["1", "2"]),
            ("red bicycle", ["4"]),
            ('"red frame"', ["4"]),
            ('"frame red saddle red"', []),
            ("wool or shoe", ["1", "3"]),
            ("bicycle -wheels", ["2"]),
            ("the", []),
            ("", []),
            ("\\ ' \" & | ! <-> :* (", []),
        ],
    )
    async def test_words_as_in_a_search_box(self, store, articles, words, expected):
        await articles()
        found = await ids(store, Article, lambda a: search((a.title, a.body), words, language="english"))
        assert found == [f"articles/{each}" for each in expected]

    async def test_without_a_language_words_are_found_as_they_are(self, store, articles):
        await articles()
        assert await ids(store, Article, lambda a: search(a.title, "shoe")) == []
        assert await ids(store, Article, lambda a: search(a.title, "SHOES the")) == []
        assert await ids(store, Article, lambda a: search(a.title, "SHOES")) == ["articles/1"]

    async def test_a_text_that_is_missing_is_not_found_and_its_negation_is(self, store, articles):
        await articles()
        assert await ids(store, Article, lambda a: not_(search(a.body, "runners"))) == [
            "articles/2",
            "articles/3",
            "articles/4",
        ]

    async def test_lists_of_texts_and_items_of_lists(self, store):
        await save(store, Article("a", tags=["dark red", "wool"], comments=[Comment("fine work")], id="articles/1"))
        assert await ids(store, Article, lambda a: search(a.tags, "wool red")) == ["articles/1"]
        assert await ids(store, Article, lambda a: search(a.tags, '"red wool"')) == []
        found = await ids(store, Article, lambda a: any_(a.comments, lambda c: search(c.text, "work")))
        assert found == ["articles/1"]

    @pytest.mark.parametrize("body", [None, 5, True, {"a": "red"}, [], ["x", 1, None], [["red"]], "red " * 400_000])
    @pytest.mark.parametrize("cls", [Indexed, Stored])
    async def test_no_document_makes_a_search_fail(self, store, rows, cls, body):
        await save(store, cls("red", None, "articles/1"))
        rows.write("articles", "articles/1", json.dumps({"title": "red", "body": body}))
        async with store.open_session() as session:
            query = session.query(dict, "Articles").where(lambda a: search((a["title"], a["body"]), "red"))
            assert await query.count() == 1
            query = session.query(cls).where(lambda a: search((a.title, a.body), "red"))
            assert await query.count() == 1

    async def test_a_text_of_many_words_does_not_fail_either(self, store):
        await save(store, Indexed("red", " ".join(f"word{i}-part{i}" for i in range(100_000)), "articles/1"))
        assert await ids(store, Indexed, lambda a: search((a.title, a.body), "red")) == ["articles/1"]

    async def test_values_are_bound(self, store, articles):
        await articles()
        async with store.open_session() as session:
            sql = await session.query(Article).where(lambda a: search(a.title, "x'); DROP TABLE y; --")).sql()
            assert "DROP" not in sql.text
            assert sql.parameters == ("x'); DROP TABLE y; --",)

    async def test_a_language_that_there_is_not(self, store, articles):
        await articles()
        with pytest.raises(InvalidArgumentException, match=r"language of a search.*pg_catalog\.klingon"):
            await ids(store, Article, lambda a: search(a.title, "x", language="klingon"))


class TestBuilder:
    @pytest.mark.parametrize(
        ("words", "operator", "expected"),
        [
            ("shoes wool", None, ["1", "3"]),
            ("bicycle red", SearchOperator.OR, ["4", "2"]),
            ("bicycle red", SearchOperator.AND, ["4"]),
            ("bicy* WOO*", None, ["2", "3", "4"]),
            ("bicy", None, []),
            ("bicy* re*", SearchOperator.AND, ["4"]),
            ("", None, []),
            (" * ", None, []),
            ("it's' \\ & | ! :* ( \" wool", None, ["3"]),
        ],
    )
    async def test_one_of_the_words(self, store, articles, words, operator, expected):
        await articles()
        async with store.open_session() as session:
            found = await session.query(Article).search("title", words, operator).order_by("id()").all()
            assert [each.id for each in found] == [f"articles/{each}" for each in sorted(expected)]

    async def test_with_other_conditions(self, store, articles):
        await articles()
        async with store.open_session() as session:
            query = session.query(Article).search("title", "wool").or_else().where_equals("title", "a blue bicycle")
            assert [each.id for each in await query.all()] == ["articles/3", "articles/2"]
            with pytest.raises(InvalidArgumentException):
                query.search("title", "x", "AND")
            with pytest.raises(InvalidArgumentException):
                query.search("views", "x")


class TestScore:
    """What the builder searches for sorts, where nothing else does."""

    @pytest.mark.parametrize(
        ("build", "expected"),
        [
            (lambda q: q.search("body", "red"), "2 1 0"),
            (lambda q: q.search("body", "red").search("body", "wool"), "2 0"),
            (lambda q: q.search("body", "wool").or_else().search("body", "red"), "2 0 4 1"),
            (lambda q: q.search("body", "wool").or_else().search("body", "red").boost(100), "2 0 1 4"),
            (lambda q: q.search("body", "wool").boost(0.1).boost(0.1).or_else().search("body", "red"), "2 0 1 4"),
            (lambda q: q.search("body", "red").not_().search("body", "wool"), "1"),
            (lambda q: q.not_().search("body", "red"), "3 4"),
            (lambda q: q.not_().open_subclause().not_().search("body", "red").close_subclause(), "2 1 0"),
            (lambda q: q.search("body", "red").order_by("id()"), "0 1 2"),
            (lambda q: q.search("body", "red").order_by_descending("id()").order_by_score(), "2 1 0"),
            (lambda q: q.search("body", "red").order_by("title").order_by_score(), "2 1 0"),
            (lambda q: q.search("body", "red").order_by_score_descending(), "0 1 2"),
            (lambda q: q.where(lambda a: search(a.body, "red")), "0 1 2"),
        ],
    )
    async def test_the_best_come_first(self, store, build, expected):
        bodies = ["wool red", "red", "wool red red red", "blue", "wool"]
        await save(store, *(Article("x", body, id=f"articles/{number}") for number, body in enumerate(bodies)))
        async with store.open_session() as session:
            query = build(session.query(Article))
            assert " ".join(each.id[-1] for each in await query.all()) == expected
            assert " ".join(each.id[-1] for each in (await query.page()).items) == expected
            pages, token = [], None
            while pages == [] or token is not None:
                page = await query.page(1, after=token)
                token = page.next
                pages += [each.id[-1] for each in page.items]
            assert " ".join(pages) == expected

    async def test_what_is_computed_of_the_documents_has_no_order(self, store):
        await save(store, Article("x", "red", id="articles/1"), Article("x", "red red", id="articles/2"))
        async with store.open_session() as session:
            query = session.query(Article).search("body", "red")
            assert await query.count() == 2
            grouped = query.group_by(lambda a: a.title).select(lambda a: (a.title, count()))
            assert await grouped.all() == [("x", 2)]
            assert await query.select(lambda a: a.title).distinct().all() == ["x"]

    async def test_what_is_refused(self, store):
        async with store.open_session() as session:
            query = session.query(Article)
            for build in (
                query.order_by_score,
                lambda: query.where_equals("title", "x").order_by_score_descending(),
                lambda: query.boost(2),
                lambda: query.where_equals("title", "x").boost(2),
                lambda: query.search("title", "x").where_equals("title", "x").boost(2),
                lambda: query.search("title", "x").or_else().boost(2),
            ):
                with pytest.raises(InvalidOperationException):
                    build()
            for factor in (0, -1, True, "2", math.inf, math.nan):
                with pytest.raises(InvalidArgumentException):
                    query.search("title", "x").boost(factor)


class TestRefused:
    @pytest.mark.parametrize(
        ("condition", "message"),
        [
            (lambda a: search("title", "x"), "takes a field of the document first"),
            (lambda a: search(a.views, "x"), "views holds int"),
            (lambda a: search((), "x"), "takes a field of the document"),
            (lambda a: search(a, "x"), "takes fields of the documents"),
            (lambda a: search(a.title, None), "takes a str, not NoneType"),
            (lambda a: search(a.title, "a\0b"), "NUL"),
            (lambda a: search(a.title, "\ud800"), "lone surrogate"),
            (lambda a: search(a.title, "x", language="english'"), "name of a text search configuration"),
            (lambda a: search(a.title, "x", language="a.b.c"), "name of a text search configuration"),
            (lambda a: search(a.comments, "x"), "looks at texts"),
        ],
    )
    async def test_what_cannot_be_searched(self, store, condition, message):
        async with store.open_session() as session:
            with pytest.raises(InvalidArgumentException, match=message):
                session.query(Article).where(condition)

    async def test_what_cannot_be_marked(self, store):
        async with store.open_session() as session:
            for ask in (
                lambda a: highlight((a.title, a.body), "x"),
                lambda a: highlight(a.tags, "x"),
                lambda a: highlight(a.title, "x", fragments=-1),
                lambda a: highlight(a.title, "x", start="x" * 300),
            ):
                with pytest.raises(InvalidArgumentException):
                    session.query(Article).select(ask)

    def test_declarations(self):
        for make in (
            lambda: FullText("title"),
            lambda: FullText(lambda a: a.title, language="x y"),
            lambda: FullText(lambda a: a.title, weights="E"),
            lambda: FullText(lambda a: a.title, weights=""),
        ):
            with pytest.raises(InvalidArgumentException):
                make()

    @pytest.mark.parametrize("keys", [lambda a: a.views, lambda a: desc(a.views), lambda a: (a.title, a.body, a.tags)])
    async def test_declarations_of_other_fields(self, make_store, keys):
        store = make_store(conventions=DocumentConventions(indexes={Article: [FullText(keys, weights="AB")]}))
        with pytest.raises((InvalidArgumentException, InvalidArgumentTypeException), match="FullText"):
            await save(store, Article("x"))


class TestRank:
    @pytest.mark.parametrize("cls", [Article, Indexed, Stored])
    async def test_the_best_come_first(self, store, articles, cls):
        await articles(cls)
        async with store.open_session() as session:
            query = (
                session.query(cls)
                .where(lambda a: search((a.title, a.body), "red or blue", language="english"))
                .order_by(lambda a: desc(rank((a.title, a.body), "red or blue", language="english")))
            )
            found = await query.select(
                lambda a: (a.id, rank((a.title, a.body), "red or blue", language="english"))
            ).all()
            assert found[0][0] == "articles/4"
            assert [each for _, each in found] == sorted((each for _, each in found), reverse=True)
            page = await query.page(2)
            following = await query.page(2, after=page.next)
            assert [each.id for each in page.items + following.items] == [key for key, _ in found]

    async def test_weights_are_those_of_the_index(self, store, articles):
        await articles(Indexed)
        async with store.open_session() as session:
            query = session.query(Indexed).where(lambda a: search((a.title, a.body), "shoe"))
            (with_weights,) = await query.select(lambda a: rank((a.title, a.body), "shoe")).all()
            (without,) = await query.select(lambda a: rank((a.title, a.body), "shoe", language="german")).all()
            assert with_weights > 0.6
            assert without == 0

    async def test_conditions_of_it(self, store, articles):
        await articles()
        found = await ids(store, Article, lambda a: rank(a.title, "wool") > 0)
        assert found == ["articles/3"]


class TestHighlight:
    async def test_marks(self, store, articles):
        await articles()
        async with store.open_session() as session:
            query = session.query(Article).where(lambda a: search(a.body, "runner", language="english"))
            found = await query.select(lambda a: highlight(a.body, "runner", language="english")).one()
            assert found == "Red shoes for <b>runners</b>."
            found = await query.select(
                lambda a: highlight(a.body, "runner", language="english", start='<i x="\\1">', stop="', \"")
            ).one()
            assert found == 'Red shoes for <i x="\\1">runners\', ".'

    async def test_the_language_is_that_of_the_index(self, store, articles):
        await articles(Indexed)
        async with store.open_session() as session:
            found = await session.query(Indexed).select(lambda a: highlight(a.title, "run")).all()
            assert found == ["<b>Running</b> shoes", "A blue bicycle", "Wool", "The red bicycle"]

    async def test_no_text(self, store, articles):
        await articles()
        async with store.open_session() as session:
            query = session.query(Article).where(id="articles/3")
            assert await query.select(lambda a: highlight(a.body, "x")).all() == [None]

    async def test_fragments(self, store):
        await save(store, Article("x", "red " + "word " * 200 + "red", id="articles/1"))
        async with store.open_session() as session:
            found = await session.query(Article).select(lambda a: highlight(a.body, "red", fragments=2)).one()
            assert found.count("<b>red</b>") == 2
            assert " ... " in found


class TestIndex:
    @pytest.mark.parametrize("cls", [Indexed, Stored])
    @pytest.mark.parametrize("language", [None, "english"])
    async def test_it_serves_the_condition(self, store, rows, cls, language):
        await save(store, *(cls(f"title {i}", f"text number {i}", f"articles/{i}") for i in range(3000)))
        rows.analyze("articles")
        async with store.open_session() as session:
            query = session.query(cls).where(lambda a: search((a.title, a.body), "numbers 77", language=language))
            assert [each.id for each in await query.all()] == ["articles/77"]
            plan = await query.explain()
            scans = [each for each in nodes(plan.plan) if each["Node Type"] == "Bitmap Index Scan"]
            assert [each["Index Name"] for each in scans] == ["articles_title_body_english_fts"]
            assert "@@" in scans[0]["Index Cond"]

    async def test_another_language_goes_without_it(self, store):
        await save(store, Indexed("running", None, "articles/1"))
        assert await ids(store, Indexed, lambda a: search((a.title, a.body), "running", language="simple")) == [
            "articles/1"
        ]
        assert await ids(store, Indexed, lambda a: search((a.title, a.body), "run", language="simple")) == []

    async def test_of_part_of_the_documents(self, make_store, rows):
        index = FullText(lambda a: a.title, where=lambda a: a.views > 10)
        store = make_store(conventions=DocumentConventions(indexes={Article: [index]}))
        await save(store, *(Article(f"title {i}", views=i, id=f"articles/{i}") for i in range(1000)))
        rows.analyze("articles")
        async with store.open_session() as session:
            query = session.query(Article).where(lambda a: search(a.title, "77") & (a.views > 10))
            assert "Index Cond: (" in str(await query.explain())
            assert (await query.one()).id == "articles/77"

    async def test_a_column_that_is_not_there_yet(self, store, make_store):
        await save(store, Article("running", id="articles/1"))
        later = make_store()
        assert await ids(later, Stored, lambda a: search((a.title, a.body), "run")) == ["articles/1"]
        made = await later.maintenance.create_indexes(Stored)
        assert made == ["title_body_english_fts", "articles_title_body_english_fts"]
        async with later.open_session() as session:
            query = session.query(Stored).where(lambda a: search((a.title, a.body), "run"))
            assert 't."title_body_english_fts" @@' in (await query.sql()).text
            assert [each.id for each in await query.all()] == ["articles/1"]
        assert await later.maintenance.create_indexes(Stored) == []


def nodes(plan):
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)

"""Names of collections, tables, id prefixes and databases."""

import inspect
import re
import subprocess
import sys

import inflect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docsession._documents._naming import (
    _library_plural,
    _regular_plural,
    check_collection,
    check_database,
    id_prefix_of_collection,
    pluralize,
    table_of_collection,
)
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException


@pytest.mark.parametrize(
    ("name", "collection", "table", "prefix"),
    [
        ("Company", "Companies", "companies", "companies"),
        ("Person", "People", "people", "people"),
        ("OrderLine", "OrderLines", "order_lines", "OrderLines"),
        ("OrderPerson", "OrderPeople", "order_people", "OrderPeople"),
        ("Address", "Addresses", "addresses", "addresses"),
        ("GrandChild", "GrandChildren", "grand_children", "GrandChildren"),
        ("Box", "Boxes", "boxes", "boxes"),
        ("Country", "Countries", "countries", "countries"),
        ("HTTPStatus", "HTTPStatuses", "http_statuses", "HTTPStatuses"),
        ("UserURL", "UserURLs", "user_urls", "UserURLs"),
        ("User2", "User2s", "user2s", "user2s"),
        ("order_line", "order_lines", "order_lines", "order_lines"),
        ("Straße", "Straßes", "straßes", "straßes"),
    ],
)
def test_a_class_name_gives_collection_table_and_prefix(name, collection, table, prefix):
    assert pluralize(name) == collection
    assert table_of_collection(collection) == table
    assert id_prefix_of_collection(collection) == prefix


@pytest.mark.parametrize("name", ["Users", "Settings", "People", "OrderLines", "News", "Series", "Sheep", "用户"])
def test_a_plural_name_and_one_without_english_words_stay(name):
    assert pluralize(name) == name


@pytest.mark.parametrize(("name", "plural"), [("S", "Ss"), ("A", "As"), ("Is", "Iss"), ("DC", "DCs"), ("X1", "X1s")])
def test_letters_and_acronyms_get_an_s(name, plural):
    assert pluralize(name) == plural


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True))
def test_every_class_name_has_a_collection_and_a_table(name):
    collection = pluralize(name)
    assert check_collection(collection) == collection
    assert pluralize(name) == collection
    if not name.lower().startswith("docsession"):
        assert table_of_collection(collection)


@pytest.mark.parametrize("name", ["Bus", "Status", "Alias", "Analysis", "Gas", "Canvas"])
def test_a_singular_that_ends_in_s_gets_a_plural(name):
    assert pluralize(name) != name


def test_the_library_is_imported_for_the_first_name_that_needs_it_only():
    code = (
        "import sys; from docsession._documents._naming import pluralize as p; "
        "print(p('Company'), p('Order'), 'inflect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Companies Orders False\n"


def test_regular_endings_give_what_the_library_gives():
    listed = set(re.findall(r"[a-z]{4,}", inspect.getsource(inflect)))
    regular = {word: plural for word in listed if (plural := _regular_plural(word))}
    assert len(regular) > 300
    assert {word: _library_plural(word) for word in regular} == regular


@pytest.mark.parametrize("name", ['x"; drop table y; --', "Käufer", "用户", "a b", "x' OR 1=1", "%s", "$1", "👨‍👩‍👧"])
def test_any_printable_text_names_a_collection(name):
    assert check_collection(name) == name
    assert table_of_collection(name)


def test_spaces_and_hyphens_become_underscores_in_a_table():
    assert table_of_collection("Order-Lines of 2024") == "order_lines_of_2024"


@pytest.mark.parametrize("name", ["", " ", "a\0b", "a\nb", "\ud800", "@hilo", "a\u2028b"])
def test_a_collection_that_cannot_be_printed_is_refused(name):
    with pytest.raises(InvalidArgumentException):
        table_of_collection(name)


@pytest.mark.parametrize("name", [None, 5, b"x"])
def test_a_name_of_another_type_is_refused(name):
    for check in (check_collection, check_database):
        with pytest.raises(InvalidArgumentTypeException, match="is a str"):
            check(name)


@pytest.mark.parametrize("name", ["x" * 64, "ü" * 32, "DocsessionHilo", "docsession_x"])
def test_a_table_too_long_or_of_docsession_itself_is_refused_and_names_the_way_out(name):
    with pytest.raises(InvalidArgumentException, match=r"@document\(collection="):
        table_of_collection(name)


@pytest.mark.parametrize("name", ["docsession", 'x"; drop table y; --', "ü" * 31, "public", "Ünïcode db", "PG_x"])
def test_any_text_of_63_bytes_names_a_database(name):
    assert check_database(name) == name


@pytest.mark.parametrize(
    "name", ["", "  ", "ü" * 32, "x" * 64, "pg_x", "pg_catalog", "information_schema", "a\0", "\udfff"]
)
def test_a_database_of_postgresql_or_too_long_is_refused(name):
    with pytest.raises(InvalidArgumentException):
        check_database(name)

"""The demo shows what it says."""

import contextlib
import io
import re

import pytest

from demo import lists, queries, steps
from docsession import DocumentStore

pytest.importorskip("pycountry")

DATABASE = "docsession_demo_test"


@pytest.fixture(scope="module")
def shown(postgres_url):
    """(what the demo printed, its report)."""
    output = io.StringIO()
    newer = DocumentStore(postgres_url, database=DATABASE, conventions=queries.NEXT_VERSION)
    with DocumentStore(postgres_url, database=DATABASE) as store, newer:
        with contextlib.redirect_stdout(output):
            report = steps.run(store, newer, lists.read())
        store.maintenance.delete_database(DATABASE)
    return output.getvalue(), report


def test_each_step_takes_the_requests_that_it_should(shown):
    """14 for 13,396 documents, none for what the session knows, one with include and for each question."""
    _, report = shown

    stored, *others = (requests for _, requests, _ in report.rows)

    assert stored == 14
    assert others == [1, 0, 0, 1, 0, 4, 31, 1, 1, 1, 3, 1, 0, 1]


def test_the_change_is_shown_with_its_path_and_values(shown):
    """what_changed names the list item and the field."""
    text, _ = shown

    assert "array_value_added: currencies[1]\n        None -> 'currencies/EUR'" in text
    assert "field_changed: name\n        'Türkiye' -> 'Turkey'" in text


def test_the_conflict_names_the_document(shown):
    """And both versions of it."""
    text = " ".join(shown[0].split())

    assert re.search(r"ConcurrencyException: .*'countries/CH'.*expected change vector \d+, actual \d+", text)


def test_the_select_n_plus_one_names_the_line_of_code(shown):
    """With the number of requests that it sent."""
    text = " ".join(shown[0].split())

    assert re.search(r"29 x .*steps\.py:\d+ in select_n_plus_one", text)


def test_include_brings_the_countries(shown):
    """158 currencies of ISO 4217 begin with the code of a country."""
    text = " ".join(shown[0].split())

    assert re.search(r"1\d\d currencies with their countries: AED \S+ United Arab Emirates, ", text)


def test_the_groups_are_counted(shown):
    """Great Britain has most subdivisions, and every one is counted."""
    text = " ".join(shown[0].split())

    assert re.search(r"(\d,\d{3}) in 200 countries: GB \d{3}, ", text)


def test_the_search_marks_what_it_found(shown):
    """Countries whose official names have both words."""
    assert re.search(r"<b>Islamic</b> <b>Republic</b> of Pakistan", shown[0])
    assert "Confederation" not in shown[0]


def test_the_page_before_is_the_first_one_again(shown):
    """Three lines of five names, in order."""
    lines = shown[0].split("and back\n")[1].splitlines()[:3]
    first, second, back = (line.strip().split(", ") for line in lines)

    assert first == back
    assert first[-1] < second[0]


def test_the_index_changes_the_plan(shown):
    """From reading the whole table to looking it up."""
    before, after = shown[0].split("Make the index")

    assert "Seq Scan on subdivisions" in before
    assert "subdivisions_country_idx" in after
    assert "Seq Scan" not in after

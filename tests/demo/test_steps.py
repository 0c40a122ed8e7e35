"""The demo shows what it says."""

import contextlib
import io
import re

import pytest

from demo import lists, steps
from docsession import DocumentStore

pytest.importorskip("pycountry")

DATABASE = "docsession_demo_test"


@pytest.fixture(scope="module")
def shown(postgres_url):
    """(what the demo printed, its report)."""
    output = io.StringIO()
    with DocumentStore(postgres_url, database=DATABASE) as store:
        with contextlib.redirect_stdout(output):
            report = steps.run(store, lists.read())
        store.maintenance.delete_database(DATABASE)
    return output.getvalue(), report


def test_each_step_takes_the_requests_that_it_should(shown):
    """14 for 13,396 documents, none for what the session knows, one with include."""
    _, report = shown

    stored, *others = (requests for _, requests, _ in report.rows)

    assert stored == 14
    assert others == [1, 0, 0, 1, 0, 4, 31, 1]


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

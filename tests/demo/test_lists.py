"""The demo's data refers only to what there is."""

import pytest

from demo.lists import read
from demo.model import Country

pytest.importorskip("pycountry")


@pytest.fixture(scope="module")
def lists():
    return read()


def test_the_lists_have_the_documented_sizes(lists):
    """About as many as ISO has entries."""
    sizes = (len(lists.countries), len(lists.subdivisions), len(lists.currencies), len(lists.languages))

    assert all(actual >= least for actual, least in zip(sizes, (240, 4900, 170, 7800), strict=True)), sizes


def test_ids_are_unique(lists):
    """One id, one document."""
    keys = [entity.id for entity in lists.all()]

    assert len(keys) == len(set(keys))


def test_every_reference_leads_to_an_entity(lists):
    """Countries, parents and currencies are all there."""
    keys = {entity.id for entity in lists.all()}
    references = [
        *(subdivision.country for subdivision in lists.subdivisions),
        *(subdivision.parent for subdivision in lists.subdivisions if subdivision.parent is not None),
        *(currency.country for currency in lists.currencies if currency.country is not None),
        *(key for country in lists.countries for key in country.currencies),
    ]

    assert [key for key in references if key not in keys] == []


def test_a_country_has_the_currencies_that_begin_with_its_code(lists):
    """Switzerland has three in ISO 4217, two of them for clearing."""
    countries = {country.id: country for country in lists.countries}

    assert countries["countries/CH"] == Country(
        id="countries/CH",
        name="Switzerland",
        alpha_3="CHE",
        numeric="756",
        flag="🇨🇭",
        official_name="Swiss Confederation",
        currencies=["currencies/CHE", "currencies/CHF", "currencies/CHW"],
    )

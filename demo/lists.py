"""The ISO lists that the package pycountry carries as JSON, as entities that refer to each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeAlias

from demo.model import Country, Currency, Language, Subdivision

Entry: TypeAlias = dict[str, str]
Entity: TypeAlias = Country | Subdivision | Currency | Language


@dataclass(frozen=True, slots=True)
class Lists:
    """Every entry of the four lists, as an entity with its id set."""

    countries: list[Country]
    subdivisions: list[Subdivision]
    currencies: list[Currency]
    languages: list[Language]

    def all(self) -> list[Entity]:
        """Return all of them, one kind after the other."""
        return [*self.countries, *self.subdivisions, *self.currencies, *self.languages]


def read() -> Lists:
    """Read the four lists.

    ISO 4217 takes the first two letters of a national currency's code from ISO 3166 (CHF: CH), and that is
    how currencies and countries find each other here. Supranational ones (EUR, XOF) have no country.
    """
    countries = {entry["alpha_2"]: _country(entry) for entry in _entries("iso3166-1", "3166-1")}
    currencies = [_currency(entry, countries) for entry in _entries("iso4217", "4217")]
    return Lists(
        countries=list(countries.values()),
        subdivisions=[_subdivision(entry) for entry in _entries("iso3166-2", "3166-2")],
        currencies=currencies,
        languages=[_language(entry) for entry in _entries("iso639-3", "639-3")],
    )


def _entries(file: str, key: str) -> list[Entry]:
    text = files("pycountry").joinpath("databases", f"{file}.json").read_text(encoding="utf-8")
    entries: list[Entry] = json.loads(text)[key]
    return entries


def _country(entry: Entry) -> Country:
    return Country(
        id=f"countries/{entry['alpha_2']}",
        name=entry.get("common_name", entry["name"]),
        alpha_3=entry["alpha_3"],
        numeric=entry["numeric"],
        flag=entry["flag"],
        official_name=entry.get("official_name"),
    )


def _subdivision(entry: Entry) -> Subdivision:
    code = entry["code"]
    country = code.partition("-")[0]
    parent = entry.get("parent")
    if parent is not None and "-" not in parent:
        parent = f"{country}-{parent}"
    return Subdivision(
        id=f"subdivisions/{code}",
        name=entry["name"],
        kind=entry["type"],
        country=f"countries/{country}",
        parent=parent and f"subdivisions/{parent}",
    )


def _currency(entry: Entry, countries: dict[str, Country]) -> Currency:
    code = entry["alpha_3"]
    key = f"currencies/{code}"
    country = countries.get(code[:2])
    if country is not None:
        country.currencies.append(key)
    return Currency(
        id=key, name=entry["name"], numeric=entry["numeric"], country=country.id if country is not None else None
    )


def _language(entry: Entry) -> Language:
    return Language(
        id=f"languages/{entry['alpha_3']}",
        name=entry["name"],
        scope=entry["scope"],
        kind=entry["type"],
        alpha_2=entry.get("alpha_2"),
    )

"""The steps of the demo: each does one thing with the session and says what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from demo import queries
from demo.lists import Entity, Lists
from demo.model import Country, Currency
from demo.report import Report, say
from docsession import ConcurrencyException, DocumentSession, DocumentStore, TooManyRequestsException

BATCH = 1000


def store_all(store: DocumentStore, entities: Sequence[Entity], report: Report) -> None:
    """Store every entity, a thousand in a request."""
    title = f"Store {len(entities):,} documents"
    print(f"\n{title}")
    begin = time.perf_counter()
    requests = 0
    with tqdm(total=len(entities), unit=" documents", file=sys.stdout, ncols=100, leave=True) as progress:
        for start in range(0, len(entities), BATCH):
            batch = entities[start : start + BATCH]
            with store.open_session() as session:
                for entity in batch:
                    session.store(entity)
                session.save_changes()
                requests += session.advanced.number_of_requests
            progress.update(len(batch))
    report.add(title, requests, time.perf_counter() - begin)


def load_and_change(store: DocumentStore, report: Report) -> None:
    """Load a document by its id, see that it is the same object twice, change it and save the change."""
    with store.open_session() as session:
        with report.step("Load a document by its id", session):
            country = loaded(session, "countries/TR")
            say(repr(country))
        with report.step("Load it again: the same object, no request", session):
            again = session.load("countries/TR", Country)
            say(f"again is country: {again is country}")
        with report.step("See what changed", session):
            country.name = "Turkey"
            country.currencies.append("currencies/EUR")
            for key, changes in session.advanced.what_changed().items():
                say(key)
                for change in changes:
                    say(f"  {change.change}: {change.field_full_name}")
                    say(f"    {change.field_old_value!r} -> {change.field_new_value!r}")
        with report.step("Save the change", session):
            session.save_changes()
            say(f"change vector {session.advanced.get_change_vector_for(country)}")
        with report.step("Save again: nothing changed, no request", session):
            session.save_changes()


def conflict(store: DocumentStore, report: Report) -> None:
    """Let two sessions change one document."""
    with store.open_session() as mine, store.open_session() as theirs:
        mine.advanced.use_optimistic_concurrency = True
        with report.step("Two sessions change one document: a conflict", mine, theirs):
            loaded(mine, "countries/CH").official_name = "Confoederatio Helvetica"
            loaded(theirs, "countries/CH").official_name = "Schweizerische Eidgenossenschaft"
            theirs.save_changes()
            try:
                mine.save_changes()
            except ConcurrencyException as error:
                say(f"{type(error).__name__}: {error}")


def select_n_plus_one(store: DocumentStore, keys: Sequence[str], report: Report) -> None:
    """Load currencies, then the country of each in a request of its own, until the session stops it."""
    title = "Load the country of each currency, one by one: the 31st request is refused"
    with store.open_session() as session, report.step(title, session):
        try:
            for currency in session.load(list(keys), Currency).values():
                if currency is not None and currency.country is not None:
                    session.load(currency.country, Country)
        except TooManyRequestsException as error:
            say(f"{type(error).__name__}: {error}")


def include(store: DocumentStore, keys: Sequence[str], report: Report) -> None:
    """Read the same with the countries included."""
    with store.open_session() as session, report.step("The same with include: one request", session):
        currencies = session.load(list(keys), Currency, includes=lambda b: b.include_documents("country"))
        names = []
        for key, currency in currencies.items():
            if currency is not None and currency.country is not None:
                country = loaded(session, currency.country)
                names.append(f"{key.removeprefix('currencies/')} {country.flag} {country.name}")
        say(f"{len(names)} currencies with their countries: {', '.join(names[:5])}, …")


def loaded(session: DocumentSession, key: str) -> Country:
    """Return a country that is known to be there."""
    country = session.load(key, Country)
    if country is None:
        raise LookupError(f"{key} is not there; was it deleted while the demo ran?")
    return country


def run(store: DocumentStore, newer: DocumentStore, lists: Lists) -> Report:
    """Run all steps on an empty database.

    Args:
        store: The store.
        newer: A store of the same database, with the conventions `queries.NEXT_VERSION`.
        lists: What is stored.
    """
    report = Report()
    keys = [currency.id for currency in lists.currencies if currency.id is not None]
    store_all(store, lists.all(), report)
    load_and_change(store, report)
    conflict(store, report)
    select_n_plus_one(store, keys, report)
    include(store, keys, report)
    queries.groups(store, report)
    queries.find(store, report)
    queries.pages(store, report)
    queries.index(store, newer, report)
    return report

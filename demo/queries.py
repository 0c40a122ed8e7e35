"""The steps of the demo that ask queries: groups, a search, pages by keys, an index and what it does to a plan."""

from __future__ import annotations

from demo.model import Country, Language, Subdivision
from demo.report import Report, say
from docsession import (
    DocumentConventions,
    DocumentStore,
    Index,
    Query,
    count,
    desc,
    highlight,
    rank,
    search,
    starts_with,
)

PAGE = 5

NEXT_VERSION = DocumentConventions(indexes={Subdivision: [Index(lambda s: s.country)]})
"""What the next version of the program declares: its queries look for the subdivisions of a country."""

SWISS = Query(Subdivision).where(lambda s: s.country == "countries/CH")


def groups(store: DocumentStore, report: Report) -> None:
    """Count the subdivisions of each country on the server."""
    with store.open_session() as session:
        with report.step("Count the subdivisions of each country: one request", session):
            counts = (
                session.query(Subdivision)
                .group_by(lambda s: s.country)
                .order_by(lambda _: desc(count()))
                .select(lambda s: (s.country, count()))
                .all()
            )
        total = sum(number for _, number in counts)
        shown = ", ".join(f"{country.removeprefix('countries/')} {number}" for country, number in counts[:PAGE])
        say(f"{total:,} in {len(counts)} countries: {shown}, …")


def find(store: DocumentStore, report: Report) -> None:
    """Search texts for words, the best first, with what was found marked."""
    with store.open_session() as session:
        with report.step("Search the official names for 'islamic republic'", session):
            query = session.query(Country).where(lambda c: search(c.official_name, "islamic republic"))
            best = query.order_by(lambda c: desc(rank(c.official_name, "islamic republic")))
            found = best.select(lambda c: (c.flag, highlight(c.official_name, "islamic republic"))).all()
        say(*(f"{flag} {name}" for flag, name in found))


def pages(store: DocumentStore, report: Report) -> None:
    """Turn pages by keys: each as fast as the first one, however many there are before it."""
    with store.open_session() as session:
        query = session.query(Language).where(lambda each: starts_with(each.name, "S")).order_by("name")
        with report.step("Two pages of languages by keys, and back", session):
            first = query.page(PAGE)
            second = query.page(PAGE, after=first.next)
            back = query.page(PAGE, before=second.previous)
        for page in (first, second, back):
            say(", ".join(each.name for each in page.items))
        say(f"the token of the next page: {second.next}")


def index(store: DocumentStore, newer: DocumentStore, report: Report) -> None:
    """Look at the plan of a query, make the index that it lacks, and look again.

    Args:
        store: The store of the program as it is.
        newer: That of its next version, which declares the index.
        report: Where the costs are noted.
    """
    with store.open_session() as session, report.step("How the server finds the cantons of Switzerland", session):
        say(str(session.query(SWISS).explain()))
    with newer.open_session() as session:
        with report.step("Make the index that the next version declares", session):
            say(", ".join(newer.maintenance.create_indexes(Subdivision)))
        with report.step("How it finds them now", session):
            say(str(session.query(SWISS).explain()))

"""`python -m demo`: run the demo on an embedded PostgreSQL, or on the one that DOCSESSION_URL names."""

from __future__ import annotations

from demo import lists, queries, steps
from demo.report import say
from docsession import DocumentStore

DATABASE = "docsession_demo"


def main() -> None:
    """Read the lists, start the store, and run the steps on an empty database."""
    data = lists.read()
    print(
        f"{len(data.countries)} countries, {len(data.subdivisions):,} subdivisions, "
        f"{len(data.currencies)} currencies, {len(data.languages):,} languages of the ISO lists"
    )
    newer = DocumentStore(database=DATABASE, conventions=queries.NEXT_VERSION)
    with DocumentStore(database=DATABASE) as store, newer:
        if DATABASE in store.maintenance.get_database_names():
            store.maintenance.delete_database(DATABASE)
        report = steps.run(store, newer, data)
        print("\nWhat there is now")
        for collection, count in store.maintenance.get_collection_statistics().items():
            say(f"{collection:13} {count:6,}")
        report.print()


if __name__ == "__main__":
    main()

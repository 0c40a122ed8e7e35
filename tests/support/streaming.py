"""A process that reads all documents of a collection as a stream, and says how much memory that took.

`python -m tests.support.streaming blocking|async URL DATABASE` prints the number of documents, the sum of their values
and the bytes by which the process has grown at its peak.
"""

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from docsession import AsyncDocumentStore, DocumentStore


@dataclass
class Reading:
    place: str
    value: int
    notes: list[str]
    id: str | None = None


def peak():
    """The most memory that the process has had, in bytes; what `getrusage` says is that of its parent, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def read(url, database):
    with DocumentStore(url, database) as store, store.open_session() as session:
        session.query(Reading).first()
        before = peak()
        number = total = 0
        for each in session.query(Reading).stream():
            number += 1
            total += each.value
        return number, total, peak() - before


async def read_awaited(url, database):
    async with AsyncDocumentStore(url, database) as store, store.open_session() as session:
        await session.query(Reading).first()
        before = peak()
        number = total = 0
        async for each in session.query(Reading).stream():
            number += 1
            total += each.value
        return number, total, peak() - before


if __name__ == "__main__":
    _, face, url, database = sys.argv
    print(*(read(url, database) if face == "blocking" else asyncio.run(read_awaited(url, database))))

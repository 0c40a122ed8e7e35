"""`make bench`: docsession against raw psycopg and SQLAlchemy's ORM, one table of ratios from one run.

python benchmarks/run.py [--only load,save,…] [--seconds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parent.parent))

import async_face
import caching
import links
import loads
import memory
import million
import options
import psycopg
import queries
import saves
import testing
from environment import Server
from harness import Effort, Result

GROUPS = {
    "load": loads,
    "cache": caching,
    "save": saves,
    "link": links,
    "async": async_face,
    "memory": memory,
    "option": options,
    "query": queries,
    "million": million,
    "testing": testing,
}

LEGEND = """
Medians of one run. "By hand" is psycopg with a pool, prepared statements, the binary format, pipelines and msgspec,
sending the same SQL, and makes 1.0; SQLAlchemy's ORM has a JSONB column and version_id_col. "Middle half" are the
quartiles of the ratio by turns; "first deciles" is the ratio of the fastest tenths, which a busy machine touches least.
The rows "option / plain session" compare a session that has the option with one that has none, "testing kit / another
way" what a test could do instead, and "testing kit / milliseconds allowed" a whole test that saves one document, from
the fixture's beginning to its end, with the time it may take: none of them with psycopg.
The document: an order of 0.83 kB with twelve nested objects, a dataclass where nothing else is said.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Ratios to raw psycopg, medians of one run.")
    parser.add_argument("--only", default=",".join(GROUPS), help=f"groups, of {', '.join(GROUPS)}")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="time for each comparison, on a machine that does nothing else"
    )
    parser.add_argument("--json", type=Path, help="write the results there too")
    given = parser.parse_args(arguments)
    results: list[Result] = []
    with Server() as server:
        effort = Effort(given.seconds, look=server.look)
        for name in given.only.split(","):
            for result in GROUPS[name].run(server, effort):
                print(f"{result.group}: {result.name}: {result.ratio:.2f}", file=sys.stderr)
                results.append(result)
    print(table(results))
    print(LEGEND)
    print("; ".join(f"{name} {value}" for name, value in environment().items()))
    if given.json:
        rows = [dataclasses.asdict(result) for result in results]
        given.json.write_text(json.dumps({"environment": environment(), "results": rows}, indent=2) + "\n")


def environment() -> dict[str, str]:
    packages = ("docsession", "psycopg", "psycopg-pool", "msgspec", "SQLAlchemy", "Django")
    return {
        "Python": platform.python_version(),
        "libpq": str(psycopg.pq.version()),
        "psycopg's implementation": psycopg.pq.__impl__,
    } | {name: version(name) for name in packages}


def table(results: Sequence[Result]) -> str:
    """Return the results as a table in Markdown."""
    lines = [
        "| | by hand | docsession | ratio | middle half | first deciles | at most | | SQLAlchemy's ORM |",
        "|---|---:|---:|---:|---:|---:|---:|---|---:|",
    ]
    for each in results:
        spread = "" if each.low is None else f"{each.low:.2f}-{each.high:.2f}"
        best = "" if each.best is None else f"{each.best:.2f}"
        target = "" if each.target is None else f"{each.target:.2f}"
        verdict = "" if each.target is None else "ok" if each.ratio <= each.target else "**over**"
        peer = "" if each.peer is None else f"{each.peer:.1f}"
        lines.append(
            f"| {each.group}: {each.name} | {each.base:,.0f} {each.unit} | {each.ours:,.0f} {each.unit} "
            f"| {each.ratio:.2f} | {spread} | {best} | {target} | {verdict} | {peer} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Servers that fork, and Django missing."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[3]

FORKING = """
    import os

    from examples.django_shop.wsgi import application
    from django.core.management import call_command
    from django.db import connections
    from django.test import Client

    call_command("migrate", verbosity=0)
    call_command("seed_shop")  # with the store that both workers have from here on
    connections.close_all()

    workers = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            client = Client(headers={"Host": "localhost"})
            for number in range(20):
                made = client.post("/customers", {"name": "Gil", "city": "Oslo"}, "application/json")
                os.write(1, f"{made.status_code} {made.json()['id']}\\n".encode())
            os._exit(0)
        workers.append(pid)
    codes = [os.waitpid(pid, 0)[1] for pid in workers]
    client = Client(headers={"Host": "localhost"})
    print(codes, len(client.get("/customers", {"city": "Oslo", "size": 100}).json()["items"]))
"""


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", dedent(code)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_workers_of_a_server_that_forks(own_postgres_database):
    """Two of them, forked after the store was used: nobody gets the id of another one."""
    done = run(FORKING, DOCSESSION_URL=own_postgres_database)

    *made, last = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert last == "[0, 0] 40"
    assert {line.partition(" ")[0] for line in made} == {"201"}
    assert len(set(made)) == 40


def test_without_django_the_error_names_the_extra():
    """Not a bare ImportError."""
    done = run("import sys; sys.modules['django'] = None; import docsession.contrib.django")

    assert "MissingDependencyException: docsession.contrib.django needs Django" in done.stderr
    assert "docsession[binary,django]" in done.stderr

import asyncio
import inspect
import os
import re
import shutil
import signal
import tempfile
import uuid
import zlib
from collections.abc import Iterator

import pytest

from tests.support.databases import Databases
from tests.support.faces import Face, run_and_close
from tests.support.pooler import set_for_pooler
from tests.support.standby import ReplicatedCluster, replicated_cluster

STORES = pytest.StashKey[list]()
FACES = ("blocking", "async")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As for a command that a shell runs in the background: tests that press Ctrl-C need Python's own handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)


if os.environ.get("DOCSESSION_TEST_POOLER"):
    set_for_pooler()


def pytest_collection_modifyitems(config, items):
    """A test that starts servers of its own uses no pooler.

    DOCSESSION_TEST_PART=2/3 chooses the second third; DOCSESSION_TEST_FACES=alternate one face of each test that has
    both, in half of them the one and in half the other, always the same.
    """
    part, _, parts = os.environ.get("DOCSESSION_TEST_PART", "1/1").partition("/")
    chosen = [item for item in items if is_of_its_face(item)]
    chosen = set(sorted(item.nodeid for item in chosen)[int(part) - 1 :: int(parts)])
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
    items[:] = [item for item in items if item.nodeid in chosen]
    for item in items:
        if not {"shared_cluster", "own_cluster"}.isdisjoint(item.fixturenames) or "/test_embedded" in str(item.path):
            item.add_marker(pytest.mark.direct("servers of its own"))


def is_of_its_face(item) -> bool:
    """Return False for a test that runs on the other face, where one is enough."""
    face = getattr(item, "callspec", None) and item.callspec.params.get("face")
    if os.environ.get("DOCSESSION_TEST_FACES") != "alternate" or face not in FACES:
        return True
    test = re.sub(rf"(?<=[\[-]){face}(?=[\]-])", "", item.nodeid)
    return FACES[zlib.crc32(test.encode()) % 2] == face


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that is a coroutine on an event loop of its own, and close the stores it was given."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    stores = pyfuncitem.stash.setdefault(STORES, [])
    asyncio.run(run_and_close(pyfuncitem.obj(**arguments), stores))
    return True


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL for the whole run: DOCSESSION_TEST_URL, else an embedded one that forgets.

    It may be that of a pgbouncer before it (scripts/with-pgbouncer.sh): a test that needs the connection to be the
    server's own says so with `@pytest.mark.direct`, and why; one that only looks on takes `direct_url`.
    """
    given = os.environ.get("DOCSESSION_TEST_URL")
    if given:
        yield given
        return
    from docsession._embedded import EmbeddedServer

    directory = tempfile.mkdtemp(prefix="docsession-tests-")
    server = EmbeddedServer.start(
        directory,
        major_version=int(os.environ.get("DOCSESSION_TEST_MAJOR", "18")),
        durable=False,
        settings={"max_connections": "200"},
    )
    try:
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def direct_url(postgres_url) -> str:
    """The URL of the same PostgreSQL without a pooler before it, for what is done beside the stores."""
    return os.environ.get("DOCSESSION_TEST_DIRECT_URL", postgres_url)


@pytest.fixture(params=FACES)
def face(request) -> Face:
    """Each of the two faces in turn; a test that takes it is written once, for the async one."""
    return Face(request.param)


@pytest.fixture(scope="session")
def databases(direct_url) -> Iterator[Databases]:
    """The databases that tests of the run take turns with."""
    databases = Databases(direct_url)
    yield databases
    databases.close()


@pytest.fixture
def database(databases) -> Iterator[str]:
    """The name of a database (a schema) for one test; it is made on first use and dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    databases.drop(name)


@pytest.fixture
def any_database(request, databases) -> Iterator[str]:
    """The test's database: `database` where the test or one of its fixtures names that, else one that is there already.

    That one is empty, and was used by other tests before, which is much faster than one that has to be made. It is on
    the server of the run, so a test with servers of its own has `database`.
    """
    if not {"database", "shared_cluster", "own_cluster"}.isdisjoint(request.fixturenames):
        yield request.getfixturevalue("database")
        return
    name, contents = databases.take()
    yield name
    databases.give_back(name, contents)


@pytest.fixture
def make_store(face, postgres_url, any_database, request):
    """Make stores on the test's database: `make_store(conventions=…)`; they are closed after the test."""
    stores = request.node.stash.setdefault(STORES, [])

    def make(*args, **kwargs):
        store = face.store(*(args or (postgres_url,)), **{"database": any_database} | kwargs)
        stores.append(store)
        return store

    return make


@pytest.fixture
def store(make_store):
    """A store of the face in turn, on a database of the test's own."""
    return make_store()


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[ReplicatedCluster]:
    with replicated_cluster() as started:
        yield started


@pytest.fixture
def cluster(shared_cluster) -> Iterator[ReplicatedCluster]:
    """A primary and a standby that the whole run shares; a test may stop, pause and reconfigure, but not promote."""
    yield shared_cluster
    shared_cluster.restore()


@pytest.fixture
def own_cluster() -> Iterator[ReplicatedCluster]:
    """A primary and a standby for one test, which may do with them what it likes."""
    with replicated_cluster() as started:
        yield started

import contextlib
import functools
import uuid

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from docsession._faces import _units
from docsession._faces._run import run
from docsession._migrate import Target, current, upgrade
from tests.conftest import STORES
from tests.support.documents import Rows
from tests.support.executors import Table, executor_of, settings
from tests.support.faces import Blocking, Face
from tests.support.hosts import HOSTS, HostTable, django_settings
from tests.support.kinds import KINDS
from tests.support.proxy import CuttingProxy


@pytest.fixture
def make_executor(face, postgres_url, request):
    """Make executors of the face in turn: `make_executor(url, max_size=…)`; they are closed after the test."""
    executors = request.node.stash.setdefault(STORES, [])

    def make(url=postgres_url, **options):
        executor = executor_of(face.name, settings(url, **options))
        executors.append(executor)
        return executor

    return make


@pytest.fixture
def executor(make_executor):
    """An executor of the face in turn."""
    return make_executor()


@pytest.fixture
def table(postgres_url):
    """A table to write into, seen from beside the executors."""
    table = Table(postgres_url, f"executor_{uuid.uuid4().hex[:10]}")
    yield table
    table.close()


@pytest.fixture
def proxy(postgres_url):
    """A proxy before the server that breaks connections when it is told to."""
    with CuttingProxy(postgres_url) as proxy:
        yield proxy


@pytest.fixture(params=KINDS, scope="session")
def kind(request):
    """Each kind of class in turn; see `tests.support.kinds`."""
    return KINDS[request.param]


@pytest.fixture
def rows(postgres_url, any_database):
    """The rows of the test's database."""
    opened = Rows(postgres_url, any_database)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(postgres_url):
    """The server as a whole, with a table `public.y` that hostile text would drop."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS public.y (n int)")
        connection.execute("TRUNCATE public.y")
        connection.execute("INSERT INTO public.y VALUES (1), (2)")
        yield connection
        connection.execute("DROP TABLE public.y")


@pytest.fixture
def nothing_else_is_touched(server, database):
    """Every schema, table and function beside the test's own is there afterwards, and nothing more."""

    def everything():
        query = (
            "SELECT n.nspname, relname, relkind::text FROM pg_namespace n LEFT JOIN pg_class ON relnamespace = n.oid "
            "WHERE nspname <> %s AND nspname !~ '^pg_(toast|temp)' UNION ALL "
            "SELECT n.nspname, proname, 'function' FROM pg_proc JOIN pg_namespace n ON pronamespace = n.oid "
            "WHERE nspname <> %s AND nspname <> 'pg_catalog'"
        )
        return set(server.execute(query, (database, database)).fetchall())

    before = everything()
    yield
    assert everything() == before
    assert server.execute("SELECT n FROM public.y ORDER BY n").fetchall() == [(1,), (2,)]


@pytest.fixture(params=HOSTS)
def host(request, postgres_url, monkeypatch):
    """Each kind of somebody else's connection in turn, still to be opened; see `tests.support.hosts`."""
    host = HOSTS[request.param]()
    request.node.stash.setdefault(STORES, []).append(host)
    with contextlib.ExitStack() as stack:
        if request.param == "django":
            monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
            stack.enter_context(django_settings(default={"ENGINE": "django.db.backends.postgresql"}))
        yield host


@pytest.fixture
def host_store(host, postgres_url, database, request):
    """A store of the face that the connection belongs to."""
    store = Face(host.face).store(postgres_url, database=database)
    request.node.stash.setdefault(STORES, []).append(store)
    return store


@pytest.fixture
def host_table(postgres_url):
    """A table of the application's own."""
    name = f"theirs_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {name} (n int PRIMARY KEY)")
    yield HostTable(postgres_url, name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {name}")


@pytest.fixture
def unit(face):
    """Makes of a coroutine function what `run` and `edit` of the face in turn take."""

    def make(function):
        @functools.wraps(function)
        def blocking(given):
            wraps = type(given).__module__.startswith("docsession")
            return run(function(Blocking(given) if wraps else given))

        return function if face.is_async else blocking

    return make


@pytest.fixture
def waits(monkeypatch):
    """The waits between attempts, none of which takes any time."""
    asked = []

    async def pause(_self, seconds):
        asked.append(seconds)

    for kind in (_units.BlockingWaiting, _units.AsyncWaiting):
        monkeypatch.setattr(kind, "pause", pause)
    return asked


@pytest.fixture
def target(postgres_url, database):
    """Bring the test's database to a revision, and return at which one it is: `target("0001")`, `target()`."""

    def migrate(revision=None):
        place = Target({name: str(value) for name, value in conninfo_to_dict(postgres_url).items()}, database)
        return (current(place) if revision is None else upgrade(place, revision)).revision

    return migrate

import uuid

import pytest

from tests.conftest import STORES
from tests.support.documents import Rows
from tests.support.executors import Table, executor_of, settings
from tests.support.kinds import KINDS


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


@pytest.fixture(params=KINDS, scope="session")
def kind(request):
    """Each kind of class in turn; see `tests.support.kinds`."""
    return KINDS[request.param]


@pytest.fixture
def rows(postgres_url, database):
    """The rows of the test's database."""
    opened = Rows(postgres_url, database)
    yield opened
    opened.close()

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.support.http_servers import serving

pytest.register_assert_rewrite("tests.contrib.shop_contract")


@pytest.fixture(scope="class")
def own_postgres_database(direct_url) -> Iterator[str]:
    """The URL of a PostgreSQL database of the class's own, for programs that make tables outside of docsession's."""
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(direct_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        yield urlsplit(direct_url)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="class")
def shop(request, own_postgres_database) -> Iterator[httpx.Client]:
    """A client of the example that the class names, running as its README says."""
    with (
        serving(request.cls.example, DOCSESSION_URL=own_postgres_database) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client

"""The revision of the schema is read along with the catalogue, once."""

import pytest

from docsession import DatabaseDoesNotExistException, DocumentConventions, IncompatibleSchemaException
from docsession._errors import PermissionDeniedException, TableDoesNotExistException
from docsession._executors._scripted import ScriptedExecutor
from docsession._faces._run import run
from docsession._session._database import Database
from docsession._sql._schema import HEAD_REVISION

CATALOGUE = 'SELECT prefix, collection, "table" FROM "shop"."docsession_collections"'
REVISION = 'SELECT version_num FROM "shop"."docsession_alembic_version"'
ROWS = [("companies", "Companies", "companies")]


def refreshed(*answers, times=1, auto_create=True):
    """Refresh a catalogue and return it with the SQL of each request."""
    executor = ScriptedExecutor(answers)
    database = Database("shop", executor, DocumentConventions(auto_create=auto_create))
    try:
        for _ in range(times):
            catalogue = run(database.refresh())
    finally:
        executor.assert_all_answered()
    return sorted(catalogue.by_collection), [request.sql for request in executor.requests]


def test_the_first_read_of_the_catalogue_asks_it_along():
    found = refreshed([ROWS, [(HEAD_REVISION,)]], [ROWS], times=2)
    assert found == (["Companies"], [[CATALOGUE, REVISION], [CATALOGUE]])


@pytest.mark.parametrize("error", [PermissionDeniedException("no"), TableDoesNotExistException("none")])
def test_where_it_cannot_be_read_the_catalogue_is_read_alone(error):
    found = refreshed(error, [ROWS], [ROWS], times=2)
    assert found == (["Companies"], [[CATALOGUE, REVISION], [CATALOGUE], [CATALOGUE]])


def test_a_database_that_is_not_there_is_looked_at_again():
    missing = TableDoesNotExistException("none")
    found = refreshed(missing, missing, [ROWS, [(HEAD_REVISION,)]], times=2)
    assert found == (["Companies"], [[CATALOGUE, REVISION], [CATALOGUE], [CATALOGUE, REVISION]])
    with pytest.raises(DatabaseDoesNotExistException):
        refreshed(missing, missing, auto_create=False)


def test_a_schema_that_cannot_be_worked_with_is_refused_each_time():
    executor = ScriptedExecutor([[ROWS, [("9901",)]]] * 2)
    database = Database("shop", executor, DocumentConventions())
    for _ in range(2):
        with pytest.raises(IncompatibleSchemaException):
            run(database.refresh())

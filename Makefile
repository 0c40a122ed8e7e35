# Everything here makes its own virtual environment in .venv first; Python 3.11 or newer and make are all it takes.

.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint docs bench lowest soak clean

# What is most likely to depend on the versions of others.
lowest = tests/contrib tests/testing/test_plugin.py tests/migrations/test_documents.py \
	tests/migrations/test_revisions_with_indexes.py tests/db/test_executor.py tests/db/test_session_basics.py \
	tests/db/test_shared_sqlalchemy.py tests/db/test_shared_wire.py

help:
	@echo "make demo     install, start an embedded PostgreSQL and show the session on the ISO lists of the world"
	@echo "make test     all that CI runs"
	@echo "make coverage the whole suite, and which lines and branches it leaves out"
	@echo "make lint     ruff, mypy and the import contracts"
	@echo "make docs     build the documentation into docs/_build/html"
	@echo "make bench    measure against raw psycopg and SQLAlchemy"
	@echo "make lowest   the tests of the frameworks, and some others, with the lowest versions allowed"
	@echo "make soak     the long tests"
	@echo "make clean    remove what the others made"

demo:
	@scripts/venv.sh .venv demo
	@.venv/bin/python -m demo

test:
	@scripts/test.sh

coverage:
	@scripts/venv.sh .venv dev
	.venv/bin/python -m pytest -q -n auto --maxprocesses=4 --dist worksteal --cov --cov-report=term:skip-covered tests

lint:
	@scripts/venv.sh .venv dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

docs:
	@scripts/venv.sh .venv dev
	.venv/bin/sphinx-build -W --keep-going --quiet --builder html docs docs/_build/html

bench:
	@scripts/venv.sh .venv dev
	.venv/bin/python benchmarks/run.py

lowest:
	@scripts/venv.sh .venv-lowest lowest 3.11
	.venv-lowest/bin/python -m pytest -q -n 2 --dist worksteal $(lowest)

soak:
	@scripts/venv.sh .venv test
	.venv/bin/python -m pytest -m soak tests

clean:
	rm -rf .venv .venv-3.11 .venv-3.13 .venv-lowest docs/_build dist build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

#!/usr/bin/env bash
# All that CI runs. Every leg runs, whatever became of the ones before it; the exit code says whether all passed.
# The last leg is the whole suite, so that the last line on standard output is pytest's own summary.
set -uo pipefail
cd "$(dirname "$0")/.."

report=()
failed=()

# leg NAME COMMAND…: run it, remember how it went. Exit code 77 means that it could not be run here.
leg() {
    local name=$1 begin=$SECONDS code=0
    shift
    printf '\n==== %s\n' "$name"
    "$@" || code=$?
    case $code in
    0) report+=("passed   $name ($((SECONDS - begin)) s)") ;;
    77) report+=("NOT RUN  $name") ;;
    *)
        report+=("FAILED   $name ($((SECONDS - begin)) s)")
        failed+=("$name")
        ;;
    esac
}

# The main environment is Python 3.11, the oldest supported, wherever there is one.
main=.venv
if scripts/find-python.sh 3.11 >/dev/null; then
    if [ -x .venv/bin/python ] && ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        main=.venv-3.11
    fi
    scripts/venv.sh "$main" dev 3.11 || exit 1
else
    scripts/venv.sh "$main" dev || exit 1
    report+=("NOT RUN  anything under Python 3.11: there is none here; $("$main/bin/python" --version) took its place")
fi
bin=$main/bin
python=$("$bin/python" -c 'import sys; print("Python %d.%d" % sys.version_info[:2])')

# Each worker has an embedded server of its own.
parallel=(-n "$(($(nproc) < 4 ? $(nproc) : 4))" --dist worksteal)

# What depends on PostgreSQL's version. The embedded server's own tests choose theirs.
database_tests=(tests/db tests/migrations --ignore-glob='*/test_embedded*')

lint() {
    local code=0
    "$bin/ruff" check . || code=1
    "$bin/ruff" format --check . || code=1
    "$bin/lint-imports" || code=1
    return "$code"
}

types() {
    "$bin/mypy"
}

documentation() {
    "$bin/sphinx-build" -W --keep-going --quiet --builder html docs docs/_build/html
}

# Another Python and another PostgreSQL together, since hardly anything depends on both.
under_3_13() {
    if ! scripts/find-python.sh 3.13 >/dev/null; then
        echo "There is no Python 3.13 here: the suite was not run under it."
        return 77
    fi
    scripts/venv.sh .venv-3.13 test 3.13 &&
        DOCSESSION_TEST_MAJOR=16 .venv-3.13/bin/python -m pytest -q "${parallel[@]}" tests
}

# Nearly all tests of sessions run on Debian's PostgreSQL 15 through a pooler, the others (marked `direct`, each with the
# reason) without one; where there is no pgbouncer, all do without.
pooled="pooler or not (direct or soak or citus)"
through_pgbouncer() {
    scripts/with-postgresql-15.sh scripts/with-pgbouncer.sh "$bin/python" -m pytest -q -m "$pooled" tests/db
}

on_debian_15() {
    local code=0
    if [ -n "$unpooled" ]; then
        scripts/with-postgresql-15.sh "$bin/python" -m pytest -q "${database_tests[@]}"
        return
    fi
    scripts/with-postgresql-15.sh "$bin/python" -m pytest -q tests/migrations || code=$?
    [ "$code" = 77 ] && return 77
    scripts/with-postgresql-15.sh "$bin/python" -m pytest -q -m direct tests/db --ignore-glob='*/test_embedded*' || code=$?
    return "$code"
}

on_embedded_16() {
    DOCSESSION_TEST_MAJOR=16 "$bin/python" -m pytest -q "${parallel[@]}" "${database_tests[@]}"
}

leg "ruff, import contracts" lint
leg "mypy" types
leg "documentation" documentation
leg "Python 3.13, embedded PostgreSQL 16: whole suite" under_3_13
leg "$python, Debian's PostgreSQL 15 behind pgbouncer: tests of sessions" through_pgbouncer
unpooled=$(printf '%s\n' "${report[@]}" | grep '^NOT RUN .*pgbouncer' || true)
leg "$python, Debian's PostgreSQL 15: migrations, and what no pooler is for" on_debian_15
if printf '%s\n' "${report[@]}" | grep -q '^NOT RUN  Python 3.13'; then
    leg "$python, embedded PostgreSQL 16: database tests" on_embedded_16
fi

printf '\n==== What was run\n'
printf '%s\n' "${report[@]}"
printf 'follows  %s, embedded PostgreSQL 18: whole suite, with coverage by branch\n\n' "$python"

if ! "$bin/python" -m pytest -q "${parallel[@]}" --cov --cov-report=term:skip-covered tests; then
    failed+=("$python, embedded PostgreSQL 18: whole suite")
fi
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi

#!/usr/bin/env bash
# All that CI runs. Every leg runs, whatever became of the ones before it; the exit code says whether all passed.
# The last leg is the whole suite, so that the last line on standard output is pytest's own summary.
set -uo pipefail
cd "$(dirname "$0")/.."

# A dozen runs of pytest and some hundred programs that tests start read the same modules: compile them once.
unset PYTHONDONTWRITEBYTECODE

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

# Run a command of pytest twice at the same time, each on one half of the tests and with servers of its own.
in_halves() {
    local half folder code=0
    local running=()
    folder=$(mktemp -d)
    for half in 1 2; do
        DOCSESSION_TEST_PART=$half/2 "$@" >"$folder/$half" 2>&1 &
        running+=($!)
    done
    for half in 1 2; do
        wait "${running[half - 1]}" || code=$?
        cat "$folder/$half"
    done
    rm -r "$folder"
    return "$code"
}

# The newer Python, where there is one; it has the newest Django, for which Python 3.11 is too old.
newer=$bin
newer_python=$python
if scripts/find-python.sh 3.13 >/dev/null; then
    scripts/venv.sh .venv-3.13 test 3.13 || exit 1
    newer=.venv-3.13/bin
    newer_python="Python 3.13"
else
    report+=("NOT RUN  anything under Python 3.13: there is none here; $python took its place")
fi

# Nearly all tests of sessions run on Debian's PostgreSQL 15 through a pooler, the others (marked `direct`, each with the
# reason) without one; where there is no pgbouncer, all do without.
through_pgbouncer() {
    in_halves scripts/with-postgresql-15.sh scripts/with-pgbouncer.sh \
        "$newer/python" -m pytest -q -m "pooler or not (direct or soak or citus)" tests/db
}

on_debian_15() {
    local code=0 others=()
    local folder
    for folder in tests/*/; do
        case $folder in
        tests/db/ | tests/soak/ | tests/support/ | tests/containers/ | */__pycache__/) ;;
        tests/docs/ | tests/demo/ | tests/typing/) ;; # they have servers of their own, or none
        *) others+=("$folder") ;;
        esac
    done
    if [ -n "$unpooled" ]; then
        in_halves scripts/with-postgresql-15.sh "$newer/python" -m pytest -q "${others[@]}" tests/db
        return
    fi
    in_halves scripts/with-postgresql-15.sh "$newer/python" -m pytest -q "${others[@]}" || code=$?
    [ "$code" = 77 ] && return 77
    in_halves scripts/with-postgresql-15.sh "$newer/python" -m pytest -q -m direct tests/db || code=$?
    return "$code"
}

# What is most likely to differ between versions of PostgreSQL; the versions before and after run everything. Where there
# is no PostgreSQL 15, it is all of it.
on_embedded_16() {
    local tests=(tests/migrations tests/db/test_{executor,index,quer,raw,search,sql_rules,store_and_load,vectors,wire}*.py)
    if printf '%s\n' "${report[@]}" | grep -q '^NOT RUN .*PostgreSQL 15: everything else'; then
        tests=(tests)
    fi
    DOCSESSION_TEST_MAJOR=16 "$newer/python" -m pytest -q "${parallel[@]}" "${tests[@]}"
}

# In a subshell, since what starts the engine has variables of its own for those who use it. Where a folder beside this
# one can start an engine it does; elsewhere Docker serves.
in_containers() (
    if [ -x ../shared/containers/start ] && environment=$(../shared/containers/start); then
        eval "$environment"
        export DOCSESSION_TEST_IMAGE=postgres:15
    elif ! docker version >/dev/null 2>&1; then
        echo "There is no container engine here: PostgreSQL was not run in containers."
        exit 77
    fi
    "$bin/python" -m pytest -q -m containers tests/containers
)

leg "ruff, import contracts" lint
leg "mypy" types
leg "documentation" documentation
leg "$newer_python, Debian's PostgreSQL 15 behind pgbouncer: tests of sessions" through_pgbouncer
unpooled=$(printf '%s\n' "${report[@]}" | grep '^NOT RUN .*pgbouncer' || true)
leg "$newer_python, Debian's PostgreSQL 15: everything else" on_debian_15
leg "$newer_python, embedded PostgreSQL 16: what depends on the server" on_embedded_16
leg "$python, PostgreSQL in containers" in_containers
printf '\n==== What was run\n'
printf '%s\n' "${report[@]}"
printf 'follows  %s, embedded PostgreSQL 18: whole suite\n\n' "$python"

if ! "$bin/python" -m pytest -q "${parallel[@]}" tests; then
    failed+=("$python, embedded PostgreSQL 18: whole suite")
fi
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi

#!/usr/bin/env bash
# All that CI runs. Every leg runs, whatever became of the ones before it; the exit code says whether all passed.
# The last leg is the whole suite, so that the last line on standard output is pytest's own summary.
# Which tests run on which PostgreSQL, and why, is in CONTRIBUTING.md.
set -uo pipefail
cd "$(dirname "$0")/.."

# A dozen runs of pytest and some hundred programs that tests start read the same modules: compile them once.
unset PYTHONDONTWRITEBYTECODE

report=()
failed=()
names=() # of legs that were begun and run beside each other
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# record NAME CODE SECONDS: remember how a leg went. Exit code 77 means that it could not be run here.
record() {
    case $2 in
    0) report+=("passed   $1 ($3 s)") ;;
    77) report+=("NOT RUN  $1") ;;
    *)
        report+=("FAILED   $1 ($3 s)")
        failed+=("$1")
        ;;
    esac
}

# leg NAME COMMAND…: run it.
leg() {
    local name=$1 begin=$SECONDS code=0
    shift
    printf '\n==== %s\n' "$name"
    "$@" || code=$?
    record "$name" "$code" $((SECONDS - begin))
}

# begin NAME COMMAND…: run it beside others; what it prints is shown by `finish`, which waits for all that were begun.
begin() {
    local number=${#names[@]}
    names+=("$1")
    shift
    (
        begin=$SECONDS code=0
        "$@" >"$work/$number" 2>&1 || code=$?
        echo "$code $((SECONDS - begin))" >"$work/$number.ended"
    ) &
}

finish() {
    local number code seconds
    wait
    for number in "${!names[@]}"; do
        printf '\n==== %s\n' "${names[number]}"
        cat "$work/$number"
        code=1 seconds=0
        read -r code seconds <"$work/$number.ended"
        record "${names[number]}" "$code" "$seconds"
    done
    names=()
}

# The main environment is Python 3.11, the oldest supported, wherever there is one. The newer Python has the newest
# Django, for which Python 3.11 is too old.
main=.venv oldest='' newer=''
if scripts/find-python.sh 3.11 >/dev/null; then
    oldest=3.11
    if [ -x .venv/bin/python ] && ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        main=.venv-3.11
    fi
fi
scripts/venv.sh "$main" dev "$oldest" &
making=$!
if scripts/find-python.sh 3.13 >/dev/null; then
    newer=.venv-3.13
    scripts/venv.sh "$newer" test 3.13 || exit 1
fi
wait "$making" || exit 1

bin=$main/bin
python=$("$bin/python" -c 'import sys; print("Python %d.%d" % sys.version_info[:2])')
newer_python="Python 3.13"
[ -n "$oldest" ] || report+=("NOT RUN  anything under Python 3.11: there is none here; $python took its place")
if [ -z "$newer" ]; then
    report+=("NOT RUN  anything under Python 3.13: there is none here; $python took its place")
    newer=$main
    newer_python=$python
fi
newer=$newer/bin

# A test that hangs ends its run, with what each thread was at, instead of all that would follow.
pytest=(-m pytest -q -o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true)
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
    local half folder ended code=0 running=()
    folder=$(mktemp -d)
    for half in 1 2; do
        DOCSESSION_TEST_PART=$half/2 "$@" >"$folder/$half" 2>&1 &
        running+=($!)
    done
    for half in 1 2; do
        ended=0
        wait "${running[half - 1]}" || ended=$?
        if [ "$code" = 0 ] || [ "$code" = 77 ]; then # nothing outweighs a failure
            [ "$ended" = 0 ] || code=$ended
        fi
        cat "$folder/$half"
    done
    rm -r "$folder"
    return "$code"
}

# Nearly all tests of sessions run on Debian's PostgreSQL 15 through a pooler, the others (marked `direct`, each with the
# reason) without one; where there is no pgbouncer, all do without. Each on one of the two faces.
through_pgbouncer() {
    DOCSESSION_TEST_FACES=alternate in_halves scripts/with-postgresql-15.sh scripts/with-pgbouncer.sh \
        "$newer/python" "${pytest[@]}" -m "pooler or not (direct or soak or citus)" tests/db
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
        in_halves scripts/with-postgresql-15.sh "$newer/python" "${pytest[@]}" "${others[@]}" tests/db
        return
    fi
    in_halves scripts/with-postgresql-15.sh "$newer/python" "${pytest[@]}" "${others[@]}" || code=$?
    [ "$code" = 77 ] && return 77
    in_halves scripts/with-postgresql-15.sh "$newer/python" "${pytest[@]}" -m direct tests/db || code=$?
    return "$code"
}

# What is most likely to differ between versions of PostgreSQL; the versions before and after run everything. Where there
# is no PostgreSQL 15, it is all of it.
on_embedded_16() {
    local tests=(tests/migrations tests/db/test_{executor,index,quer,raw,search,sql_rules,store_and_load,vectors,wire}*.py)
    if printf '%s\n' "${report[@]}" | grep -q '^NOT RUN .*PostgreSQL 15: everything else'; then
        tests=(tests)
    fi
    DOCSESSION_TEST_FACES=alternate DOCSESSION_TEST_MAJOR=16 "$newer/python" "${pytest[@]}" "${parallel[@]}" "${tests[@]}"
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
    "$bin/python" "${pytest[@]}" -m containers tests/containers
)

# What frameworks and drivers may be as old as, which only their own bounds say.
in_lowest_versions() {
    if [ -z "$oldest" ]; then
        echo "There is no Python 3.11 here, for which the lowest versions are meant."
        return 77
    fi
    make --no-print-directory lowest
}

if [ -n "$oldest" ]; then
    scripts/venv.sh .venv-lowest lowest "$oldest" >/dev/null 2>&1 & # made meanwhile; the leg says what is wrong with it
fi
begin "ruff, import contracts" lint
begin "mypy" types
begin "documentation" documentation
finish
leg "$newer_python, Debian's PostgreSQL 15 behind pgbouncer: tests of sessions" through_pgbouncer
unpooled=$(printf '%s\n' "${report[@]}" | grep '^NOT RUN .*pgbouncer' || true)
leg "$newer_python, Debian's PostgreSQL 15: everything else" on_debian_15
leg "Python 3.11, embedded PostgreSQL 18: the lowest versions that are allowed" in_lowest_versions
# Containers are mostly waited for, above all where the engine has to be installed first.
begin "$newer_python, embedded PostgreSQL 16: what depends on the server" on_embedded_16
begin "$python, PostgreSQL in containers" in_containers
finish
printf '\n==== What was run\n'
printf '%s\n' "${report[@]}"
printf 'follows  %s, embedded PostgreSQL 18: whole suite\n\n' "$python"

if ! "$bin/python" "${pytest[@]}" "${parallel[@]}" tests; then
    failed+=("$python, embedded PostgreSQL 18: whole suite")
fi
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi

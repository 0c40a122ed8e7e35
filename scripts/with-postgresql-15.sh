#!/usr/bin/env bash
# with-postgresql-15.sh COMMAND…: run COMMAND with DOCSESSION_TEST_URL naming a throw-away cluster of Debian's
# PostgreSQL 15, which is gone afterwards. Exit code 77: there is no such PostgreSQL and it cannot be installed here.
set -euo pipefail

binaries=/usr/lib/postgresql/15/bin
[ -x "$binaries/initdb" ] || "$(dirname "$0")/debian-package.sh" postgresql-15
if [ ! -x "$binaries/initdb" ]; then
    echo "No PostgreSQL 15 in $binaries." >&2
    exit 77
fi

# initdb and the server refuse to run as root.
as_owner() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

folder=$(mktemp -d /tmp/docsession-15-XXXXXX)
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
fi

stop() {
    as_owner "$binaries/pg_ctl" --pgdata="$folder/data" --mode=immediate --silent stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
(
    umask 077
    echo "$password" >"$folder/password"
)
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder/password"
fi

cd "$folder"
as_owner "$binaries/initdb" --pgdata="$folder/data" --username=docsession --pwfile="$folder/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
cat >>"$folder/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 100
CONF
# Another program may take the port between the moment at which it was free and the start.
port=
for _ in 1 2 3 4 5; do
    free=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    if as_owner "$binaries/pg_ctl" --pgdata="$folder/data" --log="$folder/log" --wait --timeout=120 --silent \
        --options="-p $free" start >/dev/null; then
        port=$free
        break
    fi
done
if [ -z "$port" ]; then
    cat "$folder/log" >&2
    exit 1
fi
cd - >/dev/null

export DOCSESSION_TEST_URL="postgresql://docsession:$password@127.0.0.1:$port/postgres"
# Tests that start servers of their own take these.
export DOCSESSION_TEST_BINARIES=${binaries%/bin}
"$@"

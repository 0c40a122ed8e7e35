#!/usr/bin/env bash
# with-pgbouncer.sh COMMAND…: run COMMAND with pgbouncer, in transaction mode, in front of the PostgreSQL of
# DOCSESSION_TEST_URL. That variable then names pgbouncer, DOCSESSION_TEST_DIRECT_URL the PostgreSQL itself, and
# DOCSESSION_TEST_POOLER=1 lets the tests' stores have the documented setting. Debian's package is taken, and installed
# where that is possible. Exit code 77: there is no pgbouncer and it cannot be installed here.
#
#     scripts/with-postgresql-15.sh scripts/with-pgbouncer.sh python -m pytest -m "not direct" tests/db
set -euo pipefail

: "${DOCSESSION_TEST_URL:?names the PostgreSQL to put pgbouncer before}"
PATH=$PATH:/usr/sbin
command -v pgbouncer >/dev/null || "$(dirname "$0")/debian-package.sh" pgbouncer
if ! command -v pgbouncer >/dev/null; then
    echo "No pgbouncer here." >&2
    exit 77
fi

folder=$(mktemp -d /tmp/docsession-pgbouncer-XXXXXX)
pid=
stop() {
    if [ -n "$pid" ]; then
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

# Every role logs in with the password that PostgreSQL knows of it.
configure() {
    python3 - "$folder" "$DOCSESSION_TEST_URL" <<'PYTHON'
import os, socket, sys
from urllib.parse import parse_qs, unquote, urlsplit

folder, url = sys.argv[1:]
parts = urlsplit(url)
host = parts.hostname or parse_qs(parts.query)["host"][0]
port = parts.port or parse_qs(parts.query).get("port", ["5432"])[0]
user, password = unquote(parts.username), unquote(parts.password)
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    own = probe.getsockname()[1]
os.umask(0o077)
with open(f"{folder}/users", "w") as users:
    users.write(f'"{user}" "{password}"\n')
with open(f"{folder}/pgbouncer.ini", "w") as ini:
    ini.write(f"""\
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
pool_mode = transaction
auth_type = scram-sha-256
auth_file = {folder}/users
auth_user = {user}
auth_query = SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1
max_client_conn = 1000
default_pool_size = 40
server_reset_query_always = 0
logfile = {folder}/log
log_connections = 0
log_disconnections = 0
""")
with open(f"{folder}/url", "w") as out:
    out.write(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{own}", query="").geturl())
PYTHON
}

# pgbouncer refuses to run as root.
as_owner=()
if [ "$(id -u)" = 0 ]; then
    as_owner=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
fi

# Return when it answers; false where it has ended.
starts() {
    [ "$(id -u)" != 0 ] || chown -R postgres "$folder"
    "${as_owner[@]}" pgbouncer --quiet "$folder/pgbouncer.ini" &
    pid=$!
    local port
    port=$(cat "$folder/url")
    port=${port##*:}
    port=${port%%/*}
    while kill -0 "$pid" 2>/dev/null; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && kill -0 "$pid" 2>/dev/null; then
            return
        fi
        sleep 0.05
    done
    return 1
}

# Another program may take the port between the moment at which it was free and the start.
DOCSESSION_TEST_DIRECT_URL=$DOCSESSION_TEST_URL
for _ in 1 2 3 4 5; do
    configure
    if starts; then
        DOCSESSION_TEST_URL=$(cat "$folder/url")
        export DOCSESSION_TEST_URL DOCSESSION_TEST_DIRECT_URL DOCSESSION_TEST_POOLER=1
        "$@"
        exit
    fi
done
cat "$folder/log" >&2
exit 1

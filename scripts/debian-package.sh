#!/usr/bin/env bash
# debian-package.sh PACKAGE: install a package of Debian's, where that is possible; elsewhere nothing happens. Several may
# be asked for at the same time: one waits for the other.
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi
exec 9>"${TMPDIR:-/tmp}/docsession-debian-package.lock"
flock 9
if dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; then
    exit 0
fi
echo "Installing Debian's $1 …" >&2
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$1"; } >/dev/null 2>&1 || true

#!/usr/bin/env bash
# venv.sh FOLDER EXTRA [VERSION]: make a virtual environment and install this checkout into it, with an extra.
# Does nothing where that was done before and pyproject.toml is still the same. With `lowest` in place of an extra it is
# `test`, with everything in the lowest version that pyproject.toml allows.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1 extra=$2 version=${3:-}
stamp="$folder/.installed-$extra"

if [ -x "$folder/bin/python" ] && cmp -s pyproject.toml "$stamp"; then
    exit 0
fi

make_venv() {
    local python
    if ! python=$(scripts/find-python.sh "$version"); then
        echo "docsession needs Python ${version:-3.11 or newer}; none was found. Install one, or set PYTHON to its path." >&2
        exit 1
    fi
    echo "Making $folder with $("$python" --version) …" >&2
    "$python" -m venv "$folder" >/dev/null 2>&1 && return
    # Debian keeps the module that puts pip into a new environment in a package of its own.
    rm -rf "$folder"
    "$python" -m venv --without-pip "$folder" >/dev/null 2>&1 &&
        "$python" -m pip --python "$folder/bin/python" install --quiet pip >/dev/null 2>&1 && return
    rm -rf "$folder"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing python3-venv …" >&2
        { apt-get update && apt-get install -y --no-install-recommends python3-venv; } >/dev/null 2>&1 || true
        "$python" -m venv "$folder" >/dev/null 2>&1 && return
        rm -rf "$folder"
    fi
    echo "$python cannot make virtual environments; on Debian and Ubuntu, 'apt-get install python3-venv' helps." >&2
    exit 1
}

[ -x "$folder/bin/python" ] || make_venv
echo "Installing docsession[$extra] into $folder …" >&2
wanted=(--editable ".[$extra]")
if [ "$extra" = lowest ]; then
    constraints=$(mktemp)
    trap 'rm -f "$constraints"' EXIT
    "$folder/bin/python" scripts/lowest.py >"$constraints"
    wanted=(--constraint "$constraints" --editable ".[test]")
fi
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "${wanted[@]}" >&2
cp pyproject.toml "$stamp"

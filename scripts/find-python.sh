#!/usr/bin/env bash
# Print the path of a Python: of version $1 ("3.13"), or, without argument, of any from 3.11 on.
# Looked at: $PYTHON, PATH, and the versions that pyenv keeps. Exit code 1: there is none.
set -euo pipefail

wanted=${1:-}

fits() {
    "$1" - "$wanted" <<'PYTHON' 2>/dev/null
import sys
wanted = sys.argv[1]
if sys.version_info < (3, 11) or (wanted and wanted != "%d.%d" % sys.version_info[:2]):
    sys.exit(1)
print(sys.executable)
PYTHON
}

candidates() {
    local version folder
    [ -n "${PYTHON:-}" ] && echo "$PYTHON"
    for version in ${wanted:-3.11 3.12 3.13}; do
        echo "python$version"
        # A shim on PATH does not run for a version that is installed but not chosen.
        for folder in ${PYENV_ROOT:+"$PYENV_ROOT"} ${HOME:+"$HOME/.pyenv"} $(tr ':' '\n' <<<"$PATH" | sed -n 's,/shims/*$,,p'); do
            ls -d "$folder/versions/$version"*/bin/python3 2>/dev/null || true
        done
    done
    echo python3
    echo python
}

while read -r candidate; do
    if command -v "$candidate" >/dev/null && found=$(fits "$candidate"); then
        echo "$found"
        exit 0
    fi
done < <(candidates)
exit 1

#!/bin/sh
# Makes an empty virtual environment: tools/venv.sh DIR. Takes the newest Python that really runs; PYTHON= overrides.
set -eu

usable() {
    # A shim may stand on the path without a Python behind it, and Debian ships a Python without venv.
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if usable "$candidate"; then
        exec "$candidate" -m venv --clear "$1"
    fi
done

echo "No usable Python found (tried: ${PYTHON:-python3.13 python3.12 python3.11 python3})." >&2
echo "Needed: Python 3.11 or newer with its venv module (Debian: python3-venv), or PYTHON=/path/to/python." >&2
exit 1

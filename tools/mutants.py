"""Change the code in every small way and see whether a test notices; run by `make mutants`, in a copy of the tree.

    python tools/mutants.py resilience pool      run what is left to run, then print the table and the survivors

Each package is judged by the tests that `JUDGES` names for it, and exits with 1 where they notice too little. mutmut
keeps its results beside the copy, so that a run that was stopped goes on where it was; they are thrown away as soon as
the code or a test has changed, so that no result is older than what it is about.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "mutants"
TAKEN = ("src", "tests", "examples", "README.md", "LICENSE", "CHANGELOG.md")
JUDGES = {
    "resilience": ["tests/unit/resilience"],
    "pool": ["tests/unit/pool"],
}
LEAST = 0.9
"""The share of its mutants that a package's judges must notice."""
PATIENCE = "timeout_constant = 3.0\ntimeout_multiplier = 4.0\n"
"""A test run that takes four times as long as it does without a change, and 12 s more, is taken to run for ever."""
KILLED = ("killed", "timeout", "segfault", "caught_by_type_check")


def copy(package: str) -> Path:
    """A copy of the tree that is set up for one package, with the results of an earlier run of the same tree."""
    target = COPY / package
    settings = f"""
[tool.mutmut]
source_paths = ["src/trunkline/{package}/"]
pytest_add_cli_args_test_selection = {json.dumps(JUDGES[package])}
pytest_add_cli_args = ["-p", "no:cacheprovider"]
also_copy = {json.dumps([*TAKEN, "pyproject.toml"])}
{PATIENCE}"""
    project = (ROOT / "pyproject.toml").read_text("utf-8") + settings
    now = fingerprint(project)
    known = target / "fingerprint"
    if known.is_file() and known.read_text("utf-8") == now:
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in TAKEN:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    (target / "pyproject.toml").write_text(project, "utf-8")
    known.write_text(now, "utf-8")
    return target


def fingerprint(project: str) -> str:
    """Changes with the settings, the code and the tests."""
    digest = hashlib.sha256(project.encode())
    for path in sorted(path for name in ("src", "tests") for path in (ROOT / name).rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def outcomes(folder: Path) -> dict[str, str]:
    """What became of each mutant, by its name."""
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    found = (line.strip().rpartition(": ") for line in done.stdout.splitlines() if "__mutmut_" in line)
    return {name: outcome.replace(" ", "_") for name, _, outcome in found}


def report(package: str, found: dict[str, str]) -> bool:
    """Print what was noticed in each module, and what was not; whether it was enough."""
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    survivors = []
    for name, outcome in sorted(found.items()):
        modules[name.split(".")[2]]["killed" if outcome in KILLED else "survived"] += 1
        if outcome not in KILLED:
            survivors.append(f"{name}: {outcome}")
    total = sum(modules.values(), Counter[str]())
    print(f"\n{package}, judged by {' '.join(JUDGES[package])}")
    print(f"{'module':<24} {'mutants':>8} {'killed':>8} {'share':>7}")
    for module, count in [*sorted(modules.items()), (f"all of {package}", total)]:
        print(f"{module:<24} {count.total():>8} {count['killed']:>8} {count['killed'] / count.total():>7.1%}")
    print("\n".join(survivors))
    return total["killed"] >= LEAST * total.total()


def main() -> None:
    too_little = []
    for package in sys.argv[1:] or list(JUDGES):
        started = time.monotonic()
        folder = copy(package)
        environment = {**os.environ, "PYTHONPATH": ""}
        run = [sys.executable, "-m", "mutmut", "run", "--max-children", os.environ.get("CHILDREN", "2")]
        subprocess.run(run, cwd=folder, env=environment, check=True)
        if not report(package, outcomes(folder)):
            too_little.append(package)
        print(f"{(time.monotonic() - started) / 60:.0f} minutes")
    if too_little:
        sys.exit(f"less than {LEAST:.0%} of the mutants were noticed in: {', '.join(too_little)}")


if __name__ == "__main__":
    main()

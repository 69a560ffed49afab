"""Change the code in every small way and see whether a test notices; run by `make mutants`, in a copy of the tree.

    python tools/mutants.py resilience pool      run what is left to run, then print the table and the survivors

Each package is judged by the tests that are written for it alone. mutmut keeps its results beside the copy, so that a
run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "mutants"
TAKEN = ("src", "tests", "examples", "README.md", "LICENSE", "CHANGELOG.md")
JUDGES = {
    "resilience": ["tests/unit/resilience"],
    "pool": ["tests/unit/pool", "tests/unit/fleet"],
}
KILLED = ("killed", "timeout", "segfault", "caught_by_type_check")


def copy(package: str) -> Path:
    """A copy of the tree that is set up for one package."""
    target = COPY / package
    target.mkdir(parents=True, exist_ok=True)
    for name in TAKEN:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    settings = f"""
[tool.mutmut]
source_paths = ["src/trunkline/{package}/"]
pytest_add_cli_args_test_selection = {json.dumps(JUDGES[package])}
pytest_add_cli_args = ["-p", "no:cacheprovider"]
also_copy = {json.dumps([*TAKEN, "pyproject.toml"])}
"""
    (target / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8") + settings, "utf-8")
    return target


def outcomes(folder: Path) -> dict[str, str]:
    """What became of each mutant, by its name."""
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    found = (line.strip().rpartition(": ") for line in done.stdout.splitlines() if "__mutmut_" in line)
    return {name: outcome.replace(" ", "_") for name, _, outcome in found}


def main() -> None:
    failed = False
    for package in sys.argv[1:] or list(JUDGES):
        folder = copy(package)
        environment = {**os.environ, "PYTHONPATH": ""}
        run = [sys.executable, "-m", "mutmut", "run", "--max-children", os.environ.get("CHILDREN", "2")]
        subprocess.run(run, cwd=folder, env=environment, check=True)
        modules: dict[str, Counter[str]] = defaultdict(Counter)
        survivors = []
        for name, outcome in outcomes(folder).items():
            module = name.split(".")[2]
            modules[module]["killed" if outcome in KILLED else "survived"] += 1
            if outcome not in KILLED:
                survivors.append(f"{name}: {outcome}")
        print(f"\n{'module':<24} {'mutants':>8} {'killed':>8} {'share':>7}")
        for module, count in [*sorted(modules.items()), (f"all of {package}", sum(modules.values(), Counter()))]:
            print(f"{module:<24} {count.total():>8} {count['killed']:>8} {count['killed'] / count.total():>7.1%}")
        print("\n".join(survivors))
        total = sum(modules.values(), Counter())
        failed |= total["killed"] < 0.9 * total.total()
    sys.exit(failed)


if __name__ == "__main__":
    main()

"""The rules of this repository that no linter knows, checked over every file that git would track.

Prints `file:line: what is wrong` for each breach and exits 1; exits 0 in silence.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 250
"""Lines a source file may have: the seed's own number."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern that must not stand in any line of a file whose path matches `where`."""

    where: re.Pattern[str]
    pattern: re.Pattern[str]
    message: str


# Written in pieces, or this file would break its own rules.
HOSTS = "|".join(
    re.escape(".".join(parts))
    for parts in (("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs"), ("deb", "debian", "org"))
)
PATHS = "|".join("/" + part for part in ("work/", r"root/\.", r"tmp/\w+_jobs", r"home/\w+/"))

RULES = (
    Rule(re.compile(r"(?<!\.svg)$"), re.compile(HOSTS), "names a package registry's host"),
    Rule(re.compile(r"(?<!\.svg)$"), re.compile(rf"(?<![\w.}}-])(?:{PATHS})"), "names a path of one machine"),
    Rule(
        re.compile(r"^src/.*\.py$"),
        re.compile(r"\b(?:NotImplementedError|TODO|FIXME|XXX)\b"),
        "is unfinished",
    ),
    Rule(
        re.compile(r"^tests/.*\.py$"),
        re.compile(r"pytest\.(?:mark\.)?(?:skip|xfail|importorskip)|\btime\.sleep\("),
        "skips, expects to fail or sleeps",
    ),
)


def tracked() -> list[Path]:
    """Every file git tracks or would track, relative to the root, that is there."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = {Path(name) for name in listing.stdout.decode().split("\0") if name}
    return sorted(path for path in names if (ROOT / path).is_file())


def swallowed(lines: list[str]) -> Iterator[int]:
    """The line of each handler that catches every exception, lets none go on, and does not say why it may."""
    for node in ast.walk(ast.parse("\n".join(lines))):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
        widest = any(name is None or ast.unparse(name) in {"Exception", "BaseException"} for name in caught)
        passed_on = isinstance(node.body[-1], ast.Raise)
        if widest and not passed_on and "# boundary: " not in lines[node.lineno - 1]:
            yield node.lineno


def breaches(path: Path) -> Iterator[str]:
    """Each breach of a rule in one file."""
    if path.name == "uv.lock":
        yield f"{path}: records registry addresses; requirements/*.txt are the lock"
        return
    raw = (ROOT / path).read_bytes()
    if b"\0" in raw:
        return
    lines = raw.decode("utf-8").splitlines()
    if path.parts[0] == "src" and path.suffix == ".py":
        if len(lines) > LIMIT:
            yield f"{path}:{LIMIT + 1}: has {len(lines)} lines, the limit is {LIMIT}"
        for number in swallowed(lines):
            yield f"{path}:{number}: catches everything without `# boundary:` and its reason"
    rules = [rule for rule in RULES if rule.where.search(path.as_posix())]
    for number, line in enumerate(lines, start=1):
        for rule in rules:
            if rule.pattern.search(line):
                yield f"{path}:{number}: {rule.message}"


def main() -> int:
    """Print every breach; the exit status says whether there was one."""
    found = [breach for path in tracked() for breach in breaches(path)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

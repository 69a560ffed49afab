"""The fire drill's report: which promises it must have a row for, what the rows say, and on which machine they hold."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

__all__ = ["PROMISES", "Facts", "Row", "as_json", "missing_from", "table"]

PROMISES: Final = (
    *("R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R12"),
    *("METASTABLE", "HEDGE-TAIL", "P5", "STALE-IF-ERROR", "CACHE-INVALID", "MANY-CALLERS"),
)
"""Each has at least one row whenever the whole drill is run."""

_ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Row:
    """One promise under certain circumstances."""

    promise: str
    circumstances: str
    figures: str
    is_kept: bool

    @property
    def result(self) -> str:
        """In one word."""
        return "kept" if self.is_kept else "FAILED"


def missing_from(rows: Iterable[Row]) -> list[str]:
    """The promises that no row speaks of."""
    told = {row.promise for row in rows}
    return [promise for promise in PROMISES if promise not in told]


def _load() -> list[float]:
    return [round(load, 2) for load in os.getloadavg()]


def _commit() -> str | None:
    """What is checked out, with a plus sign where something has been changed since; None without git."""
    try:
        head, changes = (
            subprocess.run(["git", *words], cwd=_ROOT, check=True, capture_output=True, text=True, timeout=10).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.strip() + ("+" if changes else "")


class Facts:
    """Of the machine and of the run; made when it begins, told when it ends."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._load = _load()

    def told(self) -> dict[str, Any]:
        """`machine` and `run`."""
        now = datetime.now(UTC)
        return {
            "machine": {
                "cores": len(os.sched_getaffinity(0)),
                "load_average_at_start": self._load,
                "load_average_at_end": _load(),
                "python": platform.python_version(),
                "platform": platform.platform(),
            },
            "run": {
                "began": self._began.isoformat(timespec="seconds"),
                "seconds": round((now - self._began).total_seconds(), 1),
                "commit": _commit(),
                "trunkline": version("trunkline"),
                "mcp": version("mcp"),
                "STORM_SECONDS": os.environ.get("STORM_SECONDS"),
                "FUZZ_CASES": os.environ.get("FUZZ_CASES"),
                "CACHE_OPERATIONS": os.environ.get("CACHE_OPERATIONS"),
            },
        }


def as_json(rows: Iterable[Row], facts: Facts, missing: Collection[str]) -> str:
    """The whole report."""
    told = facts.told()
    told["missing"] = list(missing)
    told["promises"] = [asdict(row) | {"result": row.result} for row in rows]
    return json.dumps(told, indent=2) + "\n"


def table(rows: Iterable[Row], missing: Collection[str]) -> list[str]:
    """The rows in lines."""
    lines = [f"{row.promise:<10} {row.circumstances:<24} {row.result:<7} {row.figures}" for row in rows]
    return lines + [f"{promise:<10} {'':<24} MISSING no test of the drill reported it" for promise in missing]

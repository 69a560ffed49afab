"""What a faulty server did, as told by itself: one line per execution before its side effect, one after it.

The truth that reliability tests compare with: a call that "failed" and has an `after` line has run. Standard library
only, because the faulty servers write it and run as bare scripts. Bottom of `trunkline.testing`.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = ["Entry", "Journal", "Phase", "executions", "read"]

Phase: TypeAlias = Literal["before", "after", "cancelled", "spawned"]
"""`before` and `after` the side effect; `cancelled`: its client gave it up or left; `spawned`: a grandchild."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal."""

    op: str
    """The id the caller gave to the operation, or the tool's name where it gave none."""
    tool: str
    phase: Phase
    pid: int
    """Of the server; of the grandchild in a `spawned` line."""
    time: float
    """Seconds since the epoch: lines of several processes may be compared."""


class Journal:
    """Appends lines to a file that any number of processes may share; keeps nothing but counts without one.

    Each line is one write to a descriptor opened with O_APPEND, so lines of several processes never mix. They are
    not synced: they outlive the process, not the machine.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """Open or create `path`; raises OSError."""
        self.begun: Counter[str] = executions(path, "before") if path else Counter()
        """`before` lines by op, those of earlier processes with the same file included."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if path else None

    def __repr__(self) -> str:
        return f"<Journal [{self.begun.total()} begun]>"

    def record(self, op: str, tool: str, phase: Phase, *, pid: int | None = None) -> None:
        """Append one line; `pid` is this process unless given."""
        self.begun[op] += phase == "before"
        if self._file is not None:
            entry = Entry(op, tool, phase, os.getpid() if pid is None else pid, time.time())
            os.write(self._file, json.dumps(asdict(entry)).encode() + b"\n")


def read(path: str | Path) -> list[Entry]:
    """All lines of a journal in the order they were written; none when the file does not exist yet."""
    try:
        lines = Path(path).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [Entry(**json.loads(line)) for line in lines]


def executions(path: str | Path, phase: Phase = "after") -> Counter[str]:
    """How often each op reached `phase`: by default, how often its side effect happened."""
    return Counter(entry.op for entry in read(path) if entry.phase == phase)

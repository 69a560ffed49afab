"""How a command ends: one number, for scripts, and one readable line on standard error for each problem."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from trunkline.registry.wording import printable

__all__ = ["EXIT_CODES", "FAILED", "FINE", "INTERRUPTED", "TOOL_ERROR", "WRONG_USE", "CommandError", "complain"]

FINE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
TOOL_ERROR: Final = 3
INTERRUPTED: Final = 130

EXIT_CODES: Final = (
    (FINE, "all is well; for serve and top also: asked to stop"),
    (FAILED, "a server, the gateway, its port, a file or the call failed, or a tool is not as it was accepted"),
    (WRONG_USE, "a mistake in the command line or in the configuration"),
    (TOOL_ERROR, "the tool ran and answered with an error of its own"),
    (INTERRUPTED, "interrupted before it was done"),
)
"""Every exit status and its meaning, as `--help` shows them."""


class CommandError(Exception):
    """Ends a command: `problems`, one readable line each, are told, and `status` is its exit status."""

    def __init__(self, problems: Iterable[str], status: int = WRONG_USE) -> None:
        self.problems = tuple(problems)
        self.status = status
        super().__init__("\n".join(self.problems))


def complain(problem: str) -> None:
    """Write `trunkline: problem` as one line to standard error; a server's words in it cannot steer the terminal."""
    words = printable(" ".join(problem.split()))
    sys.stderr.write(f"trunkline: {words}\n")
    sys.stderr.flush()

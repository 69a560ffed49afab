"""`trunkline check`: whether the configuration is valid and every server answers."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from typing import Final

import anyio

from trunkline.cli.config_file import read
from trunkline.cli.connecting import Outcome, open_all
from trunkline.cli.exits import FAILED, FINE, complain
from trunkline.cli.output import cell, print_json, print_table
from trunkline.config import Settings
from trunkline.errors import TrunklineError
from trunkline.sharing import Sharing

__all__ = ["RedisOutcome", "run"]

_REDIS: Final = "(redis)"
"""How it is called among the servers: no server can have this name."""
_PATIENCE: Final = 3.0
"""Seconds a Redis may take to be connected."""


@dataclass(frozen=True, slots=True)
class RedisOutcome:
    """How the try to use the shared cache went."""

    ok: bool
    seconds: float
    """From when the servers had been asked."""
    reason: str
    """Empty where all is well."""


def run(options: argparse.Namespace) -> int:
    """Connect and report; 0 where every server, and a Redis if one is configured, answered, and no tool is refused.

    Else 1.

    Raises:
        CommandError: The configuration is not valid.
    """
    settings = read(options.config)
    for notice in settings.notices:
        complain(f"notice: {notice}")
    outcomes, redis, refused = anyio.run(_check, settings)
    if options.json:
        servers = [asdict(outcome) for outcome in outcomes]
        shared = None if redis is None else asdict(redis)
        print_json(
            {
                "config": settings.source,
                "notices": list(settings.notices),
                "servers": servers,
                "redis": shared,
                "refused": refused,
            }
        )
    elif outcomes or redis:
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
        if redis is not None:
            rows.append((_REDIS, "ok" if redis.ok else "failed", f"{redis.seconds:.2f} s", "-", "-", redis.reason))
        print_table(("SERVER", "RESULT", "TIME", "ERA", "TOOLS", "REASON"), rows)
    for outcome in outcomes:
        if not outcome.ok:
            complain(f"{outcome.server}: {outcome.reason}")
    if redis is not None and not redis.ok:
        complain(f"{_REDIS}: {redis.reason}; calls are served without it, and nothing is shared")
    if refused:
        complain(refused)
    is_well = all(outcome.ok for outcome in outcomes) and (redis is None or redis.ok) and not refused
    return FINE if is_well else FAILED


async def _check(settings: Settings) -> tuple[tuple[Outcome, ...], RedisOutcome | None, str]:
    async with open_all(settings) as opened:
        sharing = opened.infra.sharing
        redis = await _asked(sharing) if sharing.is_configured else None
        return opened.outcomes(), redis, opened.infra.registry.acceptance.summary()


async def _asked(sharing: Sharing) -> RedisOutcome:
    started, reason = anyio.current_time(), ""
    try:
        await sharing.check(_PATIENCE)
    except TrunklineError as error:
        reason = str(error)
    return RedisOutcome(not reason, anyio.current_time() - started, reason)

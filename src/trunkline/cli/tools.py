"""`trunkline tools`: every tool of every server, and which servers gave none, and why."""

from __future__ import annotations

import argparse
from dataclasses import asdict

import anyio

from trunkline.cache.plan import policy_for
from trunkline.cli.config_file import read
from trunkline.cli.connecting import open_all
from trunkline.cli.exits import FAILED, FINE, complain
from trunkline.cli.output import cell, print_json, print_table
from trunkline.config import Settings
from trunkline.infrastructure import Infrastructure
from trunkline.registry.tool import Tool

__all__ = ["run"]

_HINTS = (
    ("read_only_hint", "read-only"),
    ("idempotent_hint", "idempotent"),
    ("destructive_hint", "destructive"),
    ("open_world_hint", "open-world"),
)


def run(options: argparse.Namespace) -> int:
    """Print the tools; 0, or 1 where a server could not be reached. Raises `CommandError`."""
    return anyio.run(_tools, read(options.config), options.json)


async def _tools(settings: Settings, as_json: bool) -> int:
    async with open_all(settings) as opened:
        failed = [outcome for outcome in opened.outcomes() if not outcome.ok]
        found = opened.infra.registry.tools()
        if as_json:
            print_json(
                {
                    "tools": [_described(opened.infra, tool) for tool in found],
                    "failed": [{"server": outcome.server, "reason": outcome.reason} for outcome in failed],
                }
            )
        elif found:
            rows = [_row(opened.infra, tool) for tool in found]
            print_table(("NAME", "SERVER", "AVAILABILITY", "HINTS", "CACHE", "DESCRIPTION"), rows)
        if refused := opened.infra.registry.acceptance.summary():
            complain(refused)
        for outcome in failed:
            complain(f"{outcome.server}: gave no tools: {outcome.reason}")
        if not settings.servers:
            complain(f"{settings.source}: no server is configured, so there are no tools; name one under mcpServers")
    return FAILED if failed else FINE


def _hints(tool: Tool) -> list[str]:
    hints = tool.definition.annotations
    return [] if hints is None else [word for field, word in _HINTS if getattr(hints, field)]


def _row(infra: Infrastructure, tool: Tool) -> tuple[str, ...]:
    found = infra.registry.acceptance.of(tool)
    state = "refused" if found and found.is_refused else infra.registry.availability(tool.name).state
    hints = ",".join(_hints(tool)) or "-"
    ttl = _ttl(infra, tool)
    kept = "-" if ttl is None else f"{ttl:g} s"
    return cell(tool.name, 128), tool.server, state, hints, kept, cell(tool.definition.description or "")


def _ttl(infra: Infrastructure, tool: Tool) -> float | None:
    """Seconds its answers are fresh; None where they are not kept."""
    server = infra.mcp_client.fleet.policy_of(tool.server)
    policy = policy_for(tool.policy, server, tool.definition.annotations)
    return policy.ttl if policy is not None and infra.settings.cache.enabled else None


def _described(infra: Infrastructure, tool: Tool) -> dict[str, object]:
    return {
        "name": tool.name,
        "server": tool.server,
        "availability": asdict(infra.registry.availability(tool.name)),
        "mismatch": None if (found := infra.registry.acceptance.of(tool)) is None else asdict(found),
        "hints": _hints(tool),
        "repeatable": tool.repeatable,
        "cache_ttl": _ttl(infra, tool),
        "definition": tool.shown.model_dump(mode="json", by_alias=True, exclude_none=True),
    }

"""`trunkline call`: one call through the whole stack; its result on standard output, its provenance beside it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

import anyio
from mcp_types import TextContent

from trunkline.call import CacheMode, Provenance, ToolResult
from trunkline.cli.config_file import read
from trunkline.cli.connecting import open_for_call
from trunkline.cli.exits import FAILED, FINE, TOOL_ERROR, CommandError
from trunkline.cli.output import print_json, shown
from trunkline.config import Settings
from trunkline.errors import CallError, InvalidArguments, ToolNotFound

__all__ = ["run"]

_DOMAIN = "cli"


def run(options: argparse.Namespace) -> int:
    """Call and print; 0, or 3 where the tool answered with an error. Raises `CommandError`."""
    *config, tool, text = _three(options.words)
    arguments = _arguments(sys.stdin.read() if text == "-" else text)
    settings = read(config[0] if config else None)
    result = anyio.run(_call, settings, tool, arguments, options.timeout, options.cache)
    if options.json:
        told = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        print_json({"result": told, "provenance": asdict(result.provenance)})
    else:
        _print(result)
        sys.stderr.write(f"{_summary(result.provenance)}\n")
    return TOOL_ERROR if result.is_error else FINE


async def _call(
    settings: Settings, tool: str, arguments: dict[str, Any], timeout: float | None, cache: CacheMode
) -> ToolResult:
    async with open_for_call(settings) as infra:
        try:
            return await infra.mcp_client.call_tool(tool, arguments, timeout=timeout, domain=_DOMAIN, cache=cache)
        except CallError as error:
            raise CommandError(_problems(error), FAILED) from error


def _three(words: list[str]) -> list[str]:
    if len(words) not in (2, 3):
        problem = (
            f"call takes [CONFIG] TOOL JSON, found {len(words)} {'word' if len(words) == 1 else 'words'}; "
            "quote the JSON, and give '{}' for a tool without arguments; see trunkline call --help"
        )
        raise CommandError([problem])
    return words


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        problem = f"the arguments are not JSON: {error.msg} at {place}; give an object such as '{{\"name\": 1}}'"
        raise CommandError([problem]) from error
    except RecursionError as error:
        raise CommandError(["the arguments are not JSON that can be read: they are nested too deeply"]) from error
    if not isinstance(found, dict):
        problem = f"the arguments must be a JSON object such as '{{\"name\": 1}}', found {type(found).__name__}"
        raise CommandError([problem])
    return found


def _problems(error: CallError) -> list[str]:
    match error:
        case InvalidArguments():
            return [f"{error.tool or 'the tool'}: {problem}" for problem in error.problems] or [str(error)]
        case ToolNotFound():
            meant = ", ".join(name for name in error.suggestions if name not in str(error))
            return [f"{error}; {f'nearest names: {meant}; ' if meant else ''}see trunkline tools"]
    notes = [str(error), "the tool may have run" if error.may_have_run else "the tool has not run"]
    if error.retry_after is not None:
        notes.append(f"worth another try in {error.retry_after:.1f} s")
    return ["; ".join(notes)]


def _print(result: ToolResult) -> None:
    for block in result.content:
        if isinstance(block, TextContent):
            print(shown(block.text))
        else:
            print(shown(block.model_dump_json(by_alias=True, exclude_none=True)))
    if not result.content and result.structured_content is not None:
        print_json(result.structured_content)


def _summary(told: Provenance) -> str:
    attempts = f"{told.attempts} attempt" if told.attempts == 1 else f"{told.attempts} attempts"
    parts = [f"server {told.server}", attempts, f"{told.duration * 1000:.0f} ms"]
    if told.replica is not None:
        parts.insert(1, f"replica {told.replica}")
    if told.cache != "bypass":
        parts.append(f"cache {told.cache}")
    if told.degraded:
        parts.append(f"degraded, answered by {told.fallback or 'a stale entry'}")
    return "; ".join(parts)

"""`trunkline pin`: which tools are not what was accepted, what they are now, and to accept them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import anyio

from trunkline.cli.config_file import read
from trunkline.cli.connecting import Outcome, open_all
from trunkline.cli.exits import FAILED, FINE, CommandError, complain
from trunkline.cli.output import print_json, print_table
from trunkline.config import Settings
from trunkline.config.pins import DEFAULT_NAME, pins_path, read_pins, write_pins
from trunkline.errors import ConfigError
from trunkline.policy import NamePatterns, PinPolicy, PinSettings
from trunkline.registry.fingerprint import PARTS
from trunkline.registry.pins import Accepted, Pins, compared, in_words
from trunkline.registry.tool import Tool, shown_name
from trunkline.registry.wording import nearest, printable, quoted

__all__ = ["run"]

_State: TypeAlias = Literal["accepted", "changed", "new", "gone"]
_LONGEST: Final = 4000
"""Characters of one part of a definition that are shown; --json has all of them."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One tool, listed or accepted."""

    name: str
    server: str
    target: str
    state: _State
    parts: tuple[str, ...] = ()
    """What has changed."""
    tool: Tool | None = None
    """As it is now; None for one that is gone."""


def run(options: argparse.Namespace) -> int:
    """Compare, and accept what is to be; 0 where every tool is as accepted then, and every server answered; else 1.

    Raises:
        CommandError: A file is not valid or cannot be written, or nothing has the name that is to be accepted.
    """
    settings = read(options.config)
    named, folder = pins_path(settings), Path(settings.source).parent
    path = Path(options.file) if options.file else named or folder / DEFAULT_NAME
    try:
        before = read_pins(path)
    except ConfigError as error:
        raise CommandError(error.problems) from error
    rows, outcomes = anyio.run(_compared, settings, before or {})
    # A first run has nothing to compare with: it takes what there is.
    asked = ["*"] if options.accept == [] or (options.accept is None and before is None) else options.accept or []
    chosen = _chosen(rows, asked)
    if chosen:
        _write(path, _with(before or {}, chosen))
    left = [row for row in rows if row not in chosen and row.state != "accepted"]
    failed = [outcome for outcome in outcomes if not outcome.ok]
    (_print_json if options.json else _print)(path, chosen, left, rows, failed)
    for outcome in failed:
        complain(f"{outcome.server}: {outcome.reason}; what was accepted of it stays")
    if chosen and (named is None or named.resolve() != path.resolve()):
        where = json.dumps({"trunkline": {"pins": {"file": os.path.relpath(path, folder)}}})
        complain(f"notice: nothing is compared with {path} until {settings.source} names it: {where}")
    return FAILED if left or failed else FINE


async def _compared(settings: Settings, accepted: Accepted) -> tuple[list[_Row], tuple[Outcome, ...]]:
    async with open_all(replace(settings, pins=PinSettings())) as opened:
        outcomes = opened.outcomes()
        pinned = [name for name, server in settings.servers.items() if server.policy.pins.enabled]
        tools = [tool for tool in opened.infra.registry.tools() if tool.server in pinned]
        rows = [_row(tool, Pins(accepted)) for tool in tools]
        there = {(tool.server, tool.target) for tool in tools}
        for name in (outcome.server for outcome in outcomes if outcome.ok and outcome.server in pinned):
            prefix = settings.servers[name].policy.prefix
            rows += [
                _Row(shown_name(name, prefix, target), name, target, "gone")
                for target in accepted.get(name, {})
                if (name, target) not in there
            ]
        return rows, outcomes


def _row(tool: Tool, pins: Pins) -> _Row:
    found = compared(tool, pins, PinPolicy(), now=0.0)
    state: _State = "accepted" if found is None else "changed" if found.parts else "new"
    return _Row(tool.name, tool.server, tool.target, state, () if found is None else found.parts, tool)


def _chosen(rows: Sequence[_Row], names: Sequence[str]) -> list[_Row]:
    """The rows to accept; raises CommandError for a name that no tool has."""
    known = [row.name for row in rows]
    for name in names:
        if name != "*" and not any(map(NamePatterns([name]).fit, known)):
            near = nearest(name, known)
            meant = f"did you mean {near[0]}?" if near else "CONFIG stands before --accept"
            raise CommandError([f"--accept: no tool is called {quoted(name)}, and none was accepted so; {meant}"])
    wanted = NamePatterns(names)
    return [row for row in rows if row.state != "accepted" and wanted.fit(row.name)]


def _with(accepted: Accepted, chosen: Iterable[_Row]) -> Accepted:
    """What is accepted once these rows are, too."""
    found = {server: dict(tools) for server, tools in accepted.items()}
    for row in chosen:
        tools = found.setdefault(row.server, {})
        if row.tool is None:
            del tools[row.target]
        else:
            tools[row.target] = row.tool.parts
    return {server: tools for server, tools in found.items() if tools}


def _write(path: Path, accepted: Accepted) -> None:
    try:
        write_pins(path, accepted)
    except OSError as error:
        raise CommandError([f"{path}: cannot be written ({error.strerror}); nothing was accepted"], FAILED) from error


def _print(
    path: Path, chosen: Sequence[_Row], left: Sequence[_Row], rows: Sequence[_Row], failed: Sequence[Outcome]
) -> None:
    if chosen:
        print(f"{path}: accepted {_count(len(chosen))}")
        print_table(("TOOL", "SERVER", "WAS"), [(row.name, row.server, _told(row)) for row in chosen])
    # What was accepted is shown again: it may be another than what was looked at before.
    for row in (*(row for row in chosen if row.parts), *left):
        print(f"{row.name} of server {row.server}: {_told(row)}")
        for line in _details(row):
            print(f"  {line}")
    if left:
        print(f"{_count(len(left))} not as accepted in {path}; accept with: --accept {left[0].name}, all: --accept")
    elif not chosen and not failed:
        print(f"{path}: {_count(len(rows))}, all as accepted")


def _count(tools: int) -> str:
    return f"{tools} tool" if tools == 1 else f"{tools} tools"


def _told(row: _Row) -> str:
    return f"changed {in_words(row.parts)}" if row.parts else row.state


def _details(row: _Row) -> Iterator[str]:
    """What it says now, line by line, where that is not what was accepted: it is for people to judge."""
    if row.tool is None:
        return
    definition = row.tool.definition.model_dump(mode="json", by_alias=True, exclude_none=True)
    for part in row.parts or row.tool.parts:
        told = definition.get(part)
        text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
        cut = f" … ({len(text)} characters in all)" if len(text) > _LONGEST else ""
        first, *rest = printable(text[:_LONGEST], breaks=True).splitlines() or [""]
        yield from (f"{PARTS[part]}: {first}", *(f"  {line}" for line in rest))
        if cut:
            yield f"  {cut.strip()}"


def _print_json(
    path: Path, chosen: Sequence[_Row], left: Sequence[_Row], rows: Sequence[_Row], failed: Sequence[Outcome]
) -> None:
    print_json(
        {
            "file": str(path),
            "accepted": [row.name for row in chosen],
            "different": [_described(row) for row in left],
            "tools": len(rows),
            "failed": [{"server": outcome.server, "reason": outcome.reason} for outcome in failed],
        }
    )


def _described(row: _Row) -> dict[str, Any]:
    tool = row.tool
    definition = None if tool is None else tool.definition.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "name": row.name,
        "server": row.server,
        "state": row.state,
        "parts": list(row.parts),
        "definition": definition,
    }

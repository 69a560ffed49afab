"""The tools that somebody has accepted, and what a tool differs in that is not as it was accepted. Pure.

The defence against a server that first shows a harmless tool and later another one under its name: descriptions are
read by models, which do as they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from trunkline.policy import PinPolicy
from trunkline.registry.fingerprint import PARTS
from trunkline.registry.tool import Tool

__all__ = ["Accepted", "Mismatch", "Pins", "compared", "in_words"]

Accepted: TypeAlias = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Fingerprints of parts, see `part_fingerprints`, by server and by the server's own name of the tool."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What was accepted, and where that stands."""

    tools: Accepted = field(default_factory=lambda: MappingProxyType({}), repr=False)
    file: str = "the pins file"
    """As people call it."""
    exists: bool = True
    """Whether there is such a file; without one nothing has been accepted."""
    command: str = "trunkline pin CONFIG"
    """What a person types to see what differs; with `--accept NAME` it accepts."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How a tool differs from what was accepted."""

    parts: tuple[str, ...]
    """What has changed, of `PARTS`; empty for a tool that was never accepted."""
    is_refused: bool
    reason: str
    """In words: what differs from which file."""
    command: str
    """What accepts it."""
    since: float
    """Seconds since the epoch at which it was first found."""


def compared(tool: Tool, pins: Pins, policy: PinPolicy, now: float) -> Mismatch | None:
    """How `tool` differs from `pins`, found at `now` (seconds since the epoch); None where it does not."""
    if not policy.enabled:
        return None
    accepted = pins.tools.get(tool.server, {}).get(tool.target)
    command = f"{pins.command} --accept {tool.name}"
    if accepted is None:
        missing = "" if pins.exists else ", which does not exist"
        return Mismatch((), policy.new == "refuse", f"it is not in {pins.file}{missing}", command, now)
    parts = tuple(part for part in PARTS if accepted.get(part) != tool.parts.get(part))
    if not parts:
        return None
    reason = f"its {in_words(parts)} changed since it was accepted in {pins.file}"
    return Mismatch(parts, policy.changed == "refuse", reason, command, now)


def in_words(parts: Iterable[str]) -> str:
    """Some of `PARTS` in a sentence: "description and input schema"."""
    *first, last = (PARTS[part] for part in parts)
    return f"{', '.join(first)} and {last}" if first else last

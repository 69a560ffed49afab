"""What one server last said its tools are: bounded, without duplicates, each with its fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import mcp_types

from trunkline.registry.fingerprint import fingerprint
from trunkline.registry.wording import listed

__all__ = ["MAX_TOOLS", "Listing", "read_listing"]

MAX_TOOLS: Final = 10_000
"""Tools of one server that are kept; the rest is dropped."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One server's tools by the names it uses itself, in its own order."""

    definitions: Mapping[str, mcp_types.Tool] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()
    """What was wrong with the listing: (`duplicate` or `dropped`, a line about it)."""

    def __repr__(self) -> str:
        return f"<Listing [{len(self.definitions)} tools, {len(self.notes)} notes]>"


def read_listing(tools: Sequence[mcp_types.Tool]) -> Listing:
    """Take over what a server sent, all pages together. Of tools with the same name the last wins."""
    definitions: dict[str, mcp_types.Tool] = {}
    fingerprints: dict[str, str] = {}
    repeated: dict[str, None] = {}
    broken: dict[str, None] = {}
    surplus = 0
    for tool in tools:
        if tool.name not in definitions and len(definitions) >= MAX_TOOLS:
            surplus += 1
            continue
        try:
            print_of = fingerprint(tool)
        except ValueError:
            broken[tool.name] = None
            continue
        if tool.name in definitions:
            repeated[tool.name] = None
        definitions[tool.name] = tool
        fingerprints[tool.name] = print_of
    notes = []
    if repeated:
        notes.append(("duplicate", f"listed more than once, the last one counts: {listed(repeated)}"))
    if broken:
        notes.append(("dropped", f"without a JSON form: {listed(broken)}"))
    if surplus:
        notes.append(("dropped", f"{surplus} tools beyond the first {MAX_TOOLS}"))
    return Listing(definitions, fingerprints, tuple(notes))

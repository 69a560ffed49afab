"""One tool as callers see it: its shown name, where it lives, its fingerprint, and whether it may run twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import mcp_types

from trunkline.policy import ServerPolicy, ToolPolicy
from trunkline.registry.fingerprint import part_fingerprints
from trunkline.registry.problems import RESULT
from trunkline.registry.schema import SchemaValidator, compile_schema
from trunkline.registry.wording import printable

__all__ = ["MAX_NAME", "Tool", "is_repeatable", "shown_name", "shown_prefix"]

MAX_NAME: Final = 128
"""Characters of a shown name (MCP 2025-11-25, "Tool Names")."""
_IN_HEADERS: Final = "x-mcp-header"
"""Marks such an argument in a schema (MCP 2026-07-28, "Streamable HTTP")."""
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True)
class Tool:
    """A tool of a server under the name it is called by. Not slotted: the compiled schema is kept beside the fields."""

    name: str
    """As shown to callers."""
    server: str
    target: str
    """The name the server itself uses."""
    definition: mcp_types.Tool = field(repr=False, hash=False)
    """As the server sent it."""
    fingerprint: str = field(repr=False)
    repeatable: bool
    """Whether running it twice is known to be harmless."""
    policy: ToolPolicy = field(default_factory=ToolPolicy, repr=False)

    @cached_property
    def validator(self) -> SchemaValidator:
        """Checks arguments against the input schema; compiled at its first use."""
        return compile_schema(self.definition.input_schema)

    @cached_property
    def result_problems(self) -> Callable[[Any], tuple[str, ...]] | None:
        """What the output schema finds wrong with structured content; None where there is no such schema."""
        schema = self.definition.output_schema
        return None if schema is None else compile_schema(schema, RESULT).problems

    @cached_property
    def mirrors_arguments(self) -> bool:
        """Whether arguments may have to be repeated in the headers of a call, for proxies on its way to read there."""
        return _IN_HEADERS in json.dumps(self.definition.input_schema)

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """The fingerprint of each part of the definition, see `part_fingerprints`; taken at its first use."""
        return part_fingerprints(self.definition)

    @cached_property
    def shown(self) -> mcp_types.Tool:
        """The definition for listings: under the shown name, texts without control characters. Not to be changed."""
        told = self.definition
        changes: dict[str, Any] = {"name": self.name}
        if told.title is not None:
            changes["title"] = printable(told.title)
        if told.description is not None:
            changes["description"] = printable(told.description, breaks=True)
        if told.annotations is not None and told.annotations.title is not None:
            title = printable(told.annotations.title)
            changes["annotations"] = told.annotations.model_copy(update={"title": title})
        return told.model_copy(update=changes)


def is_repeatable(definition: mcp_types.Tool, server: ServerPolicy, tool: ToolPolicy) -> bool:
    """Whether the tool may run twice: the configuration's word, else a trusted server's annotations, else no."""
    if tool.idempotent is not None:
        return tool.idempotent
    hints = definition.annotations
    return bool(server.trust_annotations and hints is not None and (hints.read_only_hint or hints.idempotent_hint))


def shown_prefix(server: str, prefix: str | None) -> str:
    """What stands before a server's own tool names: `<prefix>_`, the server's name for None, nothing for ""."""
    before = server if prefix is None else prefix
    return _UNFIT.sub("_", f"{before}_") if before else ""


def shown_name(server: str, prefix: str | None, target: str) -> str:
    """The name callers use: the prefix and the server's own name for the tool, one underscore for want of both.

    Characters outside A-Z a-z 0-9 _ . - become underscores; at most 128 characters remain.
    """
    return f"{shown_prefix(server, prefix)}{_UNFIT.sub('_', target)}"[:MAX_NAME] or "_"

"""The tool registry: which tools there are, whether they can be called, and what they take."""

from __future__ import annotations

from trunkline.registry.availability import Availability, AvailabilityState, HistoryEntry, RegistryChange
from trunkline.registry.schema import ArgumentValidator, compile_schema
from trunkline.registry.tool import Tool, fingerprint
from trunkline.registry.tool_registry import ToolRegistry

__all__ = [
    "ArgumentValidator",
    "Availability",
    "AvailabilityState",
    "HistoryEntry",
    "RegistryChange",
    "Tool",
    "ToolRegistry",
    "compile_schema",
    "fingerprint",
]

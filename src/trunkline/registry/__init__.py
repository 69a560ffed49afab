"""The tool registry: which tools there are, whether they can be called, and what they take."""

from __future__ import annotations

from trunkline.registry.availability import Availability, AvailabilityState, HistoryEntry, RegistryChange
from trunkline.registry.schema import SchemaValidator, compile_schema
from trunkline.registry.tool import Tool, fingerprint
from trunkline.registry.tool_registry import ToolRegistry

__all__ = [
    "Availability",
    "AvailabilityState",
    "HistoryEntry",
    "RegistryChange",
    "SchemaValidator",
    "Tool",
    "ToolRegistry",
    "compile_schema",
    "fingerprint",
]

"""The tool registry: which tools there are, whether they can be called, and what they take."""

from __future__ import annotations

from trunkline.registry.availability import Availability, AvailabilityState, HistoryEntry, RegistryChange
from trunkline.registry.fingerprint import PARTS, fingerprint, part_fingerprints
from trunkline.registry.pins import Mismatch, Pins
from trunkline.registry.schema import SchemaValidator, compile_schema
from trunkline.registry.tool import Tool
from trunkline.registry.tool_registry import ToolRegistry

__all__ = [
    "PARTS",
    "Availability",
    "AvailabilityState",
    "HistoryEntry",
    "Mismatch",
    "Pins",
    "RegistryChange",
    "SchemaValidator",
    "Tool",
    "ToolRegistry",
    "compile_schema",
    "fingerprint",
    "part_fingerprints",
]

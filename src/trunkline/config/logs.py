"""The table `trunkline.logging`: what `trunkline serve` logs, and in which form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trunkline.config.lines import KeyPath
from trunkline.config.policies import overlay
from trunkline.config.report import Report
from trunkline.policy import LOG_LEVELS, LoggingPolicy, is_log_level

__all__ = ["read_logging"]

_PATH: Final[KeyPath] = ("trunkline", "logging")


def read_logging(table: object, report: Report) -> LoggingPolicy:
    """Return the policy that the table `trunkline.logging` gives; what does not fit is reported."""
    if isinstance(table, Mapping) and isinstance(table.get("levels"), Mapping):
        table = {**table, "levels": _known_levels(table["levels"], report)}
    return overlay(LoggingPolicy(), table, _PATH, report)


def _known_levels(levels: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The levels without those that are none, which are reported one by one."""
    for name, level in levels.items():
        if not is_log_level(level):
            report.mismatch((*_PATH, "levels", name), ", ".join(f'"{known}"' for known in LOG_LEVELS))
    return {name: level for name, level in levels.items() if is_log_level(level)}

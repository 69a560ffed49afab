"""What is logged, and in which form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from trunkline.policy.checks import positive, require

__all__ = ["LOG_LEVELS", "LogFormat", "LoggingPolicy", "RepeatsPolicy", "is_log_level"]

LogFormat: TypeAlias = Literal["console", "json", "auto"]

LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
"""From the most to the least that is logged; capital letters will do as well."""

_EXPECTED: Final = ", ".join(f'"{level}"' for level in LOG_LEVELS)


def is_log_level(level: object) -> bool:
    """Whether it names a level, or is the number of one."""
    if isinstance(level, str):
        return level.lower() in LOG_LEVELS
    return isinstance(level, int) and not isinstance(level, bool) and level >= 0


@dataclass(frozen=True, slots=True)
class RepeatsPolicy:
    """How many records alike are written: of one logger, level, message, server and replica. Never limits DEBUG."""

    enabled: bool = True
    burst: int = 10
    """Records alike that are written within `interval`; of the rest only their number is told."""
    interval: float = 10.0
    """Seconds, from the first of them."""

    def __post_init__(self) -> None:
        positive(self, "burst", "interval")


@dataclass(frozen=True, slots=True)
class LoggingPolicy:
    """The log of a process that is ours: `trunkline serve`, or a program that calls `configure_logging`."""

    level: str | int = "info"
    """What is less severe is not logged: `debug`, `info`, `warning`, `error`, `critical`, or a number."""
    format: LogFormat = "console"
    """One line for people, one JSON object a line, or `auto`: for people on a terminal, else JSON."""
    levels: Mapping[str, str | int] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Levels of single loggers and what is below them, as `{ "trunkline.call" = "debug" }`."""
    repeats: RepeatsPolicy = field(default_factory=RepeatsPolicy)
    """How many records alike are written, see below."""

    def __post_init__(self) -> None:
        require(is_log_level(self.level), "level", self.level, _EXPECTED)
        for name, level in self.levels.items():
            require(is_log_level(level), "levels", {name: level}, f"for each logger one of {_EXPECTED}")
        choices = ("console", "json", "auto")
        require(self.format in choices, "format", self.format, " or ".join(f'"{choice}"' for choice in choices))

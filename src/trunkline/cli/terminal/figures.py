"""Numbers and moments as a person reads them at a glance. A dash stands for what is not known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

__all__ = ["UNKNOWN", "ago", "clock", "duration", "number", "share", "spark"]

UNKNOWN: Final = "-"
_BARS: Final = "▁▂▃▄▅▆▇█"
_DAY: Final = 86_400


def number(value: float | None) -> str:
    """A rate or a count: "0.3", "12", "1,204"."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f}" if 0 < abs(value) < 10 and value % 1 else f"{value:,.0f}"


def share(ratio: float | None) -> str:
    """A ratio as a percentage: "0 %", "0.4 %", "12 %"."""
    if ratio is None:
        return UNKNOWN
    percent = ratio * 100
    return f"{percent:.1f} %" if 0 < percent < 10 else f"{percent:.0f} %"


def duration(seconds: float | None) -> str:
    """How long something took: "0.4 ms", "21 ms", "1.2 s", "45 s"."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def ago(seconds: float) -> str:
    """How long something lasts already: "53 s", "12 min", "1 h 5 min", "3 d 2 h"."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    big, small, names = (whole // 3600, whole % 3600 // 60, "h min")
    if whole >= _DAY:
        big, small, names = (whole // _DAY, whole % _DAY // 3600, "d h")
    first, second = names.split()
    return f"{big} {first} {small} {second}" if small else f"{big} {first}"


def clock(moment: float, now: float) -> str:
    """When it was, in local time; with the date where that is a day or longer ago."""
    shape = "%H:%M:%S" if now - moment < _DAY else "%Y-%m-%d %H:%M"
    return time.strftime(shape, time.localtime(moment))


def spark(values: Sequence[float], width: int) -> str:
    """The newest `width` values as bars; the largest of them is a full one, nothing the lowest."""
    shown = values[-width:] if width > 0 else ()
    top = max(shown, default=0.0) or 1.0
    return "".join(_BARS[min(len(_BARS) - 1, round(max(0.0, value) / top * (len(_BARS) - 1)))] for value in shown)

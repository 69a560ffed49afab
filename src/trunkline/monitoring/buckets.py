"""Where durations are cut: one fixed list of bounds that every histogram shares.

Bounds a power of 2^(1/8) apart (schema 3 of Prometheus native and OpenTelemetry exponential histograms) keep
quantiles accurate; OpenTelemetry's advised bounds lie among them, so classic histograms are exact as well. Because
the list is a constant, histograms of any series, window or process can be added up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import inf
from typing import Final

__all__ = [
    "BOUNDS",
    "FAST_BOUNDS",
    "MCP_BOUNDS",
    "NATIVE_INDICES",
    "NATIVE_SCHEMA",
    "TOOL_BOUNDS",
    "classes",
    "positions",
]

MCP_BOUNDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds: advised for `mcp.client.operation.duration` by OpenTelemetry's semantic conventions for GenAI."""

TOOL_BOUNDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds: advised for `gen_ai.execute_tool.duration` by the same."""

FAST_BOUNDS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005)
"""Seconds: below what the conventions know. Without them every cache hit looks like 5 ms."""

NATIVE_SCHEMA: Final = 3
"""Native bucket `i` of this schema holds values v with `2 ** ((i - 1) / 8) < v <= 2 ** (i / 8)`."""

_FIRST = -17 * 8
_LOG_BOUNDS = tuple(2.0 ** (step / 8) for step in range(_FIRST, 9 * 8 + 1))

BOUNDS: Final = tuple(sorted({*_LOG_BOUNDS, *MCP_BOUNDS, *TOOL_BOUNDS, *FAST_BOUNDS}))
"""Seconds, ascending, 7.6 us to 512 s. Bucket `i` holds values v with `BOUNDS[i-1] < v <= BOUNDS[i]`;
bucket `len(BOUNDS)` holds what is longer than the last bound."""

NATIVE_INDICES: Final = tuple(_FIRST + bisect_left(_LOG_BOUNDS, bound) for bound in (*BOUNDS, inf))
"""The native bucket that each bucket lies in, which makes native histograms exact. Two buckets have no such: the first
reaches down to zero and is the zero bucket, up to and including `BOUNDS[0]`; the last has no end and is told as the
one native bucket that begins at 512 s."""


def positions(bounds: Sequence[float]) -> tuple[int, ...]:
    """Return the index in `BOUNDS` of each of `bounds` (seconds).

    Raises:
        ValueError: one of them is not in `BOUNDS`, so that counts up to it would not be exact.
    """
    found = tuple(bisect_left(BOUNDS, bound) for bound in bounds)
    for bound, position in zip(bounds, found, strict=True):
        if position == len(BOUNDS) or BOUNDS[position] != bound:
            message = f"{bound!r} s is not a bucket bound"
            raise ValueError(message)
    return found


def classes(bounds: Sequence[float]) -> tuple[int, ...]:
    """Return for each bucket of `BOUNDS` which of the buckets that ascending `bounds` (seconds) make it lies in.

    Raises:
        ValueError: as `positions` does.
    """
    ends = positions(bounds)
    return tuple(bisect_left(ends, index) for index in range(len(BOUNDS) + 1))

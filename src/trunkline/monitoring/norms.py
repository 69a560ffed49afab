"""Whether a number is out of the ordinary: one stretch of time judged by a longer one, with a margin for chance.

Pure decisions below `statements`. What is asked for is a change that a person would call one (twice as slow, half the
traffic) and that chance makes less often than once a year: four standard deviations, and some requests on top, since
single ones come in bursts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Final

from trunkline.monitoring.buckets import BOUNDS
from trunkline.monitoring.histogram import Histogram
from trunkline.monitoring.stats import Metric
from trunkline.monitoring.windows import Span

__all__ = ["WATCHED", "Verdict", "judge"]

WATCHED: Final[dict[Metric, int]] = {"rate": 30, "error_ratio": 20, "p50": 20, "p90": 50, "p95": 100, "p99": 200}
"""What is watched, and how many requests it takes to say anything of it: of a quantile, some that exceed it."""

_QUANTILES: Final[dict[Metric, float]] = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
_SLOWER: Final = 1.5
_MORE: Final = 2.0
"""Times the norm from which a rate or a ratio of errors is another one; `_SLOWER` is that of durations."""
_ERRORS: Final = 0.01
"""Ratio of errors below which nothing is said: one in a hundred requests is what retries are for."""
_LIKELY: Final = 4.0
"""Standard deviations that are left to chance."""
_BURST: Final = 3
"""Requests besides: slow and failed ones come together."""
_RANGE: Final = 1.25
"""A rate is out of the ordinary only this far beyond the quietest or busiest of the minutes before."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one comparison found."""

    current: float
    norm: float
    threshold: float
    """Times the norm (or, of a rate that falls, one by it) that the number has to reach."""
    is_beyond: bool
    """Whether it is out of the ordinary, and still is in the latest part."""


def judge(metric: Metric, current: Span, latest: Span, norm: Span, minutes: Sequence[int] = ()) -> Verdict | None:
    """Judge `metric` over `current`, whose last part is `latest`, by `norm`; None where too little is known.

    `minutes` are the counts of single minutes within `norm`, for a rate to be no more different than they are.
    """
    least = WATCHED[metric]
    if norm.histogram.count < 3 * least:
        return None
    if metric == "rate":
        return _rate(current, latest, norm, minutes, least)
    if current.histogram.count < least:
        return None
    if metric == "error_ratio":
        return _errors(current, latest, norm)
    return _slowness(_QUANTILES[metric], current.histogram, latest.histogram, norm.histogram)


def _exceeds(hits: int, tries: int, norm_hits: int, norm_tries: int) -> bool:
    """Whether `hits` of `tries` are more than chance makes of what was the norm."""
    # One hit more than there was: what never happened may still have been possible.
    expected = tries * (norm_hits + 1) / (norm_tries + 1)
    return hits - expected >= _LIKELY * sqrt(expected * (1 + tries / norm_tries)) + _BURST


def _slowness(q: float, current: Histogram, latest: Histogram, norm: Histogram) -> Verdict:
    usual, now = norm.quantile(q), current.quantile(q)
    # At the end of a bucket, where all three are exact.
    bound = [min(bisect_left(BOUNDS, usual), len(BOUNDS) - 1)]
    above = [part.count - part.cumulative(bound)[0] for part in (current, norm)]
    is_beyond = (
        now >= _SLOWER * usual
        and latest.quantile(q) >= _SLOWER * usual
        and _exceeds(above[0], current.count, above[1], norm.count)
    )
    return Verdict(now, usual, _SLOWER, is_beyond)


def _errors(current: Span, latest: Span, norm: Span) -> Verdict:
    tries, norm_tries = current.histogram.count, norm.histogram.count
    now, usual = current.errors / tries, norm.errors / norm_tries
    is_beyond = (
        now >= max(_ERRORS, _MORE * usual)
        and latest.errors >= max(_ERRORS, _MORE * usual) * latest.histogram.count
        and latest.errors > 0
        and _exceeds(current.errors, tries, norm.errors, norm_tries)
    )
    return Verdict(now, usual, _MORE, is_beyond)


def _rate(current: Span, latest: Span, norm: Span, minutes: Sequence[int], least: int) -> Verdict | None:
    length = current.end - current.start
    count = current.histogram.count
    usual = norm.histogram.count / (norm.end - norm.start)
    expected = usual * length
    if max(expected, count) < least:
        return None
    lately = latest.histogram.count / max(latest.end - latest.start, 1.0)
    is_likely = abs(count - expected) < _LIKELY * sqrt(expected) + _BURST
    if count > expected:
        is_other = count >= _MORE * expected and lately >= _MORE * usual
        is_other = is_other and count >= _RANGE * max(minutes, default=0) * length / 60.0
    else:
        is_other = _MORE * count <= expected and _MORE * lately <= usual
        # Batches rest in between: that is their norm as well.
        is_other = is_other and _RANGE * count < min(minutes, default=inf) * length / 60.0
    return Verdict(count / length, usual, _MORE, is_other and not is_likely)

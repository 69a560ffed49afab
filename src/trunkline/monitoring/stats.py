"""The numbers people read: one domain's statistics, and how its last minute compares with what was normal.

Pure: made from histograms and spans by the collector, read by alerts, health pages and people.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from trunkline.monitoring.histogram import Histogram
from trunkline.monitoring.windows import Span

__all__ = ["METRICS", "DomainStats", "Metric", "Trend", "measure", "significant", "summarise"]

Metric: TypeAlias = Literal["p50", "p90", "p95", "p99", "mean", "min", "max", "rate", "error_ratio"]

METRICS: Final[tuple[Metric, ...]] = ("p50", "p90", "p95", "p99", "mean", "min", "max", "rate", "error_ratio")

_STEADY: Final = 0.2
"""Relative change up to which a trend is steady."""

_ENOUGH: Final = 10
"""Requests both spans need before a change means anything."""


def significant(value: float, digits: int) -> float:
    """Return `value` with so many significant digits: what is only looked at need not change with every request."""
    return float(f"{value:.{digits}g}")


@dataclass(frozen=True, slots=True)
class DomainStats:
    """How one domain (or tool, or server) is doing. All zero when nothing is known of it."""

    requests: int = 0
    errors: int = 0
    """Requests that ended neither well nor cancelled by their caller."""
    error_ratio: float = 0.0
    """`errors` by `requests`, 0 to 1."""
    rate: float = 0.0
    """Requests per second: over the last minute, or over the window that was asked for."""
    p50: float = 0.0
    """Seconds, as `p90`, `p95`, `p99`, `mean`, `min` and `max`. Quantiles err by 1 % or less."""
    p90: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    mean: float = 0.0
    min: float = 0.0
    max: float = 0.0
    last_request: float | None = None
    """When the latest request ended, in seconds since the epoch; None before the first."""
    in_flight: int = 0
    """Requests under way right now."""

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as a JSON-able mapping."""
        return asdict(self)


def summarise(
    histogram: Histogram, *, errors: int, rate: float, last_request: float | None = None, in_flight: int = 0
) -> DomainStats:
    """Return the statistics of what `histogram` counted."""
    return DomainStats(
        requests=histogram.count,
        errors=errors,
        error_ratio=errors / histogram.count if histogram.count else 0.0,
        rate=rate,
        p50=histogram.quantile(0.50),
        p90=histogram.quantile(0.90),
        p95=histogram.quantile(0.95),
        p99=histogram.quantile(0.99),
        mean=histogram.mean,
        min=histogram.shortest if histogram.count else 0.0,
        max=histogram.longest,
        last_request=last_request,
        in_flight=in_flight,
    )


def measure(span: Span, metric: Metric, *, since: float) -> float | None:
    """Return `metric` over `span`, or None where nothing is known: before the start, or without any request.

    `since` is when recording began, in seconds on the collector's clock: a rate over a span that began earlier counts
    only the time that was watched, but no less than a second, which keeps a first request from looking like a storm.
    """
    if metric == "rate":
        watched = span.end - max(span.start, since)
        return span.histogram.count / max(watched, 1.0) if watched > 0 or span.histogram.count else None
    if not span.histogram.count:
        return None
    found = getattr(summarise(span.histogram, errors=span.errors, rate=0.0), metric)
    return float(found)


@dataclass(frozen=True, slots=True)
class Trend:
    """One metric over the last minute, beside the same over earlier spans; None where nothing is known."""

    domain: str
    metric: Metric
    current: float | None
    """Over the last minute: seconds, requests per second or a ratio, as the metric has it."""
    before: float | None
    """Over the minute before that."""
    hour: float | None
    """Over the hour before the last minute."""
    yesterday: float | None
    """Over the same hour of the day before."""
    requests: int
    """Requests in the last minute."""
    requests_before: int

    @property
    def change(self) -> float | None:
        """`current` relative to `before`: 0.5 is half as much again, -0.5 is half. None when either is unknown or 0."""
        return self.current / self.before - 1.0 if self.current is not None and self.before else None

    @property
    def direction(self) -> Literal["rising", "falling", "steady", "unknown"]:
        """What the change says, once both minutes hold enough requests for it to say anything."""
        if self.current is None or self.before is None or min(self.requests, self.requests_before) < _ENOUGH:
            return "unknown"
        # From nothing to something has no ratio, and rises all the same.
        change = self.change if self.before else float(self.current > 0)
        if change is None or abs(change) <= _STEADY:
            return "steady"
        return "rising" if change > 0 else "falling"

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, `change` and `direction` as a JSON-able mapping."""
        return {**asdict(self), "change": self.change, "direction": self.direction}

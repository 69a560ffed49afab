"""How long the latest attempts of one tool took, those included of which only a lower bound is known.

An attempt that lost a race or ran out of time was given up: it would have taken longer. To leave it out would forget
the slow ones; to count its bound as its time would let a delay that is drawn from here push itself up, as the losers'
bounds are the delay and a little more.
"""

from __future__ import annotations

from collections import deque

__all__ = ["MOST", "Latencies"]

MOST = 10_000
"""Latencies that may be kept of one tool: 80 kB, and a quantile of them takes a millisecond or two."""
_USUAL = 256
"""Latencies kept of one tool where no more are asked for: the quantile follows the latest."""
_RENEWALS = 16
"""A quantile is computed anew after a sixteenth of the latencies that are kept: the work per latency is constant."""


class Latencies:
    """The latest latencies in seconds, at least `minimum` of them, and their `quantile` in (0, 1)."""

    __slots__ = ("_cached", "_latest", "_quantile", "_renewal", "_since")

    def __init__(self, quantile: float, minimum: int) -> None:
        kept = max(_USUAL, minimum)
        self._quantile = quantile
        self._latest: deque[tuple[float, bool]] = deque(maxlen=kept)
        self._cached: float | None = None
        self._renewal = kept // _RENEWALS
        self._since = self._renewal

    def __repr__(self) -> str:
        bounds = sum(is_bound for _, is_bound in self._latest)
        return f"<Latencies [{len(self)} of {self._latest.maxlen}, {bounds} of them bounds]>"

    def __len__(self) -> int:
        return len(self._latest)

    def add(self, latency: float, *, at_least: bool) -> None:
        """An attempt took so long, or was given up after so long."""
        self._latest.append((latency, at_least))
        self._since += 1

    def quantile(self) -> float | None:
        """The quantile, renewed now and then; None where nothing but bounds is known."""
        if self._since >= self._renewal:
            self._cached = self._estimate()
            self._since = 0
        return self._cached

    def _estimate(self) -> float | None:
        """The product-limit estimate (Kaplan and Meier, 1958): a bound counts among those slower than what is below it.

        Where more than the share above the quantile are bounds, the quantile is not known but that it is beyond the
        longest latency known. That latency is the answer: a bound was made by this very answer and must not raise it.
        """
        left, longer, longest = len(self._latest), 1.0, None
        for latency, is_bound in sorted(self._latest):
            if not is_bound:
                longer *= 1.0 - 1.0 / left
                longest = latency
                # The product of the shares is a hair beside the whole.
                if 1.0 - longer >= self._quantile - 1e-9:
                    return latency
            left -= 1
        return longest

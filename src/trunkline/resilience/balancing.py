"""Which replica gets the next attempt: the better of two random ones.

Two choices are enough to spread load almost evenly, and unlike one best choice they start no stampede to whoever looks
idle (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001). Better means fewer attempts in
flight, weighted by how long the replica takes (Finagle's peak EWMA).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["Balancer"]

_DECAY = 10.0
"""Seconds: what was learnt of a replica's latency weighs 1/e after this long, so that a slow one is tried again."""


@dataclass(slots=True, eq=False)
class _Load:
    in_flight: int = 0
    latency: float | None = None
    """Seconds; None while nothing has been measured."""
    at: float = 0.0
    is_tried: bool = False
    """Whether it was ever given an attempt."""

    def faded(self, now: float) -> float:
        """The latency as it weighs at `now`."""
        return (self.latency or 0.0) * exp(-(now - self.at) / _DECAY)


class Balancer:
    """Weighs the replicas of one server. Latencies in seconds; times in seconds of a monotonic clock."""

    def __init__(self, replicas: Sequence[str], rng: random.Random) -> None:
        self._loads = {replica: _Load() for replica in replicas}
        self._rng = rng

    def __repr__(self) -> str:
        loads = ", ".join(
            f"{replica}: {load.in_flight} in flight, {load.latency or 0.0:.3g} s"
            for replica, load in self._loads.items()
        )
        return f"<Balancer [{loads}]>"

    def choose(self, candidates: Sequence[str], now: float) -> str:
        """One of the candidates (one or more)."""
        if len(candidates) == 1:
            return candidates[0]
        one, other = self._rng.sample(candidates, 2)
        # Drawn in random order, so a tie is decided at random.
        return one if self._cost(one, now) <= self._cost(other, now) else other

    def in_flight(self, replica: str) -> int:
        """Attempts under way at a replica."""
        return self._loads[replica].in_flight

    def started(self, replica: str) -> None:
        """An attempt was given to a replica."""
        load = self._loads[replica]
        load.in_flight += 1
        load.is_tried = True

    def ended(self, replica: str, now: float, latency: float | None, *, at_least: bool = False) -> None:
        """An attempt ended.

        `latency` is what it took, None where it says nothing of speed: failures are fast and must attract nobody.
        `at_least`: it was given up after so long, which only tells of a replica that is not known to be slower.
        """
        load = self._loads[replica]
        load.in_flight -= 1
        if latency is None:
            # What is known fades so that somebody tries again. Somebody has, and has found out nothing.
            load.at = now
            return
        faded = load.faded(now)
        if latency >= faded:
            # A peak is believed at once: whoever has become slow should not get a dozen calls to prove it.
            load.latency, load.at = latency, now
        elif not at_least:
            weight = exp(-(now - load.at) / _DECAY)
            load.latency, load.at = faded + latency * (1 - weight), now

    def _cost(self, replica: str, now: float) -> float:
        load = self._loads[replica]
        if load.in_flight == 0 and (load.latency is not None or not load.is_tried):
            # Never tried, or long ago: it should be. One attempt is enough to find out.
            return load.faded(now)
        return (load.in_flight + 1) * (self._usual() if load.latency is None else load.latency)

    def _usual(self) -> float:
        """What to expect of a replica of which nothing is known: that it is like the others."""
        known = [load.latency for load in self._loads.values() if load.latency is not None]
        return median(known) if known else 1.0

"""P12: what the recent past takes: memory of 500 domains with full windows, and the time of one fold of 200 of them.

    python benchmarks/windows.py [--series 500] [--active 200] [--ticks 60] [--quick]

Memory is that of a process of its own, resident, before and after two days of traffic in virtual time: log-normal
durations, some tens of buckets to a slot. Time is the processor's; the longest slice, which is how long an event loop
stands still, is by the clock as well, and a busy machine shows in it.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import sys
import time
from pathlib import Path
from statistics import median, quantiles

from trunkline.monitoring.metrics import MetricsCollector

STEPS = ((3600.0, 48), (60.0, 60), (10.0, 60), (1.0, 60))
"""(seconds from one slot to the next, how many): what fills every ring."""


def resident() -> float:
    """Mebibytes this process has in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() / 2**20


class World:
    """A collector in virtual time, and the durations that its domains take."""

    def __init__(self, series: int) -> None:
        self.now = 200_000.0
        # Some places are kept for servers and tools.
        self.metrics = MetricsCollector(max_windowed=2 * series, clock=lambda: self.now)
        dice = random.Random(20261130)
        self.durations = [dice.lognormvariate(-2, 0.8) for _ in range(10_007)]

    def record(self, series: int, requests: int) -> None:
        """Let each of `series` domains have some requests now."""
        known = self.metrics.store.requests
        for number in range(series):
            start = 7 * number % (len(self.durations) - requests)
            # What `record` does, many times over.
            records = [(self.now, duration) for duration in self.durations[start : start + requests]]
            found = known.find((f"domain {number}", "run", "ok"))
            found.pending.extend(records)
            if requests > 100:
                # As recording does once in a thousand; nor would the memory of a crowd that waits be that of windows.
                self.metrics.store.fold_if_free(found)


def memory(series: int, requests: int) -> tuple[float, float]:
    """Mebibytes that domains take at first, and when all their windows are full."""
    world = World(series)
    world.record(10, 1)
    world.metrics.store.fold()
    gc.collect()
    before = resident()
    world.record(series, 1)
    world.metrics.store.fold()
    fresh = resident() - before
    for step, count in STEPS:
        for _ in range(count):
            world.now += step
            # A busy hour fills more buckets than a busy second.
            world.record(series, requests if step < 60 else 10 * requests)
            world.metrics.store.fold()
    gc.collect()
    return fresh, resident() - before


def ticks(active: int, requests: int, count: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of processor time of each fold; of its longest slice; and of that by the clock."""
    world = World(500)
    world.record(500, 1)
    world.metrics.store.fold()
    whole, longest, stalls = [], [], []
    for _ in range(count):
        world.now += 1.0
        world.record(active, requests)
        slices, clock = [], []
        began, seen = time.thread_time(), time.perf_counter()
        for _ in world.metrics.store.folding():
            slices.append(time.thread_time() - began)
            clock.append(time.perf_counter() - seen)
            began, seen = time.thread_time(), time.perf_counter()
        slices.append(time.thread_time() - began)
        clock.append(time.perf_counter() - seen)
        whole.append(1e3 * sum(slices))
        longest.append(1e3 * max(slices))
        stalls.append(1e3 * max(clock))
    return whole, longest, stalls


def shown(values: list[float]) -> str:
    low, middle, high = quantiles(values, n=4)
    return f"{middle:6.2f} ms  [{low:.2f} .. {high:.2f}]"


def main(series: int, requests: int, active: int, count: int) -> None:
    fresh, full = memory(series, requests)
    print(f"Python {sys.version.split()[0]}; medians over {count} folds, quartiles in brackets")
    print(f"{series} domains, one request each     {fresh:6.1f} MiB")
    share = f"{1024 * full / series:.0f} KiB each; goal 25 MiB for 500"
    print(f"{series} domains, all windows full     {full:6.1f} MiB  ({share})")
    for each in (1, 10):
        whole, longest, stalls = ticks(active, each, count)
        missed = "" if median(whole) <= 5 else "  MISSED: more than 5 ms"
        print(f"fold, {active} active, {each:2} requests each  {shown(whole)}{missed}")
        print(f"  its longest slice               {shown(longest)}, by the clock {shown(stalls)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the recent past takes.")
    parser.add_argument("--series", type=int, default=500, help="domains whose windows are filled")
    parser.add_argument("--requests", type=int, default=20, help="requests of each in a second")
    parser.add_argument("--active", type=int, default=200, help="domains with requests in a fold")
    parser.add_argument("--ticks", type=int, default=60, help="folds")
    parser.add_argument("--quick", action="store_true", help="a few of each, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.series, options.requests, options.active, options.ticks = 20, 4, 20, 4
    main(options.series, options.requests, options.active, options.ticks)

"""One tool call after the other, each of a name never heard before; prints what that has left behind, as JSON."""

from __future__ import annotations

import gc
import json
import random
import resource
import sys
from pathlib import Path

from trunkline.events import CallFinished
from trunkline.monitoring.metrics import MetricsCollector

EVENTS = 100_000
"""Names that come as events, as they do in earnest; the rest goes straight to the store, which is twice as fast."""
RECORDS = 900_000


def resident() -> int:
    """Bytes this process has in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def main() -> None:
    metrics = MetricsCollector()
    metrics.record("speech", "transcribe", duration=0.1)
    metrics.dashboard()
    gc.collect()
    before = resident()
    dice = random.Random(20261130)
    event = CallFinished(
        0.0, "1", "tools/call", "", "chat", "search", "ok", 0.25, 1, "miss", None, may_have_run=True, tracked=True
    )
    for _ in range(EVENTS):
        # One event, renamed: making new ones would take longer than recording them.
        object.__setattr__(event, "name", f"{dice.getrandbits(64):x}")
        metrics.observe(event)
    store = metrics.store
    for _ in range(RECORDS):
        store.note(store.tools.find(("chat", "search", f"{dice.getrandbits(64):x}", "ok")), 0.25)
    metrics.fold()
    tools = store.tools
    recorded = sum(series.histogram.count for series in tools)
    gc.collect()
    found = {
        "series": len(tools),
        "tools": len(tools.groups),
        "recorded": recorded,
        "overflowed": tools.overflowed,
        "mebibytes": (resident() - before) / 2**20,
        "speech": metrics.domain("speech").requests,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()

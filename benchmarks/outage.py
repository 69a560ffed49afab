"""What an outage does to 1,000 callers of a server with 50 replicas, with and without retry budget and breakers.

Virtual time: no sockets, no sleeping. The layers, circuits, budget and balancing are the real ones; only the pools
below them are models of servers, each with four workers and a queue. At 60 s, 30 replicas begin to hang at once; at
120 s they are restarted, cold, and need a minute to be as fast as before. A server works on whatever it was sent, also
when the caller has given it up: that is what makes a retry storm outlive its cause (Bronson et al., "Metastable
Failures in Distributed Systems", HotOS 2021).

    python benchmarks/outage.py [--plot docs/images/outage.svg] [--callers 1000] [--replicas 50]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import trio
import trio._core._run as scheduler
from mcp_types import Result
from trio.testing import MockClock

from trunkline.bus import EventBus
from trunkline.call import Call, Delivery, ToolResult
from trunkline.client_stack import client_stack
from trunkline.endpoint import HttpEndpoint, ServerSettings
from trunkline.errors import CallError
from trunkline.policy import BreakerPolicy, HealthPolicy, OutlierPolicy, RetryPolicy, ServerPolicy
from trunkline.pool.pool import Pool
from trunkline.server_stack import ServerStack

WORKERS = 4
SERVICE = 1.0
"""Seconds of work a call costs a warm server."""
PAUSE = 8.0
"""Seconds between two calls of one caller, on average, whether the first has ended or not: callers do not slow down
for an outage. 1,000 callers ask for 125 calls a second; 50 replicas serve 200, and 20 serve 80."""
COLDEST = 0.1
"""Speed of a server that has just been restarted, as a share of a warm one's."""

FAULT, REPAIR, WARM, END = 60.0, 120.0, 180.0, 300.0
"""Seconds: the replicas begin to hang, are restarted, are warm again, and the end."""
HANGING = 0.6
"""Share of the replicas that hang."""

GUARDED = ServerPolicy(timeout=15.0, attempt_timeout=3.0, health=HealthPolicy(enabled=False))
UNGUARDED = replace(
    GUARDED,
    retry=RetryPolicy(cost=0.0, timeout_cost=0.0),
    breaker=BreakerPolicy(enabled=False),
    outlier=OutlierPolicy(enabled=False),
)
"""The same without retry budget, breakers and the ejection that goes with them."""


class ModelServer(Pool):
    """A server as a queue before a few workers; takes the place of the connections to it."""

    def __init__(self, server: str, endpoint: HttpEndpoint, policy: ServerPolicy, **rest: Any) -> None:
        super().__init__(server, endpoint, policy, **rest)
        self.hangs_in_the_outage = False
        self._free_at = [0.0] * WORKERS
        self._restarted = False
        self.attempts = 0

    @property
    def is_ready(self) -> bool:
        """Always: a hanging server accepts connections."""
        return True

    async def send(self, call: Call) -> Result:
        """Take a request, work it off in turn, and answer; give-up by the caller stops no work."""
        now = anyio.current_time()
        self.attempts += 1
        call.attempts += 1
        call.delivery, call.may_have_run = Delivery.UNKNOWN, True
        try:
            await self._serve(now)
        finally:
            call.server_time = anyio.current_time() - now
        call.delivery = Delivery.ANSWERED
        return ToolResult(content=[])

    async def _serve(self, now: float) -> None:
        if self.hangs_in_the_outage:
            if FAULT <= now < REPAIR:
                await anyio.sleep_forever()
            if now >= REPAIR and not self._restarted:
                self._restarted = True
                self._free_at = [now] * WORKERS
        worker = min(range(WORKERS), key=self._free_at.__getitem__)
        done = max(now, self._free_at[worker]) + SERVICE / self._speed(now)
        self._free_at[worker] = done
        await anyio.sleep(done - now)

    def _speed(self, now: float) -> float:
        if not self.hangs_in_the_outage or not REPAIR <= now < WARM:
            return 1.0
        return COLDEST + (1 - COLDEST) * (now - REPAIR) / (WARM - REPAIR)


@dataclass
class History:
    """What happened, second by second."""

    calls: list[int] = field(default_factory=lambda: [0] * int(END))
    """Calls that began in each second."""
    good: list[int] = field(default_factory=lambda: [0] * int(END))
    attempts: list[int] = field(default_factory=lambda: [0] * int(END))

    def success(self, start: float, end: float) -> float:
        """Share of the calls that began between two moments and succeeded."""
        span = slice(int(start), int(end))
        return sum(self.good[span]) / max(1, sum(self.calls[span]))

    def amplification(self, start: float = 0.0, end: float = END) -> float:
        """Attempts per call."""
        span = slice(int(start), int(end))
        return sum(self.attempts[span]) / max(1, sum(self.calls[span]))

    def recovered_after(self, window: int = 10, enough: float = 0.99) -> float | None:
        """Seconds after the repair from which on every ten seconds were good; None if that never came."""
        bad = [
            second
            for second in range(int(REPAIR), int(END) - window + 1)
            if self.success(second, second + window) < enough
        ]
        if not bad:
            return 0.0
        last = bad[-1] + window
        return None if last >= END - window else last - REPAIR


async def simulate(policy: ServerPolicy, *, callers: int, replicas: int, seed: int = 1) -> History:
    """Run the scenario; inside an event loop whose clock is virtual."""
    rng, history, servers = random.Random(seed), History(), list[ModelServer]()
    started = anyio.current_time()

    def make_pool(*args: Any, **options: Any) -> Pool:
        server = ModelServer(*args, **options)
        server.hangs_in_the_outage = len(servers) < HANGING * replicas
        servers.append(server)
        return server

    first, *others = (HttpEndpoint(f"http://replica-{number}/mcp") for number in range(replicas))
    stack = ServerStack(
        ServerSettings("model", first, policy, tuple(others)),
        emit=EventBus().emit,
        rng=rng,
        on_listing=lambda _replica, _tools: None,
        make_pool=make_pool,
    )
    service = client_stack(stack.send, ladder=lambda _call: (), emit=EventBus().emit)

    async def one_call() -> None:
        now = anyio.current_time()
        call = Call("id", "tools/call", "model_read", {}, "model", now, now + policy.timeout, repeatable=True)
        call.server, call.target = "model", "read"
        try:
            await service(call)
            is_good = True
        except CallError:
            is_good = False
        second = int(now - started)
        history.calls[second] += 1
        history.good[second] += is_good
        history.attempts[second] += call.attempts

    async def caller(number: int) -> None:
        mine = random.Random(seed * 100_000 + number)
        while True:
            await anyio.sleep(mine.expovariate(1 / PAUSE))
            if anyio.current_time() - started >= END:
                return
            tasks.start_soon(one_call)

    async with anyio.create_task_group() as tasks:
        for number in range(callers):
            tasks.start_soon(caller, number)
    return history


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Draw the order of tasks that are ready at the same moment from `seed`; trio draws it anew in every process.

    By the hook that trio has for Hypothesis, as there is no public one.
    """
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()  # noqa: SLF001 - see above
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001 - see above
    scheduler._r.seed(seed)  # noqa: SLF001 - see above
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before[0]  # type: ignore[misc]  # noqa: SLF001 - see above
        scheduler._r.setstate(before[1])  # noqa: SLF001 - see above


def run(policy: ServerPolicy, *, callers: int, replicas: int, seed: int = 1) -> History:
    """Run the scenario from outside an event loop."""

    async def main() -> History:
        return await simulate(policy, callers=callers, replicas=replicas, seed=seed)

    with repeatable(seed):
        return trio.run(main, clock=MockClock(autojump_threshold=0))


COLUMNS = ("calls", "attempts", "in fault", "ok in fault", "ok warming", "ok at end", "recovers")


def told(name: str, history: History) -> str:
    """One line of the table."""
    recovered = history.recovered_after()
    figures = (
        f"{sum(history.calls):,}",
        f"{history.amplification():.2f}",
        f"{history.amplification(FAULT, REPAIR):.2f}",
        f"{history.success(FAULT, REPAIR):.1%}",
        f"{history.success(REPAIR, WARM):.1%}",
        f"{history.success(END - 60, END):.1%}",
        "never" if recovered is None else f"after {recovered:.0f} s",
    )
    return f"{name:<26}" + "".join(f"{figure:>13}" for figure in figures)


WIDTH, HEIGHT, LEFT, TOP, BAND = 860, 420, 60, 46, 5
PANELS = (("calls that succeed", 1.0, "100 %", 60.0, 150.0), ("attempts per call", 3.0, "3", 250.0, 120.0))
COLOURS = {"with budget and breakers": "#1a7f5a", "without": "#c2410c"}


def plot(histories: Sequence[tuple[str, History]]) -> str:
    """Both histories as an SVG: the share of calls that succeed above, attempts per call below, in bands of 5 s."""

    def across(second: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * second / END

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    spans = ((FAULT, REPAIR, "#fde8e4", "30 of 50 replicas hang"), (REPAIR, WARM, "#fdf6dd", "they warm up"))
    for start, end, colour, words in spans:
        box = f'x="{across(start):.0f}" width="{across(end) - across(start):.0f}"'
        parts.append(f'<rect {box} y="{TOP}" height="{HEIGHT - TOP - 30}" fill="{colour}"/>')
        parts.append(f'<text x="{across(start) + 4:.0f}" y="{TOP - 6}" fill="#555">{words}</text>')
    for title, most, label, top, height in PANELS:
        bottom = top + height
        parts.append(f'<path d="M{LEFT} {top}V{bottom}H{WIDTH - 20}" fill="none" stroke="#999"/>')
        parts.append(f'<text x="{LEFT}" y="{top - 4}" font-weight="bold">{title}</text>')
        parts.append(f'<text x="{LEFT - 8}" y="{top + 10}" text-anchor="end">{label}</text>')
        parts.append(f'<text x="{LEFT - 8}" y="{bottom}" text-anchor="end">0</text>')
        for name, history in histories:
            read = history.success if most == 1.0 else history.amplification
            points = " ".join(
                f"{across(second + BAND / 2):.1f},{bottom - height * min(1.0, read(second, second + BAND) / most):.1f}"
                for second in range(0, int(END), BAND)
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
    for place, name in enumerate(COLOURS):
        parts.append(f'<rect x="{LEFT + 220 * place}" y="14" width="14" height="4" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{LEFT + 20 + 220 * place}" y="20">{name}</text>')
    parts += [
        f'<text x="{across(second):.0f}" y="{HEIGHT - 10}" text-anchor="middle">{second} s</text>'
        for second in range(0, int(END) + 1, 60)
    ]
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="An outage, simulated with and without retry budget and breakers.")
    parser.add_argument("--callers", type=int, default=1000)
    parser.add_argument("--replicas", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="write the plot to this file, as SVG")
    options = parser.parse_args()
    print(" " * 26 + "".join(f"{column:>13}" for column in COLUMNS))
    histories = []
    for name, policy in (("with budget and breakers", GUARDED), ("without", UNGUARDED)):
        history = run(policy, callers=options.callers, replicas=options.replicas, seed=options.seed)
        histories.append((name, history))
        print(told(name, history), flush=True)
    if options.plot is not None:
        options.plot.write_text(plot(histories), "utf-8")


if __name__ == "__main__":
    main()

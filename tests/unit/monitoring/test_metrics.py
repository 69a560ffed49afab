from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context

import anyio
import pytest

from trunkline import monitoring
from trunkline.call import CURRENT_DOMAIN
from trunkline.monitoring.metrics import DomainStats, MetricsCollector
from trunkline.monitoring.series import FOLD_AT


class Clock:
    """Seconds that go forward when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> MetricsCollector:
    return MetricsCollector(clock=clock, wall=lambda: 1_700_000_000.0)


@pytest.mark.requirement("SEED-MON-1", "SEED-METRICS-1", "SEED-METRICS-4")
def test_a_domain_tells_everything_that_was_recorded_of_it(metrics: MetricsCollector, clock: Clock) -> None:
    for number in range(1, 101):
        metrics.record("speech", "transcribe", duration=number / 100, outcome="ok" if number <= 95 else "error")
    clock.now += 10
    stats = metrics.domain("speech")
    assert (stats.requests, stats.errors, stats.error_ratio) == (100, 5, 0.05)
    assert stats.rate == pytest.approx(10.0)
    assert (stats.p50, stats.p90, stats.p95, stats.p99) == pytest.approx((0.5, 0.9, 0.95, 0.99), rel=0.02)
    assert (stats.mean, stats.min, stats.max) == pytest.approx((0.505, 0.01, 1.0))
    assert stats.last_request == 1_700_000_000.0 - 10
    assert metrics.domains() == ("speech",)


def test_an_unknown_domain_is_all_zero() -> None:
    assert MetricsCollector().domain("nobody") == DomainStats()
    assert DomainStats().last_request is None


@pytest.mark.parametrize("kind", ["with", "async with", "decorator", "async decorator"])
@pytest.mark.anyio
async def test_tracking_times_the_work_and_lends_its_domain(kind: str, metrics: MetricsCollector, clock: Clock) -> None:
    seen: list[str | None] = []

    def work(seconds: float) -> str:
        seen.append(CURRENT_DOMAIN.get())
        assert metrics.domain("speech").in_flight == 1
        clock.now += seconds
        return "done"

    if kind == "with":
        with metrics.track("speech", "transcribe"):
            result = work(2.0)
    elif kind == "async with":
        async with metrics.track("speech", "transcribe"):
            result = work(2.0)
    elif kind == "decorator":
        result = metrics.track("speech", "transcribe")(work)(2.0)
    else:

        @metrics.track("speech", "transcribe")
        async def work_later(seconds: float) -> str:
            await anyio.lowlevel.checkpoint()
            return work(seconds)

        assert work_later.__name__ == "work_later"
        result = await work_later(2.0)
    stats = metrics.domain("speech")
    assert (result, seen, CURRENT_DOMAIN.get()) == ("done", ["speech"], None)
    assert (stats.requests, stats.errors, stats.max, stats.in_flight) == (1, 0, 2.0, 0)


def test_an_exception_passes_unchanged_and_counts_as_an_error(metrics: MetricsCollector) -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught, metrics.track("speech", "transcribe"):
        raise error
    assert caught.value is error
    stats = metrics.domain("speech")
    assert (stats.requests, stats.errors, stats.in_flight) == (1, 1, 0)


@pytest.mark.anyio
async def test_a_cancelled_operation_is_a_request_and_no_error(metrics: MetricsCollector) -> None:
    with anyio.move_on_after(0) as scope:
        async with metrics.track("speech", "transcribe"):
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    stats = metrics.domain("speech")
    assert (stats.requests, stats.errors, stats.in_flight) == (1, 0, 0)
    assert [series.labels for series in metrics.store.requests] == [("speech", "transcribe", "cancelled")]


def test_nested_operations_count_each_and_restore_the_outer_domain(metrics: MetricsCollector) -> None:
    with metrics.track("chat", "answer"):
        with metrics.track("speech", "transcribe"):
            assert CURRENT_DOMAIN.get() == "speech"
        assert CURRENT_DOMAIN.get() == "chat"
    assert (metrics.domain("chat").requests, metrics.domain("speech").requests) == (1, 1)


def test_the_block_may_say_how_it_ended_and_what_it_was(metrics: MetricsCollector) -> None:
    with metrics.track("speech", "unknown") as tracked:
        tracked.operation, tracked.outcome = "transcribe", "tool_error"
    assert [series.labels for series in metrics.store.requests] == [("speech", "transcribe", "tool_error")]
    assert repr(tracked) == "<Tracked speech/transcribe [idle]>"


def test_one_tracked_object_serves_again_but_not_twice_at_once(metrics: MetricsCollector) -> None:
    tracked = metrics.track("speech", "transcribe")
    with tracked, pytest.raises(RuntimeError, match="call track\\(\\) for each use"):
        tracked.__enter__()
    with tracked:
        pass
    assert metrics.domain("speech").requests == 2
    assert CURRENT_DOMAIN.get() is None


def test_a_decorated_function_may_call_itself(metrics: MetricsCollector) -> None:
    @metrics.track("maths", "factorial")
    def factorial(number: int) -> int:
        return number * factorial(number - 1) if number else 1

    assert factorial(4) == 24
    assert metrics.domain("maths").requests == 5


def test_leaving_in_another_context_than_entering_breaks_nothing(metrics: MetricsCollector) -> None:
    tracked = metrics.track("speech", "stream")
    Context().run(tracked.__enter__)
    tracked.__exit__(None, None, None)
    assert (metrics.domain("speech").requests, metrics.domain("speech").in_flight) == (1, 0)


@pytest.mark.anyio
async def test_concurrent_operations_keep_their_domains_apart(metrics: MetricsCollector) -> None:
    seen: dict[str, str | None] = {}

    async def work(domain: str) -> None:
        async with metrics.track(domain, "work"):
            await anyio.lowlevel.checkpoint()
            seen[domain] = CURRENT_DOMAIN.get()

    async with anyio.create_task_group() as tasks:
        for domain in ("a", "b", "c"):
            tasks.start_soon(work, domain)
    assert seen == {"a": "a", "b": "b", "c": "c"}


@pytest.mark.anyio
async def test_an_async_generator_inside_a_tracked_block_ends_it_once(metrics: MetricsCollector) -> None:
    @asynccontextmanager
    async def session() -> AsyncIterator[None]:
        async with metrics.track("speech", "session"):
            yield

    async with session():
        assert metrics.domain("speech").in_flight == 1
    assert metrics.domain("speech").requests == 1


@pytest.mark.parametrize("odd", [math.nan, math.inf, -1.0])
def test_a_duration_that_cannot_be_counts_as_zero_and_is_not_lost(odd: float, metrics: MetricsCollector) -> None:
    metrics.record("speech", "transcribe", duration=odd)
    stats = metrics.domain("speech")
    assert (stats.requests, stats.max, stats.mean) == (1, 0.0, 0.0)


def test_a_request_of_no_domain_is_unattributed(metrics: MetricsCollector) -> None:
    metrics.record("", "transcribe", duration=0.1)
    with metrics.track("", "transcribe"):
        pass
    assert metrics.domain("unattributed").requests == 2


def test_a_wall_clock_that_is_set_changes_no_duration_and_no_rate(clock: Clock) -> None:
    wall = Clock(1_700_000_000.0)
    metrics = MetricsCollector(clock=clock, wall=wall)
    with metrics.track("speech", "transcribe"):
        clock.now += 1
        wall.now -= 86_400
    stats = metrics.domain("speech")
    assert (stats.max, stats.last_request) == (1.0, wall.now)


def test_a_snapshot_covers_its_window_only(metrics: MetricsCollector, clock: Clock) -> None:
    metrics.record("speech", "transcribe", duration=0.1)
    clock.now += 120
    metrics.record("speech", "transcribe", duration=0.3, outcome="error")
    recent = metrics.snapshot(60.0)["domains"]["speech"]
    assert (recent["requests"], recent["errors"], recent["mean"]) == (1, 1, 0.3)
    assert metrics.snapshot(300.0)["domains"]["speech"]["requests"] == 2
    assert metrics.snapshot(None)["domains"]["speech"]["requests"] == 2


@pytest.mark.parametrize("window", [0, -1.0, math.nan])
def test_a_window_must_last(window: float, metrics: MetricsCollector) -> None:
    with pytest.raises(ValueError, match="expected seconds, more than 0, or None"):
        metrics.snapshot(window)


@pytest.mark.requirement("SEED-METRICS-4")
def test_a_slower_minute_is_a_rising_trend(metrics: MetricsCollector, clock: Clock) -> None:
    for second in range(3600):
        slow = second >= 3550
        metrics.record("speech", "transcribe", duration=0.4 if slow else 0.1)
        clock.now += 1
    trend = metrics.trend("speech", "p95")
    assert (trend.current, trend.before, trend.hour) == pytest.approx((0.4, 0.1, 0.1), rel=0.1)
    assert trend.change == pytest.approx(3.0, rel=0.3)
    assert (trend.direction, trend.yesterday) == ("rising", None)
    assert metrics.trend("speech", "rate").direction == "steady"
    assert metrics.trend("speech", "error_ratio").direction == "steady"


def test_a_trend_remembers_the_same_hour_of_yesterday(metrics: MetricsCollector, clock: Clock) -> None:
    metrics.record("speech", "transcribe", duration=0.2)
    clock.now += 86_400
    metrics.record("speech", "transcribe", duration=0.1)
    assert metrics.trend("speech", "mean").yesterday == pytest.approx(0.2)


def test_too_few_requests_make_no_trend(metrics: MetricsCollector, clock: Clock) -> None:
    metrics.record("speech", "transcribe", duration=0.1)
    clock.now += 60
    metrics.record("speech", "transcribe", duration=5.0)
    assert metrics.trend("speech").direction == "unknown"
    assert metrics.trend("nobody").current is None


def test_errors_out_of_nothing_are_a_rising_trend(metrics: MetricsCollector, clock: Clock) -> None:
    for second in range(120):
        metrics.record("speech", "transcribe", duration=0.1, outcome="ok" if second < 70 else "error")
        clock.now += 1
    trend = metrics.trend("speech", "error_ratio")
    assert (trend.direction, trend.change) == ("rising", None)


def test_a_metric_nobody_has_is_refused_with_the_known_ones(metrics: MetricsCollector) -> None:
    with pytest.raises(ValueError, match="expected one of p50, p90, p95"):
        metrics.trend("speech", "p42")  # type: ignore[arg-type]


def test_the_dashboard_is_json_and_adds_up(metrics: MetricsCollector, clock: Clock) -> None:
    for domain in ("speech", "chat"):
        for _ in range(5):
            metrics.record(domain, "work", duration=0.2, outcome="error" if domain == "chat" else "ok")
    clock.now += 5
    page = json.loads(json.dumps(metrics.dashboard(), allow_nan=False))
    assert (page["totals"]["requests"], page["totals"]["errors"], page["totals"]["error_ratio"]) == (10, 5, 0.5)
    assert page["totals"]["rate"] == pytest.approx(2.0)
    assert sum(point["requests"] for point in page["history"]) == 10
    assert page["domains"]["chat"]["trend"]["metric"] == "p95"
    assert page["telemetry"]["series"]["requests"] == 2


def test_an_empty_dashboard_is_json_too() -> None:
    page = MetricsCollector().dashboard()
    assert json.loads(json.dumps(page, allow_nan=False))["totals"]["requests"] == 0


@pytest.mark.parametrize("limit", [0, -5])
def test_no_series_and_no_windows_at_all_are_refused(limit: int) -> None:
    with pytest.raises(ValueError, match=r"max_series = .*: expected 1 or more"):
        MetricsCollector(max_series=limit)
    with pytest.raises(ValueError, match=r"max_windowed = .*: expected 1 or more"):
        MetricsCollector(max_windowed=limit)


@pytest.mark.requirement("P2")
def test_a_bound_recorder_records_what_record_does(metrics: MetricsCollector, clock: Clock) -> None:
    succeed, fail = metrics.recorder("", "transcribe"), metrics.recorder("", "transcribe", "tool_error")
    for duration in (0.2, math.nan, -1.0):
        succeed(duration)
    fail(0.4)
    clock.now += 5
    stats = metrics.domain("unattributed")
    assert (stats.requests, stats.errors, stats.max, stats.last_request) == (4, 1, 0.4, 1_700_000_000.0 - 5)


def test_a_recorder_that_nobody_reads_keeps_its_list_short(metrics: MetricsCollector) -> None:
    record = metrics.recorder("speech", "transcribe")
    for _ in range(5000):
        record(0.1)
    series = metrics.store.requests.find(("speech", "transcribe", "ok"))
    assert len(series.pending) < FOLD_AT
    assert metrics.domain("speech").requests == 5000


@pytest.mark.requirement("P12")
def test_folding_stops_to_breathe_after_each_slice_and_leaves_nothing_behind(metrics: MetricsCollector) -> None:
    for number in range(50):
        metrics.record(f"domain {number}", "run", duration=0.1)
    breaths = 0
    for _ in metrics.store.folding(pause=0.0):
        breaths += 1
        metrics.record("domain 0", "run", duration=0.1)
    assert breaths >= 50
    pending = {name: sum(len(series.pending) for series in family) for name, family in metrics.store.families.items()}
    assert {name: hits for name, hits in pending.items() if hits} == {"requests": breaths}
    metrics.fold()
    assert sum(len(series.pending) for series in metrics.store.requests) == 0


@pytest.mark.requirement("TRACKING")
def test_what_nobody_attributed_is_shown_with_its_share(metrics: MetricsCollector) -> None:
    assert metrics.dashboard()["unattributed"] == {"requests": 0, "ratio": 0.0}
    metrics.record("", "search", duration=0.1)
    for _ in range(3):
        metrics.record("speech", "transcribe", duration=0.1)
    assert metrics.dashboard()["unattributed"] == {"requests": 1, "ratio": 0.25}


@pytest.mark.requirement("TRACKING")
def test_an_operation_is_stopped_by_hand_once(metrics: MetricsCollector, clock: Clock) -> None:
    tracked = metrics.track("speech", "transcribe").start()
    assert (CURRENT_DOMAIN.get(), metrics.domain("speech").in_flight) == ("speech", 1)
    clock.now += 2
    tracked.stop("tool_error")
    tracked.stop()
    with metrics.track("speech", "first word") as inner:
        clock.now += 1
        inner.stop()
        assert CURRENT_DOMAIN.get() is None
        clock.now += 9
    stats = metrics.domain("speech")
    assert (stats.requests, stats.errors, stats.max, stats.in_flight) == (2, 1, 2.0, 0)


@pytest.mark.requirement("PERF-3")
def test_recording_costs_far_less_than_a_millisecond() -> None:
    metrics = MetricsCollector()
    calls = 5000

    async def tracked() -> None:
        for _ in range(calls):
            async with metrics.track("speech", "transcribe"):
                pass

    started = time.perf_counter()
    asyncio.run(tracked())
    assert (time.perf_counter() - started) / calls < 0.001
    assert metrics.domain("speech").requests == calls


def test_a_collector_says_its_numbers(metrics: MetricsCollector) -> None:
    metrics.record("speech", "transcribe", duration=0.1)
    metrics.fold()
    assert repr(metrics) == "<MetricsCollector [1 domains, 1 series, 0 overflowed]>"
    assert repr(next(iter(metrics.store.requests))) == "<Series speech/transcribe/ok [1 folded, 0 pending]>"


def test_the_package_offers_what_it_lists() -> None:
    assert all(hasattr(monitoring, name) for name in monitoring.__all__)


@pytest.mark.requirement("R7")
def test_a_record_that_cannot_be_added_up_is_counted_and_costs_nobody_else_a_figure(metrics: MetricsCollector) -> None:
    for domain in ("a", "b", "c"):
        metrics.record(domain, "run", duration=0.1)
    bad = metrics.store.requests.find(("b", "run", "ok"))
    bad.append((1000.0, None))  # type: ignore[arg-type]
    metrics.fold()
    metrics.record("b", "run", duration=0.1)
    assert metrics.dashboard()["telemetry"]["records_lost"] == 2
    assert {name: metrics.domain(name).requests for name in ("a", "b", "c")} == {"a": 1, "b": 1, "c": 1}

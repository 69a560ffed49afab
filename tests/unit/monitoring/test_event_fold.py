from __future__ import annotations

import pytest

from trunkline.bus import EventBus
from trunkline.call import CacheOutcome, Delivery, Method
from trunkline.events import (
    AnswerAbandoned,
    AttemptFinished,
    CallFinished,
    CallStarted,
    CircuitChanged,
    ConfigRejected,
    ConfigReloaded,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    Event,
    LoopLagged,
    ObserverFailed,
    PinMismatched,
    RequestRefused,
    RetryScheduled,
    ServerProbed,
    ToolDrifted,
    ToolsChanged,
)
from trunkline.monitoring.metrics import MetricsCollector


def started(call_id: str = "1", domain: str = "speech") -> CallStarted:
    return CallStarted(0.0, call_id, "tools/call", "stt_run", domain)


def finished(
    call_id: str = "1",
    domain: str = "speech",
    outcome: str = "ok",
    *,
    method: Method = "tools/call",
    name: str = "stt_run",
    tracked: bool = False,
    cache: CacheOutcome = "miss",
    fallback: str | None = None,
) -> CallFinished:
    return CallFinished(
        0.0, call_id, method, name, domain, "stt", outcome, 0.25, 1, cache, fallback, may_have_run=True, tracked=tracked
    )


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.mark.requirement("INV-2", "SEED-OBS-1")
def test_a_call_nobody_tracked_is_a_request_of_its_domain(metrics: MetricsCollector) -> None:
    metrics.observe(finished(domain="unattributed"))
    stats = metrics.domain("unattributed")
    assert (stats.requests, stats.errors, stats.max) == (1, 0, 0.25)
    assert [series.labels for series in metrics.store.requests] == [("unattributed", "stt_run", "ok")]


def test_a_call_inside_a_tracked_operation_is_not_counted_again(metrics: MetricsCollector) -> None:
    with metrics.track("speech", "transcribe"):
        metrics.observe(started())
        assert metrics.domain("speech").in_flight == 1
        metrics.observe(finished(tracked=True))
    assert metrics.domain("speech").requests == 1
    assert metrics.snapshot(None)["tools"]["stt_run"]["requests"] == 1


@pytest.mark.parametrize(
    ("outcome", "errors"), [("ok", 0), ("cancelled", 0), ("tool_error", 1), ("CircuitOpen", 1), ("DeadlineExceeded", 1)]
)
def test_every_outcome_but_ok_and_cancelled_is_an_error(outcome: str, errors: int, metrics: MetricsCollector) -> None:
    metrics.observe(finished(outcome=outcome))
    assert (metrics.domain("speech").requests, metrics.domain("speech").errors) == (1, errors)
    assert metrics.snapshot(None)["tools"]["stt_run"]["errors"] == errors


def test_calls_are_in_flight_from_their_start_to_their_end(metrics: MetricsCollector) -> None:
    metrics.observe(started("1"))
    metrics.observe(started("2"))
    assert metrics.domain("speech").in_flight == 2
    metrics.observe(finished("1"))
    metrics.observe(finished("1"))
    assert metrics.domain("speech").in_flight == 1


def test_a_call_for_another_domain_than_the_tracked_one_is_under_way_there(metrics: MetricsCollector) -> None:
    with metrics.track("chat", "answer"):
        metrics.observe(started())
        assert (metrics.domain("chat").in_flight, metrics.domain("speech").in_flight) == (1, 1)


def test_names_of_resources_and_of_tools_nobody_has_never_become_labels(metrics: MetricsCollector) -> None:
    metrics.observe(finished(method="resources/read", name="file:///srv/secret"))
    metrics.observe(finished(name="made_up_by_a_model", outcome="ToolNotFound"))
    assert {series.labels[1] for series in metrics.store.requests} == {"resources/read", "_unknown"}
    assert list(metrics.store.tools.groups) == ["_unknown"]


def test_attempts_are_counted_by_server(metrics: MetricsCollector) -> None:
    for outcome in ("AttemptTimeout", "ok"):
        metrics.observe(
            AttemptFinished(0.0, "1", "tools/call", "stt_run", "speech", "stt", None, outcome, 0.1, Delivery.UNKNOWN)
        )
    server = metrics.snapshot(None)["servers"]["stt"]
    assert (server["requests"], server["errors"]) == (2, 1)


@pytest.mark.parametrize(
    ("event", "name", "labels"),
    [
        (
            RetryScheduled(0.0, "1", "stt_run", "stt", 1, 0.1, "ConnectionLost"),
            "retries",
            ("stt", "stt_run", "ConnectionLost"),
        ),
        (CircuitChanged(0.0, "stt", "b", "closed", "open", "ratio"), "transitions", ("stt", "b", "closed", "open")),
        (ConnectionOpened(0.0, "stt", None, "2026-07-28", 0.1), "opened", ("stt", "")),
        (ConnectionEnded(0.0, "stt", "b", "eof", in_flight=3, ready=0), "lost", ("stt", "b")),
        (ConnectFailed(0.0, "stt", None, "refused", failures=1, delay=0.1, ready=0), "connect_failures", ("stt", "")),
        (ToolsChanged(0.0, "stt", ("a",), (), 3), "tool_changes", ("stt",)),
        (ToolDrifted(0.0, "stt", "a", "1", "2"), "tool_drifts", ("stt",)),
        (PinMismatched(0.0, "stt", "a", ("title",), True, "its title changed"), "pin_mismatches", ("stt",)),
        (ConfigReloaded(0.0, "a.toml", (), (), ()), "config", ("reloaded",)),
        (ConfigRejected(0.0, "a.toml", ("bad",)), "config", ("rejected",)),
        (AnswerAbandoned(0.0, "/metrics", "left"), "abandoned", ("/metrics", "left")),
        (RequestRefused(0.0, "too_slow"), "refused", ("too_slow",)),
        (ObserverFailed(0.0, "Broken", "ValueError"), "observer_failures", ("Broken", "ValueError")),
        (finished(cache="hit"), "cache", ("speech", "hit")),
        (finished(fallback="spare"), "fallbacks", ("speech", "spare")),
    ],
)
def test_each_kind_of_event_feeds_its_counter(
    event: Event, name: str, labels: tuple[str, ...], metrics: MetricsCollector
) -> None:
    metrics.observe(event)
    assert metrics.store.counts(name) == {labels: 1}


def test_the_last_known_states_are_kept(metrics: MetricsCollector) -> None:
    metrics.observe(CircuitChanged(0.0, "stt", None, "closed", "open", "ratio"))
    metrics.observe(CircuitChanged(1.0, "stt", None, "open", "half_open", "waited"))
    metrics.observe(ServerProbed(0.0, "stt", None, healthy=False, duration=5.0, reason="timeout"))
    metrics.observe(ToolsChanged(0.0, "stt", ("a", "b"), (), 2))
    metrics.observe(LoopLagged(0.0, 0.3))
    metrics.fold()
    page = metrics.dashboard()
    assert page["circuits"] == [{"server": "stt", "replica": "", "state": "half_open"}]
    assert page["health"] == [{"server": "stt", "replica": "", "healthy": False}]
    assert metrics.store.tool_totals == {"stt": 2}
    assert metrics.store.loop_lag.histogram.longest == 0.3


def test_the_dashboard_counts_the_connections_of_each_server(metrics: MetricsCollector) -> None:
    for replica in ("a", "b"):
        metrics.observe(ConnectionOpened(0.0, "stt", replica, "2026-07-28", 0.1))
    metrics.observe(ConnectionEnded(0.0, "stt", "b", "eof", in_flight=0, ready=1))
    assert metrics.dashboard()["connections"] == {"stt": 1}


def test_the_cache_hit_ratio_leaves_out_calls_that_passed_it_by(metrics: MetricsCollector) -> None:
    outcomes: tuple[CacheOutcome, ...] = ("hit", "stale", "coalesced", "miss", "bypass", "bypass")
    for outcome in outcomes:
        metrics.observe(finished(cache=outcome))
    assert metrics.dashboard()["cache"]["hit_ratio"] == 0.75


def test_events_of_unknown_kinds_are_ignored(metrics: MetricsCollector) -> None:
    metrics.observe(Event(0.0))
    assert metrics.domains() == ()


def test_a_watched_bus_has_every_observer_failure_counted_not_only_the_announced(metrics: MetricsCollector) -> None:
    def broken(event: Event) -> None:
        raise ValueError("no")

    bus = EventBus([broken])
    stop = metrics.watch(bus)
    for _ in range(3):
        bus.emit(finished())
    assert sum(metrics.store.observer_failures().values()) == sum(bus.failures.values()) >= 3
    assert metrics.domain("speech").requests == 3
    stop()
    bus.emit(finished())
    assert metrics.domain("speech").requests == 3


def test_a_storm_of_events_is_folded_on_the_way(metrics: MetricsCollector) -> None:
    for _ in range(5000):
        metrics.observe(finished())
    assert len(metrics.store.tallies["cache"].pending) < 1024
    assert max(len(series.pending) for series in metrics.store.tools) < 1024
    assert metrics.store.counts("cache") == {("speech", "miss"): 5000}

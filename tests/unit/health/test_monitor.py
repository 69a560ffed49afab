"""The monitor: what it makes of events, how it probes, and that reading it never waits for anything."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import FrozenInstanceError, dataclass, field

import anyio
import pytest

from trunkline.call import Delivery
from trunkline.events import (
    AttemptFinished,
    CircuitChanged,
    ConfigRejected,
    ConfigReloaded,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    ConnectStarted,
    DependencyProbed,
    Event,
    LoopLagged,
    PinsChecked,
    PinsReloaded,
    ServerProbed,
    SharedCacheFound,
    SharedCacheLost,
)
from trunkline.health.fold import SHARED_CACHE, HealthFold
from trunkline.health.monitor import HealthMonitor, Probe
from trunkline.health.report import HealthReport
from trunkline.policy import HealthPolicy

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-OBS-2", "SEED-CLIENT-1")]

POLICY = HealthPolicy(interval=10.0, timeout=2.0, restart_after=3)

OPENED = ConnectionOpened(0.0, "s", None, "2026-07-28", 0.1)
AWAY = ConnectFailed(0.0, "s", None, "nothing listens", 1, 0.1, 0)
LOST = ConnectionEnded(0.0, "s", None, "the process ended", 3, 0)


def attempt(outcome: str, delivery: Delivery) -> AttemptFinished:
    return AttemptFinished(0.0, "1", "tools/call", "s_read", "tests", "s", None, outcome, 0.1, delivery)


def watching(*servers: str) -> tuple[HealthMonitor, list[Event]]:
    """A monitor of some servers, and what it tells; it hears what it tells, as on a bus."""
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        monitor.observe(event)

    monitor = HealthMonitor(emit=emit, rng=random.Random(1), wall=lambda: 1_000.0)
    for server in servers or ("s",):
        monitor.add(server, POLICY)
    return monitor, events


def state_of(monitor: HealthMonitor) -> tuple[str, str]:
    known = monitor.server("s")
    assert known is not None
    return known.state, known.reason


@dataclass
class Server:
    """A server that is asked for a sign of life, in whatever mood it is."""

    mood: Callable[[], Awaitable[None]]
    asked: list[float] = field(default_factory=list)
    results: list[bool] = field(default_factory=list)
    replaced: int = 0
    is_ready: bool = True
    recovers_in: float | None = None

    async def ping(self) -> None:
        self.asked.append(anyio.current_time())
        await self.mood()

    def replace(self) -> None:
        self.replaced += 1

    def probe(self, policy: HealthPolicy = POLICY) -> Probe:
        return Probe(
            policy=policy,
            ping=self.ping,
            recovers_in=lambda: self.recovers_in,
            is_ready=lambda: self.is_ready,
            on_result=lambda alive, _now: self.results.append(alive),
            replace=self.replace,
        )


async def well() -> None:
    """Answer."""


async def refuses() -> None:
    raise OSError("connection reset")


def test_before_anything_is_seen_nothing_is_known() -> None:
    monitor, _ = watching()
    assert state_of(monitor) == ("unknown", "not seen so far")
    assert monitor.report().state == "unknown"
    assert not monitor.report().is_ready


def test_a_server_that_is_being_connected_to_says_so() -> None:
    monitor, _ = watching()
    monitor.observe(ConnectStarted(0.0, "s", None))
    assert state_of(monitor) == ("unknown", "connecting")


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (OPENED, "healthy"),
        (AWAY, "degraded"),
        (LOST, "degraded"),
        (ConnectFailed(0.0, "s", None, "one of two", 1, 0.1, 1), "healthy"),
        (ConnectionEnded(0.0, "s", None, "one of two", 0, 1), "healthy"),
        (attempt("ok", Delivery.ANSWERED), "healthy"),
        (attempt("ServerError", Delivery.ANSWERED), "healthy"),
        (attempt("cancelled", Delivery.UNKNOWN), "healthy"),
        (attempt("CircuitOpen", Delivery.NOT_SENT), "healthy"),
        (attempt("timeout", Delivery.UNKNOWN), "degraded"),
        (attempt("ConnectionLost", Delivery.UNKNOWN), "degraded"),
        (CircuitChanged(0.0, "s", None, "closed", "open", "5 failures in a row"), "degraded"),
        (CircuitChanged(0.0, "s", None, "open", "half_open", "time is over"), "healthy"),
        (ServerProbed(0.0, "s", None, True, 0.1, ""), "healthy"),
        (ServerProbed(0.0, "s", None, False, 0.1, "no sign of life"), "degraded"),
        (LoopLagged(0.0, 3.0), "healthy"),
    ],
)
def test_live_calls_and_connections_are_evidence(event: Event, state: str) -> None:
    monitor, _ = watching()
    monitor.observe(OPENED)
    monitor.observe(event)
    assert state_of(monitor)[0] == state


def test_several_bad_signs_take_a_server_down_and_a_new_connection_brings_it_back() -> None:
    monitor, _ = watching()
    for _ in range(3):
        monitor.observe(AWAY)
    assert state_of(monitor) == ("down", "nothing listens")
    monitor.observe(OPENED)
    assert state_of(monitor) == ("healthy", "")


def test_events_about_servers_that_are_not_watched_change_nothing() -> None:
    monitor, _ = watching("other")
    for event in (OPENED, AWAY, LOST, attempt("ok", Delivery.ANSWERED)):
        monitor.observe(event)
    assert monitor.server("s") is None
    assert [server.name for server in monitor.report().servers] == ["other"]


def test_a_server_that_is_removed_is_forgotten_and_one_that_is_known_keeps_its_state() -> None:
    monitor, _ = watching()
    monitor.observe(OPENED)
    monitor.add("s", HealthPolicy(down_after=1))
    assert state_of(monitor)[0] == "healthy"
    monitor.observe(AWAY)
    assert state_of(monitor)[0] == "down"
    monitor.remove("s")
    assert monitor.report().servers == ()


@pytest.mark.parametrize(
    ("states", "summary", "is_ready"),
    [
        ((), "healthy", True),
        (("healthy", "healthy"), "healthy", True),
        (("healthy", "unknown"), "degraded", True),
        (("healthy", "down"), "degraded", True),
        (("down", "down"), "down", False),
        (("down", "unknown"), "down", False),
        (("unknown",), "unknown", False),
    ],
)
def test_one_word_for_all_servers(states: tuple[str, ...], summary: str, is_ready: bool) -> None:
    monitor = HealthMonitor(emit=lambda _event: None, rng=random.Random(1))
    for number, state in enumerate(states):
        name = f"s{number}"
        monitor.add(name, HealthPolicy(down_after=1))
        if state == "healthy":
            monitor.observe(ConnectionOpened(0.0, name, None, "2026-07-28", 0.1))
        elif state == "down":
            monitor.observe(ConnectFailed(0.0, name, None, "away", 1, 0.1, 0))
    report = monitor.report()
    assert (report.state, report.is_ready) == (summary, is_ready)


def test_a_refused_configuration_degrades_until_a_good_one_comes() -> None:
    monitor, _ = watching()
    monitor.observe(OPENED)
    for _ in range(10):
        monitor.observe(ConfigRejected(0.0, "trunkline.toml", ("line 3: unknown key", "line 4: another")))
    report = monitor.report()
    assert (report.state, report.is_ready) == ("degraded", True)
    assert report.others[0].reason == "the changed file is not in force: line 3: unknown key"
    monitor.observe(ConfigReloaded(0.0, "trunkline.toml", (), (), ()))
    assert monitor.report().state == "healthy"


def test_tools_that_are_refused_and_a_broken_pins_file_degrade_each_until_it_is_mended() -> None:
    monitor, _ = watching()
    monitor.observe(OPENED)
    monitor.observe(PinsChecked(0.0, 1, "1 tool is refused"))
    for _ in range(10):
        monitor.observe(PinsReloaded(0.0, "trunkline.pins.json", "it has vanished"))
    report = monitor.report()
    assert (report.state, report.is_ready) == ("degraded", True)
    assert [(part.name, part.reason) for part in report.others] == [("pins", "it has vanished; 1 tool is refused")]
    monitor.observe(PinsChecked(0.0, 0, ""))
    assert monitor.report().others[0].reason == "it has vanished"
    monitor.observe(PinsReloaded(0.0, "trunkline.pins.json", ""))
    assert (monitor.report().state, monitor.report().others) == ("healthy", ())


async def test_a_well_server_is_probed_at_its_interval_with_jitter() -> None:
    monitor, events = watching()
    server = Server(well)
    with anyio.move_on_after(1000.0):
        await monitor.probe("s", None, server.probe())
    gaps = [later - earlier for earlier, later in zip(server.asked, server.asked[1:], strict=False)]
    assert all(8.0 <= gap <= 12.0 for gap in gaps)
    assert len({round(gap, 3) for gap in gaps}) > 50
    assert server.results == [True] * len(server.asked)
    assert all(isinstance(event, ServerProbed) and event.healthy for event in events)


@pytest.mark.requirement("INV-3")
async def test_a_hanging_probe_is_given_up_and_told_and_does_not_delay_another_servers() -> None:
    monitor, events = watching("s", "t")
    hanging, other = Server(anyio.sleep_forever), Server(well)
    with anyio.move_on_after(100.0):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(monitor.probe, "s", None, hanging.probe())
            tasks.start_soon(monitor.probe, "t", None, other.probe())
    probed = [event for event in events if isinstance(event, ServerProbed) and event.server == "s"]
    assert {(event.healthy, event.duration, event.reason) for event in probed} == {
        (False, 2.0, "no sign of life within 2 s")
    }
    assert set(hanging.results) == {False}
    gaps = [later - earlier for earlier, later in zip(other.asked, other.asked[1:], strict=False)]
    assert all(8.0 <= gap <= 12.0 for gap in gaps)
    assert state_of(monitor)[0] == "down"


@pytest.mark.requirement("INV-3", "PERF-2")
async def test_reading_health_takes_no_time_while_every_probe_hangs() -> None:
    monitor, _ = watching(*[f"s{number}" for number in range(50)])
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(monitor.probe, f"s{number}", None, Server(anyio.sleep_forever).probe())
        await anyio.sleep(11.0)
        virtual, real = anyio.current_time(), time.perf_counter()
        report = monitor.report()
        assert time.perf_counter() - real < 0.1
        assert anyio.current_time() == virtual
        assert len(report.servers) == 50
        tasks.cancel_scope.cancel()


@pytest.mark.requirement("INV-3")
@pytest.mark.parametrize("read", [HealthMonitor.report, HealthMonitor.server, vars(HealthReport)["is_ready"].fget])
def test_reading_health_is_a_plain_function(read: object) -> None:
    assert not inspect.iscoroutinefunction(read)
    assert not inspect.isasyncgenfunction(read)


async def test_a_silent_connection_is_replaced_once_for_every_three_probes() -> None:
    monitor, _ = watching()
    server = Server(anyio.sleep_forever)
    with anyio.move_on_after(120.0):
        await monitor.probe("s", None, server.probe())
    assert server.replaced == len(server.results) // 3 > 0


async def test_a_server_that_answers_badly_is_not_silent() -> None:
    monitor, _ = watching()
    server = Server(refuses)
    with anyio.move_on_after(120.0):
        await monitor.probe("s", None, server.probe())
    assert server.replaced == 0
    assert set(server.results) == {False}
    assert state_of(monitor) == ("down", "connection reset")


async def test_connections_that_are_never_to_be_replaced_are_not() -> None:
    monitor, _ = watching()
    server = Server(anyio.sleep_forever)
    with anyio.move_on_after(120.0):
        await monitor.probe("s", None, server.probe(HealthPolicy(interval=1.0, timeout=1.0, restart_after=0)))
    assert server.replaced == 0


async def test_without_a_connection_nobody_is_asked() -> None:
    monitor, events = watching()
    server = Server(well, is_ready=False)
    with anyio.move_on_after(100.0):
        await monitor.probe("s", None, server.probe())
    assert server.asked == []
    assert events == []


async def test_an_open_circuit_is_probed_as_soon_as_its_time_is_over() -> None:
    monitor, _ = watching()
    server = Server(well)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor.probe, "s", None, server.probe())
        await anyio.sleep(1.0)
        server.recovers_in = 3.0
        monitor.observe(CircuitChanged(1.0, "s", None, "closed", "open", "5 failures in a row"))
        await anyio.sleep(3.5)
        assert server.asked == [pytest.approx(4.0)]
        tasks.cancel_scope.cancel()


async def test_a_lagging_loop_is_told_and_shown() -> None:
    monitor, events = watching()
    with anyio.move_on_after(10.0):
        await monitor.watch_loop()
    assert monitor.report().loop_lag == 0.0
    assert events == []


def test_a_monitor_says_in_one_line_how_everything_is() -> None:
    monitor, _ = watching("s", "t")
    monitor.observe(OPENED)
    assert repr(monitor) == "<HealthMonitor degraded [s healthy, t unknown]>"


def test_a_report_is_a_value_that_does_not_change_afterwards() -> None:
    monitor, _ = watching()
    before = monitor.report()
    monitor.observe(OPENED)
    assert before.state == "unknown"
    with pytest.raises(FrozenInstanceError):
        before.state = "healthy"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("events", "state", "reason"),
    [
        ((SharedCacheFound(0.0, 0.0),), "healthy", ""),
        ((SharedCacheLost(0.0, "it cannot be reached"),), "degraded", "it cannot be reached"),
        ((SharedCacheLost(0.0, "lost"), SharedCacheFound(1.0, 1.0)), "healthy", ""),
        ((SharedCacheLost(0.0, "lost"), DependencyProbed(1.0, "redis", False, 0.1, "still")), "down", "still"),
        ((DependencyProbed(1.0, "redis", False, 0.1, ""),), "degraded", "not well"),
        ((DependencyProbed(1.0, "exporter", False, 0.1, "gone"),), "unknown", "not seen so far"),
    ],
)
async def test_the_shared_cache_tells_of_itself_besides_being_probed(
    events: tuple[Event, ...], state: str, reason: str
) -> None:
    fold = HealthFold(lambda: 1_000.0)
    for event in events:
        fold.observe(event)
    assert fold.others() == ()
    fold.add_other(SHARED_CACHE, HealthPolicy(down_after=2, up_after=1))
    for event in events:
        fold.observe(event)
    (known,) = fold.others()
    assert (known.name, known.state, known.reason) == ("redis", state, reason)

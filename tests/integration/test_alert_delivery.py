"""Who is told of alerts, over real HTTP: webhooks that take, refuse and hang, functions, and Debian's Alertmanager."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.servers.hooks import Hook, webhook
from tests.servers.watching import eventually
from trunkline import Alert, AlertManager, AlertRule, AlertSettings, MetricsCollector, SinkPolicy
from trunkline.events import AlertChanged, AlertSinkFailed, Event
from trunkline.health.report import DependencyHealth, HealthReport

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

DOWN = {"ServerDown": AlertRule(of="health", bad="state", for_=0.0, keep_firing_for=0.1, severity="critical")}
SECRET = "hunter2hunter2"


class Watched:
    """Servers that the test takes down, an alert manager that watches them, and what it told."""

    def __init__(self, **sinks: SinkPolicy) -> None:
        self.down: dict[tuple[str, str], bool] = {}
        self.events: list[Event] = []
        self.alerts = AlertManager(
            AlertSettings(interval=0.02, group_wait=0.05, rules=DOWN, sinks=sinks),
            metrics=MetricsCollector(),
            health=self._report,
            emit=self.events.append,
        )

    def sink(self, name: str) -> Any:
        return next(sink for sink in self.alerts.sinks() if sink.name == name)

    def _report(self) -> HealthReport:
        names = dict.fromkeys(server for server, _ in self.down)
        return HealthReport("healthy", tuple(map(self._server, names)), (), 0.0)

    def _server(self, name: str) -> DependencyHealth:
        parts = tuple(
            DependencyHealth(replica or name, "down" if down else "healthy", 0.0, "nothing listens" if down else "")
            for (server, replica), down in self.down.items()
            if server == name
        )
        return parts[0] if len(parts) == 1 else DependencyHealth(name, "degraded", 0.0, "", parts)


@asynccontextmanager
async def running(watched: Watched) -> AsyncGenerator[Watched, None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.alerts.run)
        yield watched
        tasks.cancel_scope.cancel()


@pytest.mark.requirement("ALERTS-DELIVERY")
async def test_a_webhook_hears_once_that_it_fires_and_once_that_it_is_over() -> None:
    with webhook() as hook:
        policy = SinkPolicy(url=f"{hook.url}?key={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
        async with running(Watched(ops=policy)) as watched:
            watched.down["search", ""] = True
            await eventually(lambda: hook.heard)
            watched.down["search", ""] = False
            await eventually(lambda: len(hook.heard) == 2)
            await eventually(lambda: watched.sink("ops").delivered == 2)
        fired, resolved = hook.heard
        assert hook.headers[0]["Authorization"] == f"Bearer {SECRET}"
        assert (fired["version"], fired["status"], fired["receiver"]) == ("4", "firing", "ops")
        assert fired["groupLabels"] == {"server": "search"}
        (alert,) = fired["alerts"]
        assert alert["labels"] == {"alertname": "ServerDown", "severity": "critical", "server": "search"}
        assert alert["annotations"] == {"summary": "Server search is down.", "description": "nothing listens"}
        assert alert["endsAt"] == "0001-01-01T00:00:00Z"
        assert (resolved["status"], resolved["alerts"][0]["status"]) == ("resolved", "resolved")
        assert resolved["alerts"][0]["fingerprint"] == alert["fingerprint"]
        assert resolved["alerts"][0]["startsAt"] == alert["startsAt"] < resolved["alerts"][0]["endsAt"]


async def test_what_is_wrong_with_one_server_is_told_together() -> None:
    with webhook() as hook:
        async with running(Watched(ops=SinkPolicy(url=hook.url))) as watched:
            watched.down |= {("search", "a"): True, ("search", "b"): True, ("files", ""): True}
            await eventually(lambda: len(hook.heard) == 2)
        told = {heard["groupLabels"]["server"]: len(heard["alerts"]) for heard in hook.heard}
        assert told == {"search": 2, "files": 1}


@pytest.mark.requirement("ALERTS-DELIVERY")
async def test_a_webhook_that_is_in_trouble_is_tried_again() -> None:
    with webhook(503, 500) as hook:
        async with running(Watched(ops=SinkPolicy(url=hook.url, pause=0.01))) as watched:
            watched.down["search", ""] = True
            await eventually(lambda: watched.sink("ops").delivered == 1)
        assert len(hook.heard) == 3
        assert (watched.sink("ops").failed, watched.sink("ops").trouble) == (0, "")


@pytest.mark.requirement("ALERTS-DELIVERY")
async def test_what_is_refused_for_good_is_counted_and_told_without_the_address() -> None:
    with webhook(400, 400) as hook:
        policy = SinkPolicy(url=f"{hook.url}?key={SECRET}", pause=0.01)
        async with running(Watched(ops=policy)) as watched:
            watched.down["search", ""] = True
            await eventually(lambda: watched.sink("ops").failed == 1)
            # Each failure counts; told is only what changed.
            watched.down["search", ""] = False
            await eventually(lambda: watched.sink("ops").failed == 2)
        assert len(hook.heard) == 2
        told = [(event.sink, event.reason) for event in watched.events if isinstance(event, AlertSinkFailed)]
        assert told == [("ops", "answered 400")]
        assert SECRET not in repr(watched.events) + json.dumps(watched.alerts.as_dict()) + repr(watched.alerts)


async def test_sinks_that_hang_or_are_away_hold_up_nobody() -> None:
    with webhook(0) as hook, webhook() as well, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = SinkPolicy(url=f"http://127.0.0.1:{unused.getsockname()[1]}/", attempts=2, pause=0.01)
        hanging = SinkPolicy(url=hook.url, timeout=0.2, attempts=1)
        async with running(Watched(hanging=hanging, away=away, well=SinkPolicy(url=well.url))) as watched:
            watched.down["search", ""] = True
            await eventually(lambda: watched.sink("well").delivered == 1)
            await eventually(lambda: watched.sink("hanging").failed and watched.sink("away").failed)
        assert watched.sink("hanging").trouble == "no answer within 0.2 s"
        assert watched.sink("away").trouble == "ConnectError"


async def test_a_sink_that_fills_up_drops_the_oldest_and_counts_it() -> None:
    with webhook(0) as hook:
        policy = SinkPolicy(url=hook.url, timeout=30.0, attempts=1, waiting=1)
        async with running(Watched(ops=policy)) as watched:
            watched.down |= {(f"server-{number}", ""): True for number in range(5)}
            # One may be on its way, one may wait.
            await eventually(lambda: watched.sink("ops").dropped >= 3)
            assert watched.sink("ops").waiting <= 1


async def test_functions_hear_each_alert_and_one_that_raises_or_hangs_costs_nobody_anything() -> None:
    heard: list[tuple[str, str]] = []
    release = threading.Event()

    def listen(alert: Alert) -> None:
        heard.append((alert.summary, alert.state))

    async def listen_too(alert: Alert) -> None:
        heard.append((alert.rule, alert.state))

    def raise_something(alert: Alert) -> None:
        raise ZeroDivisionError(SECRET)

    def hang(alert: Alert) -> None:
        release.wait(30)

    watched = Watched()
    for callback in (hang, raise_something, listen, listen_too):
        watched.alerts.subscribe(callback)
    try:
        async with running(watched):
            watched.down["search", ""] = True
            await eventually(lambda: len(heard) == 2)
            watched.down["search", ""] = False
            await eventually(lambda: len(heard) == 4)
            failing = next(sink for sink in watched.alerts.sinks() if "raise_something" in sink.name)
            await eventually(lambda: failing.name and watched.sink(failing.name).failed == 2)
    finally:
        release.set()
    assert sorted(heard) == [
        ("Server search is down.", "firing"),
        ("Server search is down.", "inactive"),
        ("ServerDown", "firing"),
        ("ServerDown", "inactive"),
    ]
    assert watched.sink(failing.name).trouble == "ZeroDivisionError"
    assert SECRET not in repr(watched.events)


async def test_who_unsubscribes_hears_no_more_and_who_subscribes_late_hears_the_rest() -> None:
    heard: list[str] = []

    async def first(alert: Alert) -> None:
        heard.append(f"first {alert.state}")

    async def second(alert: Alert) -> None:
        heard.append(f"second {alert.state}")

    watched = Watched()
    stop = watched.alerts.subscribe(first)
    async with running(watched):
        watched.down["search", ""] = True
        await eventually(lambda: heard == ["first firing"])
        stop()
        watched.alerts.subscribe(second)
        watched.down["search", ""] = False
        await eventually(lambda: len(heard) == 2)
    assert heard == ["first firing", "second inactive"]


async def test_new_sinks_are_told_and_old_ones_are_not_any_more() -> None:
    with webhook() as old, webhook() as new:
        async with running(Watched(old=SinkPolicy(url=old.url))) as watched:
            settings = AlertSettings(
                interval=0.02,
                group_wait=0.05,
                rules=DOWN,
                sinks={"new": SinkPolicy(url=new.url), "quiet": SinkPolicy(url=old.url, enabled=False)},
            )
            watched.alerts.apply(settings, {})
            watched.down["search", ""] = True
            await eventually(lambda: new.heard)
        assert old.heard == []


async def test_what_is_not_severe_enough_is_not_told() -> None:
    with webhook() as hook:
        rules = {
            "Severe": AlertRule(of="health", bad="state", for_=0.0, severity="critical"),
            "Slight": AlertRule(of="health", bad="state", for_=0.0, severity="info"),
        }
        watched = Watched()
        sink = SinkPolicy(url=hook.url, at_least="warning")
        watched.alerts.apply(AlertSettings(interval=0.02, group_wait=0.0, rules=rules, sinks={"ops": sink}), {})
        async with running(watched):
            watched.down["search", ""] = True
            await eventually(lambda: hook.heard)
        assert [alert["labels"]["alertname"] for alert in hook.heard[0]["alerts"]] == ["Severe"]


async def test_an_evaluation_that_fails_is_counted_and_told_and_the_next_one_is_made() -> None:
    watched = Watched()
    watched.down["search", ""] = True
    report, broken = watched._report, True

    def breaking() -> HealthReport:
        if broken:
            raise LookupError(SECRET)
        return report()

    watched.alerts = AlertManager(
        AlertSettings(interval=0.02, rules=DOWN),
        metrics=MetricsCollector(),
        health=breaking,
        emit=watched.events.append,
    )
    async with running(watched):
        await eventually(lambda: watched.alerts.failures["LookupError"] > 2)
        broken = False
        await eventually(watched.alerts.active)
    assert [type(event).__name__ for event in watched.events if not isinstance(event, AlertChanged)] == [
        "ObserverFailed"
    ]
    assert SECRET not in repr(watched.events)


# ------------------------------------------------------------------------------------------------------ Alertmanager


@asynccontextmanager
async def alertmanager(folder: Path, port: int, hook: Hook) -> AsyncIterator[str]:
    """Debian's Alertmanager, which passes on what it groups to a webhook."""
    program = shutil.which("prometheus-alertmanager")
    assert program is not None, "prometheus-alertmanager is not installed: make parts"
    config = folder / "alertmanager.yml"
    config.write_text(
        "route: {receiver: hook, group_by: [server], group_wait: 500ms, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: '{hook.url}', send_resolved: true}}]}}]\n"
    )
    url = f"http://127.0.0.1:{port}"
    arguments = (
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    process = await anyio.open_process(
        [program, *arguments, "--cluster.listen-address="], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with httpx2.AsyncClient() as client:
            with anyio.fail_after(20):
                while True:
                    try:
                        if (await client.get(f"{url}/-/ready")).is_success:
                            break
                    except httpx2.TransportError:
                        await anyio.sleep(0.05)
        yield url
    finally:
        process.terminate()
        await process.wait()
        await process.aclose()


async def queried(url: str) -> set[tuple[str, str]]:
    """What `amtool` shows as active: (server, replica) of each alert."""
    program = shutil.which("amtool")
    assert program is not None, "amtool is not installed: make parts"
    done = await anyio.run_process([program, f"--alertmanager.url={url}", "alert", "query", "-o", "json"])
    return {(alert["labels"]["server"], alert["labels"].get("replica", "")) for alert in json.loads(done.stdout)}


@pytest.mark.requirement("ALERTS-DELIVERY")
async def test_debians_alertmanager_receives_groups_and_resolves(tmp_path: Path, free_tcp_port: int) -> None:
    with webhook() as hook:
        async with alertmanager(tmp_path, free_tcp_port, hook) as url:
            sink = SinkPolicy(type="alertmanager", url=url, resend=0.5, pause=0.05)
            async with running(Watched(am=sink)) as watched:
                watched.down |= {("search", "a"): True, ("search", "b"): True, ("files", ""): True}
                await eventually(lambda: len(hook.heard) >= 2)
                assert await queried(url) == {("search", "a"), ("search", "b"), ("files", "")}
                # Told again and again, it stays one notification for each group.
                await eventually(lambda: watched.sink("am").delivered >= 5)
                firing = [heard for heard in hook.heard if heard["status"] == "firing"]
                assert {heard["groupLabels"]["server"]: len(heard["alerts"]) for heard in firing} == {
                    "search": 2,
                    "files": 1,
                }
                assert len(firing) == 2
                watched.down = dict.fromkeys(watched.down, False)
                await eventually(lambda: len([one for one in hook.heard if one["status"] == "resolved"]) == 2)
                assert await queried(url) == set()
                assert watched.sink("am").failed == 0

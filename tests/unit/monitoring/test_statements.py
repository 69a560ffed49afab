from __future__ import annotations

import json
import random
from datetime import UTC, datetime

import pytest

from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.statements import Statement

pytestmark = pytest.mark.requirement("TRENDS")

EPOCH = 1_700_000_000.0


class World:
    """A domain with traffic, in virtual time: folded every ten seconds, as a slow second hand would."""

    def __init__(self) -> None:
        self.now = 0.0
        self.metrics = MetricsCollector(clock=lambda: self.now, wall=lambda: EPOCH + self.now)
        self.dice = random.Random(20261130)
        self.said: set[tuple[str, str]] = set()
        """(metric, against) of everything that was ever said."""

    def run(self, seconds: float, *, rate: float = 1.0, slower: float = 1.0, failing: float = 0.0) -> list[str]:
        """Let requests come at random times for a while; return what is said at the end."""
        end = self.now + seconds
        fold = self.now + 10
        while self.now < end:
            self.now += self.dice.expovariate(rate) if rate else 1.0
            while fold <= self.now:
                self.metrics.fold()
                self.said |= {(each.metric, each.against) for each in self.metrics.statements()}
                fold += 10
            if rate:
                failed = self.dice.random() < failing
                duration = slower * self.dice.lognormvariate(-2, 0.6)
                self.metrics.record("speech", "run", duration=duration, outcome="error" if failed else "ok")
        return [str(each).split(" since")[0] for each in self.metrics.statements()]


def clock_time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%H:%M}"


def test_a_domain_that_becomes_slow_is_said_to_be_with_its_ratio_and_since_when_until_it_recovers() -> None:
    world = World()
    assert world.run(1800) == []
    begin = world.now
    world.run(120, slower=3.0)
    (said,) = world.metrics.statements()
    assert (said.domain, said.against) == ("speech", "hour")
    assert said.ratio == pytest.approx(3.0, rel=0.4)
    assert EPOCH + begin <= said.since <= EPOCH + begin + 90
    assert str(said) == f"{said.metric} {said.ratio:.1f}× its hour's norm since {clock_time(said.since)}"
    world.run(120)
    assert world.metrics.statements() == ()


def test_trouble_does_not_become_normal_while_it_lasts_half_an_hour() -> None:
    world = World()
    world.run(1200)
    world.run(1800, slower=3.0)
    assert [each.ratio for each in world.metrics.statements()] == [pytest.approx(3.0, rel=0.4)]


def test_requests_that_fail_are_a_statement_and_so_is_their_having_none_before() -> None:
    world = World()
    world.run(1500)
    assert world.run(120, failing=0.2)[0].endswith("% of requests fail, its hour's norm has none,")
    (said,) = world.metrics.statements()
    assert said.current == pytest.approx(0.2, abs=0.1)


def test_traffic_that_doubles_and_traffic_that_ceases_are_statements() -> None:
    world = World()
    world.run(1500, rate=2.0)
    (doubled,) = world.run(120, rate=6.0)
    assert doubled.startswith("rate ")
    assert world.run(300, rate=2.0) == []
    (ceased,) = world.run(120, rate=0.0)
    assert ceased == "no requests"
    assert "its hour's norm is 2." in str(world.metrics.statements()[0])


def test_batches_with_rests_between_are_their_own_norm() -> None:
    world = World()
    for _ in range(9):
        world.run(180, rate=2.0)
        world.run(240, rate=0.0)
    assert world.said == set()


def test_an_hour_of_noise_says_nothing() -> None:
    world = World()
    for _ in range(60):
        # Now and then a handful of requests is slow together, and one in a hundred fails.
        world.run(57, failing=0.01)
        world.run(3, failing=0.01, slower=4.0)
    assert world.said == set()


def test_one_slow_and_failed_request_among_few_says_nothing() -> None:
    world = World()
    world.run(3600, rate=0.05)
    world.metrics.record("speech", "run", duration=60.0, outcome="error")
    assert world.run(120, rate=0.05) == []


def test_the_first_ten_minutes_are_no_norm() -> None:
    world = World()
    world.run(400)
    assert world.run(200, slower=10.0, failing=0.5) == []


def test_the_same_hour_of_yesterday_is_compared_where_the_last_hour_says_nothing() -> None:
    world = World()
    world.run(3600, rate=0.3)
    # A day of the same, in which nobody looked; then an hour that grows slow so slowly that no minute stands out.
    world.now += 22.6 * 3600
    for part in range(60):
        world.run(60, rate=0.5, slower=1.0 + part / 10)
    said = world.metrics.statements()
    assert {each.against for each in said} == {"yesterday"}
    assert any("the same hour yesterday since" in str(each) for each in said)


def test_statements_and_all_trends_are_on_the_dashboard_and_json() -> None:
    world = World()
    world.run(1500)
    world.run(120, slower=3.0)
    (told,) = json.loads(json.dumps(world.metrics.dashboard()))["statements"]
    assert (told["domain"], told["text"]) == ("speech", str(world.metrics.statements()[0]))
    trends = world.metrics.trends()["speech"]
    assert [trend.metric for trend in trends] == ["rate", "error_ratio", "p50", "p90", "p95", "p99"]
    assert trends[4] == world.metrics.trend("speech", "p95")


def test_a_statement_of_long_ago_has_its_date() -> None:
    day = 86_400.0
    said = Statement("speech", "p99", "hour", 4.2, 0.2, EPOCH, EPOCH + 3 * day)
    then = datetime.fromtimestamp(EPOCH, UTC).astimezone()
    assert str(said) == f"p99 21× its hour's norm since {then:%H:%M on %d %B}"


def test_a_watch_that_fails_is_counted_and_costs_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.run(700)
    monkeypatch.setattr("trunkline.monitoring.statements.judge", lambda *_: 1 / 0)
    world.run(30)
    assert world.metrics.statements() == ()
    page = world.metrics.dashboard()
    assert page["totals"]["requests"] > 30
    assert page["telemetry"]["observer_failures"] >= 2
    assert repr(world.metrics._trends) == "<TrendWatch [1 domains, 0 statements, 0 in doubt]>"

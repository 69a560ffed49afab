"""Our alerts and Prometheus's: the exported rules, told what our own were told, come to the same within one evaluation.

Each scenario is rehearsed with the real collector, rules and exporter; what was exported is given to `promtool`, the
rules of each in a file of their own, and all of them in one run.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from trunkline.alerts.prometheus_rules import rule_file
from trunkline.alerts.rehearsal import Rehearsal
from trunkline.alerts.rule import Rule, rules_of
from trunkline.alerts.rule_tests import promtool_tests
from trunkline.alerts.stories import Story, tell
from trunkline.alerts.yaml_text import yaml_text
from trunkline.cli.main import main
from trunkline.policy import AlertRule, AlertSettings, DomainPolicy

pytestmark = pytest.mark.integration

ERRORS = AlertRule(limit=0.05, for_=30.0, keep_firing_for=60.0)
DOMAINS = {"speech": DomainPolicy(p95=1.0, p99=1.7, mean=0.5, error_ratio=0.2, slo=0.999)}
CYCLE = ["firing", "pending", "recovering"]
Happens = Callable[[Story, int], None]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program is not None, "promtool is not installed: make parts"
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=280, check=False)


@dataclass(frozen=True)
class Scenario:
    title: str
    rules: tuple[Rule, ...]
    happens: Happens
    states: list[str]
    """Every state that some alert was in."""
    steps: int = 60

    @property
    def name(self) -> str:
        return self.rules[0].name

    def rehearsed(self) -> Rehearsal:
        rehearsal = Rehearsal(AlertSettings(), rules=self.rules)
        story = Story(rehearsal)
        for step in range(self.steps):
            self.happens(story, step)
            rehearsal.step()
        return rehearsal


def errors(*shares: tuple[int, int], domain: str = "speech") -> Happens:
    """Fifty requests in each step, of which so many fail from so many steps on."""

    def happens(story: Story, step: int) -> None:
        bad = next((bad for start, bad in reversed(shares) if step >= start), 0)
        story.domain(domain, 50 - bad, 0.1, bad=False)
        story.domain(domain, bad, 0.1, bad=True)

    return happens


def together(*several: Happens) -> Happens:
    def happens(story: Story, step: int) -> None:
        for one in several:
            one(story, step)

    return happens


def rarely(story: Story, step: int) -> None:
    if step % 6 == 0:
        story.domain("speech", 1, 0.1, bad=step == 24)


def flapping(story: Story, step: int) -> None:
    story.rehearsal.down["search"] = 4 <= step < 44 and step % 4 < 2


def ceasing(story: Story, step: int) -> None:
    if step < 30:
        errors((20, 25))(story, step)


def all_at_once(story: Story, step: int) -> None:
    errors()(story, step)
    if step == 20:
        # Twelve failures of a kind that was never seen before, between two scrapes.
        for _ in range(30):
            story.rehearsal.metrics.record("speech", "other", duration=0.1, outcome="ServerError")


def returning(story: Story, step: int) -> None:
    if not 20 <= step < 30:
        errors((10, 20), (40, 0))(story, step)


def slow(seconds: float) -> Happens:
    return lambda story, step: story.domain("speech", 50, seconds if 20 <= step < 30 else 0.05, bad=False)


def attempts(bad: bool, seconds: float) -> Happens:
    return lambda story, step: story.server(
        "search", 20, seconds if 20 <= step < 32 else 0.1, bad=bad and 20 <= step < 32
    )


def silent(story: Story, step: int) -> None:
    if not 20 <= step < 46:
        story.domain("speech", 2, 0.1, bad=False)


def rule(policy: AlertRule = ERRORS) -> tuple[Rule, ...]:
    return (Rule("Watched", policy),)


EXCEPT = tuple(
    each for each in rules_of(AlertSettings(), {"chat": DomainPolicy(error_ratio=0.5)}) if each.name == "DomainErrors"
)
SCENARIOS = [
    Scenario("one failure at low traffic is nothing", rule(), rarely, []),
    Scenario(
        "a flapping server is one incident",
        rule(AlertRule(of="health", bad="state", for_=15.0, keep_firing_for=60.0)),
        flapping,
        CYCLE,
    ),
    Scenario(
        "failures of a new kind count from the first",
        rule(replace(ERRORS, limit=0.02, for_=0.0)),
        all_at_once,
        CYCLE[::2],
    ),
    Scenario("a share between resolve and limit keeps it firing", rule(), errors((14, 6), (24, 2), (50, 0)), CYCLE, 80),
    Scenario("a short burst does not move the long window", rule(), errors((30, 8), (31, 0)), []),
    Scenario(
        "without a short window it lasts as long as the long one",
        rule(replace(ERRORS, short=0.0)),
        errors((20, 20), (24, 0)),
        CYCLE,
        70,
    ),
    Scenario("traffic that ceases ends it", rule(), ceasing, CYCLE),
    Scenario(
        "what comes back within the time is the same incident",
        rule(replace(ERRORS, keep_firing_for=300.0)),
        returning,
        CYCLE,
        90,
    ),
    Scenario("fewer events than the minimum say nothing", rule(replace(ERRORS, min_events=2000)), errors((20, 40)), []),
    Scenario(
        "a pattern picks the domain",
        rule(replace(ERRORS, only=("ch*",))),
        together(errors((20, 25), (26, 0)), errors((20, 25), (26, 0), domain="chat")),
        CYCLE,
    ),
    Scenario(
        "a domain of its own limit is left to it",
        EXCEPT,
        together(errors((20, 10), (30, 0)), errors((20, 10), (30, 0), domain="chat")),
        CYCLE,
    ),
    Scenario(
        "slower than a bound of the exported buckets",
        rule(AlertRule(bad="slow", slower_than=0.5, for_=30.0)),
        slow(0.8),
        CYCLE,
    ),
    Scenario(
        "slower than what lies between two bounds",
        rule(AlertRule(bad="slow", slower_than=0.3, for_=30.0)),
        slow(0.45),
        CYCLE,
    ),
    Scenario("slower than a whole second", rule(AlertRule(bad="slow", slower_than=2.0, for_=30.0)), slow(4.0), CYCLE),
    Scenario("attempts at a server fail", rule(replace(ERRORS, of="server")), attempts(True, 0.1), CYCLE),
    Scenario(
        "attempts at a server take long on average",
        rule(AlertRule(of="server", bad="mean", limit=0.5)),
        attempts(False, 3.0),
        CYCLE,
    ),
    Scenario(
        "what should happen does not", rule(AlertRule(bad="absent", for_=30.0, keep_firing_for=30.0)), silent, CYCLE, 70
    ),
]


def built_in() -> Iterator[tuple[str, tuple[Rule, ...], Rehearsal]]:
    """The life of every rule in force, thresholds of a domain among them."""
    for each in rules_of(AlertSettings(), DOMAINS):
        if each.policy.of != "upkeep":
            interval = min(240.0, max(15.0, (each.policy.short or each.policy.long) / 10))
            title = f"{each.name} {each.domain}".strip()
            yield title, (each,), tell(AlertSettings(), each, interval=interval)


@pytest.fixture(scope="module")
def rehearsals() -> dict[str, tuple[tuple[Rule, ...], Rehearsal]]:
    found = {title: (rules, rehearsal) for title, rules, rehearsal in built_in()}
    return found | {scenario.title: (scenario.rules, scenario.rehearsed()) for scenario in SCENARIOS}


def written(folder: Path, number: int, title: str, rules: tuple[Rule, ...], rehearsal: Rehearsal) -> list[Path]:
    """The files of one scenario: its rules, and what is to be found of them."""
    told = folder / f"rules-{number}.yml"
    told.write_text(yaml_text(rule_file(rules)))
    tests = folder / f"tests-{number}.yml"
    tests.write_text(yaml_text(promtool_tests({title: (rules[0].name, rehearsal)}, [told.name])))
    return [told, tests]


@pytest.mark.requirement("ALERTS-PARITY")
def test_prometheus_comes_to_the_same_within_one_evaluation(
    tmp_path: Path, rehearsals: dict[str, tuple[tuple[Rule, ...], Rehearsal]]
) -> None:
    assert len(rehearsals) >= 20
    files = [written(tmp_path, number, title, *about) for number, (title, about) in enumerate(rehearsals.items())]
    done = promtool("test", "rules", *(tests for _, tests in files))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(rehearsals)
    checked = promtool("check", "rules", *(rules for rules, _ in files))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "FAILED" not in checked.stdout


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_each_scenario_is_about_what_it_says(
    scenario: Scenario, rehearsals: dict[str, tuple[tuple[Rule, ...], Rehearsal]]
) -> None:
    _, rehearsal = rehearsals[scenario.title]
    assert sorted({state for moment in rehearsal.moments for state in moment.values()}) == scenario.states


def test_what_does_not_agree_is_found(tmp_path: Path) -> None:
    (scenario,) = [each for each in SCENARIOS if each.title.startswith("a share between")]
    wrong = replace(scenario, rules=rule(replace(ERRORS, limit=0.15)))
    tmp_path.joinpath("rules-0.yml").write_text("")
    told, tests = written(tmp_path, 0, scenario.title, scenario.rules, scenario.rehearsed())
    told.write_text(yaml_text(rule_file(wrong.rules)))
    done = promtool("test", "rules", tests)
    assert done.returncode != 0
    assert "FAILED" in done.stdout + done.stderr


@pytest.mark.requirement("ALERTS-RULES")
def test_exported_rules_and_their_tests_are_sound_as_the_command_writes_them(tmp_path: Path) -> None:
    config = tmp_path / "trunkline.toml"
    config.write_text(
        '[mcpServers.search]\nurl = "http://127.0.0.1:9/mcp"\n'
        "[trunkline.domains.speech]\np95 = 1.0\nerror_ratio = 0.2\nslo = 0.99\n"
        '[trunkline.domains."odd \\"name\\" (1)*"]\nerror_ratio = 0.5\n'
        '[trunkline.alerts.rules.SearchSlow]\nof = "tool"\nbad = "slow"\nonly = ["search_*"]\nslower_than = 0.7\n'
        'runbook = "https://runbooks.internal/search?a=b"\n'
        "[trunkline.alerts.rules.CacheMisses]\nenabled = false\n"
        "[trunkline.alerts.rules.ToolErrors]\nenabled = false\n"
    )
    rules, tests = tmp_path / "rules.yml", tmp_path / "tests.yml"
    assert main(["export", "prometheus-rules", str(config), "--out", str(rules)]) == 0
    checked = promtool("check", "rules", rules)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "SUCCESS" in checked.stdout
    text = rules.read_text()
    assert "CacheMisses" not in text
    assert "runbook_url" in text
    # The tests of some of them: those of an hour take promtool a while.
    config.write_text(
        '[mcpServers.search]\nurl = "http://127.0.0.1:9/mcp"\n[trunkline.domains.speech]\nerror_ratio = 0.2\n'
        + "".join(
            f"[trunkline.alerts.rules.{name}]\nenabled = false\n"
            for name in (
                "CacheMisses",
                "ToolErrors",
                "ToolSlow",
                "HealthReadSlow",
                "RecordSlow",
                "CircuitOpen",
                "DependencyDown",
            )
        )
    )
    assert main(["export", "prometheus-rules", str(config), "--out", str(rules)]) == 0
    assert main(["export", "prometheus-rules", str(config), "--tests", rules.name, "--out", str(tests)]) == 0
    done = promtool("test", "rules", tests)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_rules_is_exported(rehearsals: dict[str, tuple[tuple[Rule, ...], Rehearsal]]) -> None:
    names = {series.partition("{")[0] for _, rehearsal in rehearsals.values() for series in rehearsal.series}
    assert names >= {
        "trunkline_domain_request_duration_seconds_bucket",
        "gen_ai_execute_tool_duration_seconds_count",
        "mcp_client_operation_duration_seconds_sum",
        "trunkline_cache_requests_total",
        "trunkline_circuit_state",
        "trunkline_server_up",
        "trunkline_dependency_up",
        "trunkline_event_loop_lag_last_seconds",
        "trunkline_upkeep_total",
        "trunkline_upkeep_seconds_total",
    }

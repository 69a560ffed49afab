"""The alerts' part of a configuration: what is accepted, what is refused, and that no address of a sink is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from trunkline.config import Settings, load
from trunkline.errors import ConfigError
from trunkline.policy import BUILT_IN_RULES, AlertRule, AlertSettings, DomainPolicy, SinkPolicy

SERVERS = {"search": {"url": "https://search.internal/mcp"}}


def loaded(trunkline: Mapping[str, Any], **environ: str) -> Settings:
    return load({"mcpServers": SERVERS, "trunkline": trunkline}, environ=environ)


def problems_of(alerts: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded({"alerts": alerts})
    return [problem.removeprefix("configuration: trunkline.alerts") for problem in caught.value.problems]


def test_without_a_table_the_built_in_rules_are_in_force_and_nobody_is_told() -> None:
    assert loaded({}).alerts == AlertSettings()
    assert dict(AlertSettings().rules) == dict(BUILT_IN_RULES)


@pytest.mark.requirement("SEED-METRICS-3")
def test_a_rule_of_the_configuration_changes_what_it_says_of_a_built_in_one_or_is_new() -> None:
    rules = {
        "DomainErrors": {"limit": 0.02, "for": 30},
        "ToolSlow": {"enabled": False},
        "SearchSlow": {"of": "tool", "only": ["search_*"], "bad": "slow", "slower_than": 0.5, "limit": 0.1},
    }
    found = loaded({"alerts": {"interval": 5, "rules": rules}}).alerts
    assert found.interval == 5.0
    assert found.rules["DomainErrors"] == AlertRule(of="domain", bad="error", limit=0.02, for_=30.0)
    assert found.rules["ToolSlow"].enabled is False
    assert found.rules["SearchSlow"].only == ("search_*",)
    assert found.rules["ServerDown"] == BUILT_IN_RULES["ServerDown"]


def test_a_sink_takes_its_secrets_from_variables_and_shows_none_of_them() -> None:
    sinks = {
        "ops": {"url": "https://hooks.internal/${HOOK}", "headers": {"Authorization": "Bearer ${HOOK}"}},
        "am": {"type": "alertmanager", "url": "http://alertmanager.internal:9093", "at_least": "warning"},
    }
    settings = loaded({"alerts": {"sinks": sinks}}, HOOK="hunter2hunter2")
    ops = settings.alerts.sinks["ops"]
    assert ops == SinkPolicy(
        url="https://hooks.internal/hunter2hunter2", headers={"Authorization": "Bearer hunter2hunter2"}
    )
    assert "hunter2" not in repr(settings) + repr(settings.alerts)
    assert settings.secrets.mask("it is hunter2hunter2") == "it is [redacted]"
    assert settings.notices == ()


def test_thresholds_of_a_domain_are_checked_and_have_an_effect() -> None:
    settings = loaded({"domains": {"speech": {"p95": 1, "slo": 0.99, "enabled": True}}})
    assert settings.domains["speech"] == DomainPolicy(p95=1.0, slo=0.99)
    assert settings.notices == ()


@pytest.mark.parametrize(
    ("alerts", "problem"),
    [
        (5, ": found 5 (a whole number), expected a table"),
        ({"rules": []}, ".rules: found an array, expected a table of tables by name"),
        ({"sinks": {"": {}}}, '.sinks."": a name is empty, expected at least one character'),
        ({"rule": {}}, '.rule: unknown key; did you mean "rules"?'),
        (
            {"rules": {"Search-Slow": {}}},
            ".rules.Search-Slow: a rule's name has letters, digits and underscores only, and begins with no digit",
        ),
        (
            {"rules": {"DomainErrors": {"limit": 5.0}}},
            ".rules.DomainErrors.limit: found 5.0 (a number), expected a ratio greater than 0, at most 1",
        ),
        ({"rules": {"R": {"for": -1}}}, ".rules.R.for: found -1 (a whole number), expected 0 or more"),
        ({"rules": {"R": {"for_": 1}}}, '.rules.R.for_: unknown key; did you mean "for"?'),
        (
            {"rules": {"R": {"of": "circuit"}}},
            ".rules.R: bad does not fit the rest, expected state, which is what a circuit has",
        ),
        (
            {"rules": {"R": {"bad": "slow"}}},
            '.rules.R: slower_than does not fit the rest, expected seconds where bad is "slow", and nothing elsewhere',
        ),
        (
            {"rules": {"R": {"long": 90000}}},
            (".rules.R.long: found 90000 (a whole number), expected at most 21600 s, since a restart forgets the past"),
        ),
        (
            {"sinks": {"ops": {"url": "ftp://u:hunter2@hooks.internal"}}},
            (
                ".sinks.ops.url: found <hidden> (a string), expected an address that begins with http:// or https:// "
                "and names a host"
            ),
        ),
        (
            {"sinks": {"ops": {}}},
            ".sinks.ops.url: found nothing, expected an address that begins with http:// or https:// and names a host",
        ),
        (
            {"sinks": {"ops": {"url": "http://h", "headers": {"X": 5}}}},
            ".sinks.ops.headers: found a table, expected a table of strings",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_what_was_found_and_what_to_do(alerts: object, problem: str) -> None:
    assert problems_of(alerts) == [problem]


def test_a_sink_that_is_switched_off_needs_no_address() -> None:
    assert loaded({"alerts": {"sinks": {"ops": {"enabled": False}}}}).alerts.sinks["ops"].url is None

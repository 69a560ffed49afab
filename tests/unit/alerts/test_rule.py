"""What configured rules and thresholds of domains make together."""

from __future__ import annotations

from trunkline.alerts.rule import Rule, rules_of
from trunkline.policy import BUILT_IN_RULES, AlertRule, AlertSettings, DomainPolicy


def named(name: str, **domains: DomainPolicy) -> list[Rule]:
    return [rule for rule in rules_of(AlertSettings(), domains) if rule.name == name]


def test_without_any_configuration_the_built_in_rules_are_in_force() -> None:
    rules = {rule.name: rule.policy for rule in rules_of(AlertSettings(), {})}
    assert rules == dict(BUILT_IN_RULES)
    # The seed's own thresholds.
    assert (rules["ToolSlow"].bad, rules["ToolSlow"].limit) == ("mean", 2.0)
    assert rules["DomainErrors"].limit == rules["ToolErrors"].limit == 0.05
    assert rules["CacheMisses"].limit == 0.2
    assert rules["HealthReadSlow"].limit == 0.1
    assert rules["RecordSlow"].limit == 0.001


def test_a_rule_that_is_switched_off_is_not_in_force() -> None:
    settings = AlertSettings(rules={"On": AlertRule(), "Off": AlertRule(enabled=False)})
    assert [rule.name for rule in rules_of(settings, {})] == ["On"]


def test_a_domains_own_error_ratio_takes_it_out_of_the_rule_for_all() -> None:
    everyone, speech = named("DomainErrors", speech=DomainPolicy(error_ratio=0.2))
    assert (everyone.policy.limit, everyone.covers(("speech",)), everyone.covers(("chat",))) == (0.05, False, True)
    assert (speech.policy.limit, speech.covers(("speech",)), speech.covers(("chat",))) == (0.2, True, False)


def test_each_threshold_of_a_domain_is_a_rule_of_its_own() -> None:
    policy = DomainPolicy(p95=1.0, p99=2.0, mean=0.5, slo=0.999)
    own = {rule.name: rule.policy for rule in rules_of(AlertSettings(rules={}), {"speech": policy})}
    assert own.keys() == {"DomainSlowP95", "DomainSlowP99", "DomainSlow", "DomainBudgetFast", "DomainBudgetSlow"}
    assert (own["DomainSlowP95"].slower_than, own["DomainSlowP95"].limit) == (1.0, 0.05)
    assert (own["DomainSlowP99"].slower_than, own["DomainSlowP99"].limit) == (2.0, 0.01)
    assert (own["DomainSlow"].bad, own["DomainSlow"].limit) == ("mean", 0.5)
    assert round(own["DomainBudgetFast"].limit, 6) == 0.0144
    assert (own["DomainBudgetSlow"].long, own["DomainBudgetSlow"].severity) == (21600.0, "warning")


def test_a_goal_that_cannot_be_burnt_so_fast_gives_no_rule_for_it() -> None:
    assert named("DomainBudgetFast", speech=DomainPolicy(slo=0.9)) == []
    assert len(named("DomainBudgetSlow", speech=DomainPolicy(slo=0.9))) == 1


def test_a_domain_that_is_switched_off_is_in_no_rule() -> None:
    rules = rules_of(AlertSettings(), {"test": DomainPolicy(enabled=False, p95=1.0)})
    assert not [rule.name for rule in rules if rule.policy.of == "domain" and rule.covers(("test",))]


def test_a_domains_minimum_of_events_holds_in_every_rule_about_it() -> None:
    rules = rules_of(AlertSettings(), {"rare": DomainPolicy(min_events=3, p95=1.0)})
    mine = [rule for rule in rules if rule.policy.of == "domain" and rule.covers(("rare",))]
    assert {(rule.name, rule.policy.min_events) for rule in mine} == {("DomainErrors", 3), ("DomainSlowP95", 3)}


def test_a_domain_may_be_called_like_a_pattern() -> None:
    (_, odd) = named("DomainErrors", **{"a*[b]?": DomainPolicy(error_ratio=0.5)})
    assert odd.covers(("a*[b]?",))
    assert not odd.covers(("axb",))


def test_a_pattern_speaks_of_a_tools_name_and_of_a_circuits_server() -> None:
    assert Rule("r", AlertRule(of="tool", only=("web_*",))).covers(("search", "web_find"))
    assert Rule("r", AlertRule(of="circuit", bad="state", only=("search",))).covers(("search", "b"))

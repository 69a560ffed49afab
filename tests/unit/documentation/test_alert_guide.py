"""docs/alerts.md: its table of rules is what is in force, its configurations load."""

from __future__ import annotations

import tomllib

from tests.unit.documentation.guide import Guide
from trunkline.alerts.wording import number
from trunkline.config import load
from trunkline.policy import BUILT_IN_RULES

GUIDE = Guide("alerts")


def rules_table() -> str:
    """One row for each built-in rule."""
    rows = ["| rule | about | fires above | for | severity |", "|---|---|---|---|---|"]
    for name, rule in BUILT_IN_RULES.items():
        measure = f"{rule.limit:g}" if rule.bad in ("error", "miss") else number(rule.limit)
        is_plain = rule.of in ("health", "dependency", "circuit")
        above = "–" if is_plain else f"{rule.bad} {measure}" if rule.bad != "state" else measure
        about = f"{rule.of} {', '.join(f'`{name}`' for name in rule.only)}".strip()
        rows.append(f"| `{name}` | {about} | {above} | {number(rule.for_)} | {rule.severity} |")
    return "\n".join(rows)


def test_the_guides_table_of_rules_is_what_is_in_force() -> None:
    assert f"<!-- rules -->\n{rules_table()}\n" in GUIDE.text


def test_every_configuration_in_the_guide_loads_without_a_problem_or_a_notice() -> None:
    assert len(GUIDE.blocks("toml")) >= 3
    for block in GUIDE.blocks("toml"):
        found = load(tomllib.loads(block) | {"mcpServers": {"s": {"command": "x"}}}, environ={"OPS_HOOK": "hunter2"})
        assert found.notices == ()

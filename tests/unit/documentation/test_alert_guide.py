"""docs/alerts.md: its tables are those of the policies, its code is run, its configuration loads."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.unit.documentation.policy_tables import table_of
from trunkline.alerts.wording import number
from trunkline.config import load
from trunkline.policy import BUILT_IN_RULES, AlertRule, AlertSettings, DomainPolicy, SinkPolicy

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "alerts.md").read_text("utf-8")
EXAMPLES = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs_src" / "alerts").glob("*.py"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


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


@pytest.mark.parametrize("policy", [AlertRule, DomainPolicy, AlertSettings, SinkPolicy])
def test_the_guides_table_of_a_policy_is_what_its_fields_say(policy: type[object]) -> None:
    assert f"<!-- policy: {policy.__name__} -->\n{table_of(policy)}\n" in TEXT


def test_the_guides_table_of_rules_is_what_is_in_force() -> None:
    assert f"<!-- rules -->\n{rules_table()}\n" in TEXT


def test_every_example_of_the_guide_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "docs_src/alerts"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout


def test_code_in_the_guide_stands_in_an_example() -> None:
    code = [line.strip() for block in blocks("python") for line in block.splitlines()]
    assert code
    assert [line for line in code if line and line not in EXAMPLES] == []


def test_every_configuration_in_the_guide_loads_without_a_problem_or_a_notice() -> None:
    assert len(blocks("toml")) >= 3
    for block in blocks("toml"):
        found = load(tomllib.loads(block) | {"mcpServers": {"s": {"command": "x"}}}, environ={"OPS_HOOK": "hunter2"})
        assert found.notices == ()

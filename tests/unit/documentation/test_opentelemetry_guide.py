"""docs/opentelemetry.md: its tables are those of the policies, its code is run, its metrics and attributes exist."""

from __future__ import annotations

import re
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from tests.unit.documentation.policy_tables import table_of
from trunkline.config import load
from trunkline.policy import OtlpPolicy, TelemetryPolicy

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "opentelemetry.md").read_text("utf-8")
EXAMPLE = ROOT / "docs_src" / "opentelemetry" / "test_traced.py"
ADAPTER = "".join(path.read_text("utf-8") for path in (ROOT / "src" / "trunkline" / "monitoring" / "otel").glob("*.py"))


def blocks(language: str) -> list[str]:
    """The guide's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("policy", [TelemetryPolicy, OtlpPolicy])
def test_the_guides_table_of_a_policy_is_what_its_fields_say(policy: type[object]) -> None:
    assert f"<!-- policy: {policy.__name__} -->\n{table_of(policy)}\n" in TEXT


@pytest.mark.anyio
async def test_the_guides_example_passes_and_its_code_stands_there() -> None:
    spec = spec_from_file_location("traced", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    await module.test_a_call_is_found_by_its_trace()
    example = EXAMPLE.read_text("utf-8")
    assert [line for block in blocks("python") for line in block.splitlines() if line not in example] == []


@pytest.mark.requirement("OTLP-CONFIG")
def test_every_configuration_in_the_guide_loads_and_has_its_effect() -> None:
    assert len(blocks("toml")) == 2
    for block in blocks("toml"):
        settings = load({"mcpServers": {"s": {"command": "x"}}, **tomllib.loads(block)}, environ={"COLLECTOR_KEY": "k"})
        assert settings.notices == ()
        assert settings.telemetry != TelemetryPolicy()


def test_every_metric_of_the_push_is_in_the_guide() -> None:
    exported = set(re.findall(r'"(trunkline_otlp_\w+)"', ADAPTER))
    assert len(exported) == 4
    assert {name.removesuffix("_total") for name in re.findall(r"`(trunkline_otlp_\w+)`", TEXT)} == exported


def test_every_attribute_of_ours_is_in_the_guide() -> None:
    made = set(re.findall(r'"trunkline\.([a-z.]+)"', ADAPTER)) - {"attempt", "delay", ""}
    assert made
    assert [name for name in made if f"`.{name}`" not in TEXT and f"`trunkline.{name}`" not in TEXT] == []

"""docs/opentelemetry.md: its configurations load, its metrics and attributes exist."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.unit.documentation.guide import ROOT, Guide
from trunkline.config import load
from trunkline.policy import TelemetryPolicy

GUIDE = Guide("opentelemetry")
ADAPTER = "".join(path.read_text("utf-8") for path in (ROOT / "src" / "trunkline" / "monitoring" / "otel").glob("*.py"))


@pytest.mark.requirement("OTLP-CONFIG")
def test_every_configuration_in_the_guide_loads_and_has_its_effect() -> None:
    assert len(GUIDE.blocks("toml")) == 2
    for block in GUIDE.blocks("toml"):
        settings = load({"mcpServers": {"s": {"command": "x"}}, **tomllib.loads(block)}, environ={"COLLECTOR_KEY": "k"})
        assert settings.notices == ()
        assert settings.telemetry != TelemetryPolicy()


def test_every_metric_of_the_push_is_in_the_guide() -> None:
    exported = set(re.findall(r'"(trunkline_otlp_\w+)"', ADAPTER))
    assert len(exported) == 4
    assert {name.removesuffix("_total") for name in re.findall(r"`(trunkline_otlp_\w+)`", GUIDE.text)} == exported


def test_every_attribute_of_ours_is_in_the_guide() -> None:
    made = set(re.findall(r'"trunkline\.([a-z.]+)"', ADAPTER)) - {"attempt", "delay", ""}
    assert made
    assert [name for name in made if f"`.{name}`" not in GUIDE.text and f"`trunkline.{name}`" not in GUIDE.text] == []

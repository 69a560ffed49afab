"""docs/cache.md: its configurations load, its metrics exist."""

from __future__ import annotations

import re
import tomllib

from tests.unit.documentation.guide import ROOT, Guide
from trunkline.config import load
from trunkline.gateway.requests import CACHE_KEY

GUIDE = Guide("cache")


def test_every_configuration_in_the_guide_loads_without_a_problem_and_alone_says_what_it_needs() -> None:
    assert len(GUIDE.blocks("toml")) >= 4
    for block in GUIDE.blocks("toml"):
        load(tomllib.loads(block), environ={"REDIS_PASSWORD": "hunter2"})


def test_every_metric_in_the_guide_is_exported_and_every_one_of_the_cache_is_in_the_guide() -> None:
    sources = (ROOT / "src" / "trunkline" / "cache_readings.py").read_text("utf-8")
    exported = {
        name if kind == "_gauge" else f"{name}_total"
        for kind, name in re.findall(r'(_gauge|_counter|counted_by)\((?:"\w+", )?"(trunkline_\w+)"', sources)
    }
    assert len(exported) >= 15
    told = set(re.findall(r"`(trunkline_(?:cache|redis)_\w+)`", GUIDE.text))
    assert told == exported | {"trunkline_cache_requests_total"}


def test_the_name_of_the_callers_wish_is_in_the_guide() -> None:
    assert f"`{CACHE_KEY}`" in GUIDE.text

"""docs/cache.md: its tables are those of the policies, its code is run, its configuration loads, its metrics exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.unit.documentation.policy_tables import table_of
from trunkline.config import load
from trunkline.gateway.requests import CACHE_KEY
from trunkline.policy import CachePolicy, CacheSettings, ListingCachePolicy, RedisPolicy

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "cache.md").read_text("utf-8")
EXAMPLES = {path.name: path.read_text("utf-8") for path in (ROOT / "docs_src" / "cache").glob("*.py")}


def blocks(language: str) -> list[str]:
    """The guide's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("policy", [CachePolicy, ListingCachePolicy, CacheSettings, RedisPolicy])
def test_the_guides_table_of_a_policy_is_what_its_fields_say(policy: type[object]) -> None:
    assert f"<!-- policy: {policy.__name__} -->\n{table_of(policy)}\n" in TEXT


def test_every_example_of_the_guide_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "docs_src/cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout


def test_code_in_the_guide_stands_in_an_example() -> None:
    code = [line.strip() for block in blocks("python") for line in block.splitlines()]
    assert code
    examples = "\n".join(EXAMPLES.values())
    assert [line for line in code if line and line not in examples] == []


def test_every_configuration_in_the_guide_loads_without_a_problem_and_alone_says_what_it_needs() -> None:
    assert len(blocks("toml")) >= 4
    for block in blocks("toml"):
        load(tomllib.loads(block), environ={"REDIS_PASSWORD": "hunter2"})


def test_every_metric_in_the_guide_is_exported_and_every_one_of_the_cache_is_in_the_guide() -> None:
    sources = (ROOT / "src" / "trunkline" / "cache_readings.py").read_text("utf-8")
    exported = {
        name if kind == "_gauge" else f"{name}_total"
        for kind, name in re.findall(r'(_gauge|_counter|counted_by)\((?:"\w+", )?"(trunkline_\w+)"', sources)
    }
    assert len(exported) >= 15
    told = set(re.findall(r"`(trunkline_(?:cache|redis)_\w+)`", TEXT))
    assert told == exported | {"trunkline_cache_requests_total"}


def test_the_name_of_the_callers_wish_is_in_the_guide() -> None:
    assert f"`{CACHE_KEY}`" in TEXT

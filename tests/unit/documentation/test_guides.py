"""What holds for every guide: its code is run, and its tables of settings are those of the policies."""

from __future__ import annotations

import re

import pytest

from tests.unit.documentation.guide import ROOT, Guide
from tests.unit.documentation.policy_tables import table_of
from trunkline import policy

RUN = [Guide(path.name) for path in sorted((ROOT / "docs_src").iterdir()) if path.is_dir()]
TABLES = {
    "access": ["GatewaySettings", "PrincipalPolicy", "JwtPolicy"],
    "alerts": ["AlertRule", "DomainPolicy", "AlertSettings", "SinkPolicy"],
    "credentials": ["ClientCredentials"],
    "cache": ["CachePolicy", "ListingCachePolicy", "CacheSettings", "RedisPolicy"],
    "deployment": ["DrainPolicy"],
    "logging": ["LoggingPolicy", "RepeatsPolicy"],
    "security": ["LimitsPolicy"],
    "opentelemetry": ["TelemetryPolicy", "OtlpPolicy"],
    "pinning": ["PinPolicy", "PinSettings"],
}
"""The policies whose settings a guide has to tell, each in a table."""


def test_every_guide_with_code_has_examples_that_are_run() -> None:
    guides = [Guide(path.stem) for path in sorted((ROOT / "docs").glob("*.md"))]
    assert [guide.name for guide in guides if guide.blocks("python")] == [guide.name for guide in RUN]


@pytest.mark.parametrize("guide", RUN, ids=repr)
def test_every_example_passes(guide: Guide) -> None:
    done = guide.run_examples()
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("guide", RUN, ids=repr)
def test_code_stands_in_an_example(guide: Guide) -> None:
    assert guide.code_of_no_example() == []


@pytest.mark.parametrize("name", TABLES)
def test_the_table_of_a_policy_is_what_its_fields_say(name: str) -> None:
    text = Guide(name).text
    assert sorted(re.findall(r"<!-- policy: (\w+) -->", text)) == sorted(TABLES[name])
    for told in TABLES[name]:
        assert f"<!-- policy: {told} -->\n{table_of(getattr(policy, told))}\n" in text

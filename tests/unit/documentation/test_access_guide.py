"""docs/access.md: its tables are those of the policies, and its configurations load."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.unit.documentation.policy_tables import table_of
from trunkline.config import load
from trunkline.policy import GatewaySettings, JwtPolicy, PrincipalPolicy

TEXT = (Path(__file__).parents[3] / "docs" / "access.md").read_text("utf-8")


@pytest.mark.parametrize("policy", [GatewaySettings, PrincipalPolicy, JwtPolicy])
def test_the_guides_table_of_a_policy_is_what_its_fields_say(policy: type[object]) -> None:
    assert f"<!-- policy: {policy.__name__} -->\n{table_of(policy)}\n" in TEXT


def test_every_configuration_in_the_guide_loads_and_says_nothing_is_amiss() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        settings = load(tomllib.loads(block), environ={})
        assert settings.gateway.authenticates
        assert settings.notices == ()

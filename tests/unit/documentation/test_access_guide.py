"""docs/access.md: its configurations load."""

from __future__ import annotations

import tomllib

from tests.unit.documentation.guide import Guide
from trunkline.config import load

GUIDE = Guide("access")


def test_every_configuration_in_the_guide_loads_and_says_nothing_is_amiss() -> None:
    assert len(GUIDE.blocks("toml")) == 2
    for block in GUIDE.blocks("toml"):
        settings = load(tomllib.loads(block), environ={})
        assert settings.gateway.authenticates
        assert settings.notices == ()

"""docs/credentials.md: its configurations load."""

from __future__ import annotations

import tomllib

from tests.unit.documentation.guide import Guide
from trunkline.config import load
from trunkline.endpoint import HttpEndpoint

GUIDE = Guide("credentials")
ENVIRON = {"SEARCH_TOKEN": "a-token-of-theirs", "STT_KEY": "a-key-of-theirs", "SEARCH_CLIENT_SECRET": "hunter2-hunter2"}


def test_every_configuration_in_the_guide_loads_and_says_nothing_is_amiss() -> None:
    found = [load(tomllib.loads(block), environ=ENVIRON) for block in GUIDE.blocks("toml")]
    assert [settings.notices for settings in found] == [(), ()]
    endpoint = found[1].servers["search"].endpoint
    assert isinstance(endpoint, HttpEndpoint)
    assert endpoint.auth is not None

"""docs/deployment.md: its limits are those of the code."""

from __future__ import annotations

import re

from tests.unit.documentation.guide import Guide
from trunkline.gateway import announcements, broadcast, server
from trunkline.gateway.codes import STOPPING

GUIDE = Guide("deployment")


def test_the_limits_in_the_guide_are_those_in_force() -> None:
    limits = GUIDE.text.partition("## Limits")[2]
    rows = re.findall(r"^\| ([^|]+) \| ([\d]+)(?: (s|MiB))? \| [^|]+ \|$", limits, re.MULTILINE)
    told = {what: int(number) * (2**20 if unit == "MiB" else 1) for what, number, unit in rows}
    assert told == {
        "sessions of the handshake era in one gateway": server._SESSIONS,
        "their life without a request": server._IDLE,
        "subscriptions in one gateway": announcements._STREAMS,
        "viewers of `/api/v1/events` in one gateway": broadcast.MAX_VIEWERS,
        "one request": server._BODY,
    }


def test_the_code_of_who_is_turned_away_is_the_one_in_the_guide() -> None:
    assert f"code {STOPPING}" in GUIDE.text

"""docs/deployment.md: its limits are those of the code."""

from __future__ import annotations

import re

from tests.unit.documentation.guide import Guide
from trunkline.gateway import announcements, broadcast
from trunkline.gateway.codes import STOPPING
from trunkline.policy import LimitsPolicy

GUIDE = Guide("deployment")


def test_the_limits_in_the_guide_are_those_in_force() -> None:
    table = GUIDE.text.partition("## Limits")[2]
    rows = re.findall(r"^\| ([^|]+) \| ([\d]+)(?: (s|MiB))? \| [^|]+ \|$", table, re.MULTILINE)
    limits = LimitsPolicy()
    told = {what: int(number) * (2**20 if unit == "MiB" else 1) for what, number, unit in rows}
    assert told == {
        "sessions of the handshake era in one gateway": limits.sessions,
        "their life without a request": limits.session_idle,
        "subscriptions in one gateway": announcements._STREAMS,
        "viewers of `/api/v1/events` in one gateway": broadcast.MAX_VIEWERS,
        "one request at `/mcp`": limits.body,
    }


def test_the_code_of_who_is_turned_away_is_the_one_in_the_guide() -> None:
    assert f"code {STOPPING}" in GUIDE.text

"""R9, exhaustively: a call given up at each of its await points in turn, in every situation it may be in. Virtual time.

The scenarios are those of the interaction tests; `make test` plays them there, and here only the shortest.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from trio.testing import MockClock

from tests.interaction.test_cancellation import SCENARIOS, Scenario, connection_dies, reaches_its_end
from tests.resilience.conftest import Report
from trunkline.policy import Era

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.timeout(900)]

IS_DRILL = "STORM_SECONDS" in os.environ


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on trio's virtual time."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.mark.requirement("R9")
@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
async def test_a_call_given_up_at_any_await_point_leaves_nothing_behind(era: Era, report: Report) -> None:
    scenarios = list(SCENARIOS) if IS_DRILL else SCENARIOS[:1]
    if IS_DRILL and era == "2025-11-25":
        scenarios.append(Scenario("the connection dies", connection_dies))
    points = 0
    for scenario in scenarios:
        found = [await reaches_its_end(scenario, era, moment) for moment in ("falling asleep", "waking up")]
        assert min(found) >= 1, scenario.name
        points += sum(found)
    report("R9", f"every await point {era}", f"{len(scenarios)} situations, given up at {points} points, 0 left behind")

"""What a test of the fire drill says of its promises goes onto its report, for `Drill` to collect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TypeAlias

import pytest

from tests.resilience.drill import BOUND, ROW
from tests.resilience.promises import PROMISES, Row

Report: TypeAlias = Callable[[str, str, str], None]
"""`report(promise, circumstances, figures)`."""


def _bound(item: pytest.Item) -> tuple[str, ...]:
    """The promises of the drill that a test is bound to."""
    ids = {each for marker in item.iter_markers("requirement") for each in marker.args}
    return tuple(promise for promise in PROMISES if promise in ids)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Add a row to the report; whether it is kept is decided by the outcome of the test that wrote it."""
    bound = _bound(request.node)

    def add(promise: str, circumstances: str, figures: str) -> None:
        assert promise in bound, f"{promise} is none of the promises that this test is bound to: {bound}"
        row = Row(promise, circumstances, figures, is_kept=True)
        request.node.user_properties.append((ROW, asdict(row)))

    return add


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say what a test is bound to, so that a failure before it has figures fails these promises too."""
    if item.get_closest_marker("resilience") is not None:
        item.user_properties += [(BOUND, promise) for promise in _bound(item)]

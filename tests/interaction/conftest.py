"""Virtual time for every interaction test: minutes of outage pass in milliseconds, and always alike."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from trunkline.policy import Era


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on trio, with a clock that jumps to the next deadline as soon as every task waits."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture(params=["2025-11-25", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> Era:
    """Both protocol eras: the handshake goes through streams, the stateless one straight to the server."""
    chosen: Era = request.param
    return chosen

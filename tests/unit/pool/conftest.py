"""Servers of the SDK in this process, and virtual time to watch their connections in."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Virtual time: hours of outage take no time."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}

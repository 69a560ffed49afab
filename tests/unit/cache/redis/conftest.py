"""The client library needs asyncio, and so do the parts around it."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, whatever the rest of the cache's tests run on."""
    return "asyncio"

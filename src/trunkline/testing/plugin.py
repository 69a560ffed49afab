"""Fixtures for pytest, there as soon as Trunkline is installed. Nothing of Trunkline is imported before one is used.

fake_tools               a `FakeTools` without answers; give them with `answer`
trunkline_events         a list that an observer fills: `observers=[trunkline_events.append]`
trunkline_faulty_stdio   `faulty_stdio`, with a journal in the test's own folder
trunkline_faulty_http    starts `faulty_http` servers, and kills them with their children when the test ends
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from trunkline.endpoint import StdioEndpoint
    from trunkline.events import Event
    from trunkline.testing import FakeTools, FaultyHttp

__all__: list[str] = []


@pytest.fixture
def fake_tools() -> FakeTools:
    """Tools without a server."""
    from trunkline.testing import FakeTools as Fake  # noqa: PLC0415 - the plugin is loaded by every run of pytest

    return Fake()


@pytest.fixture
def trunkline_events() -> list[Event]:
    """What a client told, if its `append` was made an observer."""
    return []


@pytest.fixture
def trunkline_faulty_stdio(tmp_path: Path) -> Callable[..., StdioEndpoint]:
    """Make endpoints of the faulty server on stdio; its journal is `tmp_path / "journal"` unless told otherwise."""
    from trunkline.testing import faulty_stdio  # noqa: PLC0415 - see above

    def make(**options: Any) -> StdioEndpoint:
        return faulty_stdio(**{"journal": tmp_path / "journal", **options})

    return make


@pytest.fixture
async def trunkline_faulty_http(
    tmp_path: Path, anyio_backend: object
) -> AsyncIterator[Callable[..., Awaitable[FaultyHttp]]]:
    """Start faulty servers over HTTP; needs anyio's pytest plugin, which comes with anyio."""
    from contextlib import AsyncExitStack  # noqa: PLC0415 - see above

    from trunkline.testing import faulty_http  # noqa: PLC0415 - see above

    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> FaultyHttp:
            return await stack.enter_async_context(faulty_http(**{"journal": tmp_path / "journal", **options}))

        yield start

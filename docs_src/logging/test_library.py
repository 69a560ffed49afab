"""An application with a log of its own: what Trunkline tells goes where everything goes, at the level it chose."""

from __future__ import annotations

import logging

import pytest
from mcp.server import MCPServer

from trunkline import Infrastructure, InProcessEndpoint, ServerSettings
from trunkline.config import Settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_records_are_the_standard_librarys_with_facts_as_extras(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("trunkline").setLevel(logging.INFO)
    logging.getLogger("trunkline.call").setLevel(logging.DEBUG)  # single calls, too

    settings = Settings("here", {"search": ServerSettings("search", InProcessEndpoint(MCPServer("search")))})
    async with Infrastructure(settings):
        pass

    opened = next(record for record in caplog.records if record.getMessage() == "connection_opened")
    assert (opened.name, opened.levelname) == ("trunkline.connection", "INFO")
    assert vars(opened)["trunkline_server"] == "search"

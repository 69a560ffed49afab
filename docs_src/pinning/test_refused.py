"""A server that changes a tool while it is connected, and what a caller is told."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from trunkline import Infrastructure, ToolRefused
from trunkline.cli.main import main
from trunkline.testing import faults
from trunkline.testing.processes import stdio_command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose tools have been accepted."""
    program, arguments = stdio_command()
    path = tmp_path / "mcp.json"
    document = {
        "mcpServers": {"lab": {"command": program, "args": arguments}},
        "trunkline": {"pins": {"file": "trunkline.pins.json"}},
    }
    path.write_text(json.dumps(document), "utf-8")
    assert main(["pin", str(path)]) == 0
    return path


@pytest.mark.anyio
async def test_a_caller_is_told_what_changed_and_what_accepts_it(config: Path) -> None:
    told = []
    async with Infrastructure.from_config(config) as infra:
        await infra.mcp_client.call_tool("lab_echo", {"text": "as accepted"})
        changed = anyio.Event()
        infra.registry.subscribe(lambda _change: changed.set())
        await infra.mcp_client.call_tool("lab_fault", faults.change_tools(redescribe="echo"))
        with anyio.fail_after(20):
            await changed.wait()

        try:
            await infra.mcp_client.call_tool("lab_echo", {"text": "hello"})
        except ToolRefused as refused:  # a CallRejected: nothing was sent
            told.append((refused.tool, refused.parts, refused.command))

        assert told == [("lab_echo", ("description",), f"trunkline pin {config} --accept lab_echo")]
        assert "lab_echo" not in [tool.name for tool in (await infra.mcp_client.list_tools()).tools]
        assert infra.registry.availability("lab_echo").reason.startswith("refused: its description changed")
        assert infra.health.report().reasons[0].startswith("pins is degraded: 1 tool is refused")

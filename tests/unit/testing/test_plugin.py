"""The fixtures come by themselves, clean up after themselves, and cost nothing where they are not used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.servers.watching import text_of
from trunkline import CallFailed, EnhancedMCPClient, StdioEndpoint
from trunkline.events import CallFinished, Event
from trunkline.testing import FakeTools, FaultyHttp, executions, faults

pytestmark = pytest.mark.anyio


async def test_fake_tools_are_there(fake_tools: FakeTools) -> None:
    fake_tools.answer("a", "ok")
    assert text_of(await fake_tools.call_tool("a")) == "ok"


async def test_a_faulty_server_on_stdio_goes_wrong_on_command_and_events_are_kept(
    trunkline_faulty_stdio: Callable[..., StdioEndpoint], trunkline_events: list[Event], tmp_path: Path
) -> None:
    async with EnhancedMCPClient({"s": trunkline_faulty_stdio()}, observers=[trunkline_events.append]) as client:
        with pytest.raises(CallFailed) as raised:
            await client.call_tool("s_fault", faults.crash_after("order-7"))
    assert raised.value.may_have_run
    assert executions(tmp_path / "journal") == {"order-7": 1}
    assert [event.outcome for event in trunkline_events if isinstance(event, CallFinished)] == ["ConnectionLost"]


async def test_faulty_servers_over_http_are_started_as_needed(
    trunkline_faulty_http: Callable[..., Awaitable[FaultyHttp]],
) -> None:
    one, two = await trunkline_faulty_http(), await trunkline_faulty_http()
    async with EnhancedMCPClient({"one": one.endpoint, "two": two.endpoint}) as client:
        assert text_of(await client.call_tool("one_echo", {"text": "a"})) == "a"
        assert text_of(await client.call_tool("two_echo", {"text": "b"})) == "b"


def test_loading_the_plugin_imports_nothing_of_the_library() -> None:
    script = "import sys, trunkline.testing.plugin; print([name for name in sys.modules if name.startswith('mcp')])"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60, env=os.environ.copy()
    )
    assert found.stdout.strip() == "[]"

"""Everything of the kit can be reached and called by name."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import anyio
import pytest

import trunkline.testing
from tests.servers.watching import text_of
from trunkline import EnhancedMCPClient, ServerPolicy, ServerSettings
from trunkline.testing import ScriptedServer, faults
from trunkline.testing.faulty_faults import KINDS
from trunkline.testing.scripted_server import words


@pytest.mark.parametrize("name", trunkline.testing.__all__)
def test_every_public_name_is_there_without_an_import_of_its_own(name: str) -> None:
    script = f"import trunkline.testing; print(trunkline.testing.{name})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def a_fault(name: str) -> dict[str, Any]:
    """The fault of that name, for an operation."""
    made: dict[str, Any] = getattr(faults, name)("op")
    return made


def test_every_fault_of_the_faulty_servers_has_a_name() -> None:
    made = [a_fault(name) for name in faults.__all__ if name != "Fault"]
    assert {fault["kind"] for fault in made} == KINDS - {"none"}


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        (faults.change_tools(), {"kind": "change_tools"}),
        (faults.change_tools("op", remove="a"), {"kind": "change_tools", "op": "op", "remove": "a"}),
        (
            faults.rpc_body(status=429, retry_after="1"),
            {
                "kind": "status",
                "rpc_body": True,
                "status": 429,
                "code": -32603,
                "message": "as you asked",
                "retry_after": "1",
            },
        ),
    ],
)
def test_a_fault_is_the_arguments_that_ask_for_it(fault: faults.Fault, arguments: dict[str, Any]) -> None:
    assert fault == arguments


@pytest.mark.anyio
async def test_a_scripted_servers_tools_are_named_as_the_test_says() -> None:
    server = ScriptedServer(words("found"), words("paid"), reads=["find"], writes=["pay", "ship"])
    policy = ServerPolicy(trust_annotations=True)
    async with EnhancedMCPClient([ServerSettings("shop", server.endpoint, policy)]) as client:
        with anyio.fail_after(30.0):
            listed = (await client.list_tools()).tools
            assert [text_of(await client.call_tool(name)) for name in ("shop_find", "shop_pay")] == ["found", "paid"]
    hints = {tool.name: bool(tool.annotations and tool.annotations.read_only_hint) for tool in listed}
    assert hints == {"shop_find": True, "shop_pay": False, "shop_ship": False}
    assert [tool for tool, _ in server.executed] == ["find", "pay"]

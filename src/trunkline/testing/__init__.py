"""A kit for testing programs that call tools: fakes that need no server, servers that fail on command, a bad network.

    FakeTools        stands where the client stands, for a domain's own tests
    ScriptedServer   a real MCP server in this process whose every answer is a step of a script
    faulty_stdio     a real server process that goes wrong when a call asks it to; over HTTP: faulty_http
    faults           what it can be asked for, by name
    FaultProxy       delays, cuts, silences and changes bytes between a client and anything that speaks TCP
    check_response_store   what every store of the MCP SDK's responses promises, run against yours
    executions       what a faulty server really did, by its own journal

With pytest, the fixtures of `trunkline.testing.plugin` are there by themselves.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.testing import faults
    from trunkline.testing.fake_tools import FakeTools, MadeCall
    from trunkline.testing.journal import executions
    from trunkline.testing.processes import FaultyHttp, faulty_http, faulty_stdio
    from trunkline.testing.proxy import FaultProxy
    from trunkline.testing.scripted_server import ScriptedServer
    from trunkline.testing.store_contract import ContractBroken, check_response_store

__all__ = [
    "ContractBroken",
    "FakeTools",
    "FaultProxy",
    "FaultyHttp",
    "MadeCall",
    "ScriptedServer",
    "check_response_store",
    "executions",
    "faults",
    "faulty_http",
    "faulty_stdio",
]

_HOMES = {
    "ContractBroken": "store_contract",
    "FakeTools": "fake_tools",
    "FaultProxy": "proxy",
    "FaultyHttp": "processes",
    "MadeCall": "fake_tools",
    "ScriptedServer": "scripted_server",
    "check_response_store": "store_contract",
    "executions": "journal",
    "faulty_http": "processes",
    "faulty_stdio": "processes",
}

if not TYPE_CHECKING:  # or type checkers would take any misspelt name for an `Any`

    def __getattr__(name: str) -> Any:
        """Import a public name from its module, or the module itself (PEP 562)."""
        if name == "faults":
            return import_module(f"{__name__}.faults")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)

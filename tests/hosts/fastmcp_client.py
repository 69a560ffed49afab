"""Visits the gateway with FastMCP's client, in an environment that has it, and prints what it saw, as JSON.

Run as `fastmcp_client.py URL ERA…`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from typing import Any


async def visit(url: str, era: str) -> dict[str, Any]:
    # By name: the environment in which this is read has no FastMCP.
    fastmcp: Any = import_module("fastmcp")
    async with fastmcp.Client(url, mode=era) as client:
        called = await client.call_tool("faulty_add", {"a": 2, "b": 3})
        failed = await client.call_tool("faulty_fail", {"message": "as tools do"}, raise_on_error=False)
        try:
            await client.call_tool("faulty_rpc_error", {"code": -32603, "message": "no"})
            refused = None
        except import_module("mcp").MCPError as error:
            refused = {"code": error.error.code, "may_have_run": (error.error.data or {}).get("may_have_run")}
        resources = await client.list_resources()
        contents = await client.read_resource(resources[0].uri)
        return {
            "version": client.protocol_version,
            "tools": [tool.name for tool in await client.list_tools()],
            "sum": called.structured_content["sum"],
            "provenance": called.meta["trunkline/provenance"]["server"],
            "failed": [failed.is_error, failed.content[0].text],
            "refused": refused,
            "resource": len(contents[0].text) > 0,
        }


if __name__ == "__main__":
    for era in sys.argv[2:]:
        sys.stdout.write(json.dumps(asyncio.run(visit(sys.argv[1], era))) + "\n")

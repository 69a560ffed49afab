"""Visits the gateway with the Python SDK 1.x, and prints what it saw, as JSON: `sdk1.py URL`, where that SDK is."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from typing import Any


async def visit(url: str) -> dict[str, Any]:
    # By name: the environment in which this is read has another SDK.
    mcp: Any = import_module("mcp")
    streams: Any = import_module("mcp.client.streamable_http")
    async with (
        streams.streamablehttp_client(url) as (incoming, outgoing, _session_of),
        mcp.ClientSession(incoming, outgoing) as session,
    ):
        greeting = await session.initialize()
        called = await session.call_tool("faulty_add", {"a": 2, "b": 3})
        failed = await session.call_tool("faulty_fail", {"message": "as tools do"})
        try:
            await session.call_tool("faulty_rpc_error", {"code": -32603, "message": "no"})
            refused = None
        except mcp.McpError as error:
            refused = {"code": error.error.code, "may_have_run": (error.error.data or {}).get("may_have_run")}
        resources = (await session.list_resources()).resources
        contents = (await session.read_resource(resources[0].uri)).contents
        return {
            "version": greeting.protocolVersion,
            "tools": [tool.name for tool in (await session.list_tools()).tools],
            "sum": called.structuredContent["sum"],
            "provenance": called.meta["trunkline/provenance"]["server"],
            "failed": [failed.isError, failed.content[0].text],
            "refused": refused,
            "resource": len(contents[0].text) > 0,
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(visit(sys.argv[1]))) + "\n")

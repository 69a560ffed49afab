"""Visits the gateway with the Python SDK 2.x, and prints what it saw, as JSON: `sdk2.py URL ERA…`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from mcp import Client, MCPError


async def visit(url: str, era: str) -> dict[str, Any]:
    async with Client(url, mode=era) as client:
        called: Any = await client.call_tool("faulty_add", {"a": 2, "b": 3})
        failed: Any = await client.call_tool("faulty_fail", {"message": "as tools do"})
        try:
            await client.call_tool("faulty_rpc_error", {"code": -32603, "message": "no"})
            refused = None
        except MCPError as error:
            refused = {"code": error.error.code, "may_have_run": error.error.data["may_have_run"]}
        resources = (await client.list_resources()).resources
        contents: Any = (await client.read_resource(resources[0].uri)).contents
        return {
            "version": client.protocol_version,
            "tools": [tool.name for tool in (await client.list_tools()).tools],
            "sum": called.structured_content["sum"],
            "provenance": called.meta["trunkline/provenance"]["server"],
            "failed": [failed.is_error, failed.content[0].text],
            "refused": refused,
            "resource": len(contents[0].text) > 0,
        }


if __name__ == "__main__":
    for era in sys.argv[2:]:
        sys.stdout.write(json.dumps(asyncio.run(visit(sys.argv[1], era))) + "\n")

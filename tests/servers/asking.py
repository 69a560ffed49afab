"""Asks a gateway over HTTP without an SDK, in either era: what it answers then, status and headers, is there to see."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.servers.raw import request

HANDSHAKE: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "raw", "version": "1"},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


async def ask(web: httpx2.AsyncClient, method: str, *, session: str | None = None, **params: Any) -> httpx2.Response:
    """One request: of a session, the handshake that would open one, or of the stateless era."""
    headers = dict(ACCEPT)
    if session is not None:
        headers |= {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
    elif method != "initialize":
        headers |= {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
        headers |= {"Mcp-Name": params["name"]} if "name" in params else {}
        return await web.post("/mcp", json=request(1, method, **params), headers=headers)
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return await web.post("/mcp", json=body, headers=headers)


async def open_session(web: httpx2.AsyncClient) -> str:
    """The id of a new session of the handshake era."""
    answer = await ask(web, "initialize", **HANDSHAKE)
    session = answer.headers["mcp-session-id"]
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    await web.post("/mcp", json=told, headers={**ACCEPT, "Mcp-Session-Id": session})
    return str(session)

"""Callers of a gateway, many at once: of both protocol eras, each with a principal's token and words of its own."""

from __future__ import annotations

import json
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from tests.security.callers import request

__all__ = ["MODERN", "OLDER", "Crowd", "Member", "member"]

MODERN: Final = "2026-07-28"
OLDER: Final = "2025-11-25"
_ACCEPT: Final = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_SHARED: Final = 5
"""Questions that callers of one principal have in common: some answers come from the cache, or one call for several."""


@dataclass
class Crowd:
    """What all callers together were told."""

    right: Counter[str] = field(default_factory=Counter)
    """Answers that said what they had to, by principal."""
    served: Counter[str] = field(default_factory=Counter)
    """The same by server."""
    wrong: list[str] = field(default_factory=list)
    """Answers that were another's, or none at all."""
    errors: Counter[str] = field(default_factory=Counter)
    """Errors of the gateway in its own words, by server and class."""
    too_many: Counter[str] = field(default_factory=Counter)
    """Refusals for coming too often, by principal."""


@dataclass
class Member:
    """One caller."""

    number: int
    principal: str
    era: str
    http: httpx2.AsyncClient
    session: str | None
    crowd: Crowd
    rng: random.Random
    calls: int = 0

    async def call(self, server: str) -> bool:
        """Call once, and note what came back; whether it was an answer."""
        self.calls += 1
        own = f"{self.principal}:{self.number}:{self.calls}"
        if self.rng.random() < 0.25:
            own = f"{self.principal}:shared:{self.rng.randrange(_SHARED)}"
        name, number = f"{server}_echo", self.number * 1_000_000 + self.calls
        asked = request("tools/call", name=name, arguments={"text": own}) | {"id": number}
        headers = {"Mcp-Method": "tools/call", "Mcp-Name": name} if self.era == MODERN else {}
        answer = await self.http.post("/mcp", json=asked, headers=headers)
        if answer.status_code == 429:
            self.crowd.too_many[self.principal] += 1
            return False
        message = _message(answer)
        if message is None or message.get("id") != number:
            self.crowd.wrong.append(f"{number} {own}: {answer.status_code} {answer.text[:200]}")
        elif "error" in message:
            kind = (message["error"].get("data") or {}).get("error", message["error"])
            self.crowd.errors[f"{server} {kind}"] += 1
        elif [block["text"] for block in message["result"]["content"]] != [own]:
            self.crowd.wrong.append(f"{own}: {message['result']['content']}")
        else:
            self.crowd.right[self.principal] += 1
            self.crowd.served[server] += 1
            return True
        return False


def _message(answer: httpx2.Response) -> dict[str, Any] | None:
    if answer.status_code != 200:
        return None
    text = answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        data = [line for line in text.splitlines() if line.startswith("data: {")]
        text = data[-1].removeprefix("data: ") if data else "null"
    found: dict[str, Any] | None = json.loads(text)
    return found


@asynccontextmanager
async def member(
    number: int, principal: str, era: str, url: str, headers: Mapping[str, str], crowd: Crowd, tls: ssl.SSLContext
) -> AsyncIterator[Member]:
    """A caller with a connection of its own, and in the handshake era a session, which it ends itself."""
    given = {**_ACCEPT, **headers} | ({"MCP-Protocol-Version": MODERN} if era == MODERN else {})
    async with httpx2.AsyncClient(base_url=url, headers=given, timeout=300.0, verify=tls) as http:
        session = None
        if era == OLDER:
            params = {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": {"name": "m", "version": "1"}}
            start = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
            session = (await http.post("/mcp", json=start)).headers["mcp-session-id"]
            http.headers |= {"Mcp-Session-Id": session, "MCP-Protocol-Version": OLDER}
            await http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield Member(number, principal, era, http, session, crowd, random.Random(number))
        if session is not None:
            await http.delete("/mcp")

"""An MCP server that takes only tokens of its own authorization server, both in one process; it does as it is told.

`POST /control` changes its settings, `GET /journal` tells what it was asked. Its tools: `headers` tells the HTTP
headers it was called with, `slow` answers when `POST /control` releases it, `leak` fails and says its Authorization
header.
"""

from __future__ import annotations

import base64
import json
import secrets
import socket
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import anyio
import httpx2
import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from trunkline import HttpEndpoint

__all__ = ["CLIENT", "SECRET", "Authorizing", "authorizing"]

CLIENT = "trunk line:client"
"""Such as only a correct encoding brings over."""
SECRET = "s3cret+with%odd/signs="


_STARTUP = 40.0
"""Seconds until it answers: cold starts on a shared core are slow."""


class Authorizing:
    """A running server, seen from the test."""

    def __init__(self, port: int, host: str) -> None:
        self.origin = f"http://{host}:{port}"
        self.url = f"{self.origin}/mcp"

    @property
    def endpoint(self) -> HttpEndpoint:
        """Without any credentials."""
        return HttpEndpoint(self.url)

    async def control(self, **settings: Any) -> None:
        """Change settings, see `State`."""
        async with httpx2.AsyncClient(timeout=_STARTUP) as client:
            (await client.post(f"{self.origin}/control", json=settings)).raise_for_status()

    async def journal(self) -> dict[str, Any]:
        """What it was asked so far."""
        async with httpx2.AsyncClient(timeout=_STARTUP) as client:
            found: dict[str, Any] = (await client.get(f"{self.origin}/journal")).json()
            return found


@asynccontextmanager
async def authorizing(host: str = "127.0.0.1", **settings: Any) -> AsyncGenerator[Authorizing, None]:
    """Run it on a free port."""
    listener = socket.create_server((host, 0))
    listener.set_inheritable(True)
    server = Authorizing(listener.getsockname()[1], host)
    command = [sys.executable, str(Path(__file__)), str(listener.fileno()), server.origin]
    process = await anyio.open_process(command, stderr=None, pass_fds=[listener.fileno()])
    try:
        listener.close()
        await server.control(**settings)
        yield server
    finally:
        process.kill()
        await process.aclose()


class State:
    """What it does, and what was asked of it."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.released = anyio.Event()
        self.reset()

    def reset(self) -> None:
        """Do as it does at first, and know nothing."""
        origin = self.origin
        self.settings: dict[str, Any] = {
            "lifetime": 3600,
            "token_status": 200,
            "token_error": None,
            "token_headers": {},
            "token_delay": 0.0,
            "proofs": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
            "public_key": None,
            "scope": None,
            "resource": f"{origin}/mcp",
            "issuer": origin,
            "issuers": [origin],
            "token_endpoint": f"{origin}/token",
            "resource_metadata": f"{origin}/.well-known/oauth-protected-resource/mcp",
            "has_resource_metadata": True,
            "accepts_any": False,
            "accepts_client": [CLIENT, SECRET],
        }
        self.tokens: dict[str, str] = {}
        """Scopes, by token."""
        self.ends: dict[str, float] = {}
        """When each token ends, in seconds on this process's clock."""
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.refused = 0
        self.served = 0

    def set(self, changes: dict[str, Any]) -> None:
        if changes.pop("reset", False):
            self.reset()
        if changes.pop("revoke", False):
            self.tokens.clear()
        if changes.pop("release", False):
            self.released.set()
            self.released = anyio.Event()
        unknown = changes.keys() - self.settings.keys()
        assert not unknown, unknown
        self.settings |= changes


async def give_token(state: State, request: Request) -> Response:
    form = dict(parse_qsl((await request.body()).decode()))
    proof, is_known = who_asks(state, request, form)
    shown = {key: value for key, value in form.items() if key not in ("client_secret", "client_assertion")}
    state.asked.append({"proof": proof, **shown})
    settings = state.settings
    await anyio.sleep(settings["token_delay"])
    if settings["token_status"] != 200:
        # Careless servers say again what they were sent.
        told = {"error": settings["token_error"], "error_description": json.dumps(form)}
        return JSONResponse(told, settings["token_status"], headers=settings["token_headers"])
    if not is_known:
        return JSONResponse({"error": "invalid_client"}, 401)
    token = secrets.token_urlsafe(24)
    state.tokens[token] = form.get("scope", "")
    state.ends[token] = time.monotonic() + settings["lifetime"]
    return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": settings["lifetime"]})


def who_asks(state: State, request: Request, form: dict[str, str]) -> tuple[str, bool]:
    given, accepted = request.headers.get("authorization", ""), state.settings["accepts_client"]
    if given.startswith("Basic "):
        name, _, word = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
        return "client_secret_basic", [unquote_plus(name), unquote_plus(word)] == accepted
    if "client_assertion" in form:
        import jwt

        claims = jwt.decode(
            form["client_assertion"],
            state.settings["public_key"],
            algorithms=["ES256"],
            audience=state.settings["issuer"],
            options={"require": ["exp", "iat", "jti", "iss", "sub"]},
        )
        return "private_key_jwt", claims["iss"] == claims["sub"] == CLIENT and claims["exp"] > time.time()
    return "client_secret_post", [form.get("client_id"), form.get("client_secret")] == accepted


def metadata(state: State, path: str) -> dict[str, Any] | None:
    settings = state.settings
    if path.startswith("/.well-known/oauth-protected-resource") or path == "/elsewhere":
        if not settings["has_resource_metadata"]:
            return None
        wanted = settings["scope"].split() if settings["scope"] else []
        return {
            "resource": settings["resource"],
            "authorization_servers": settings["issuers"],
            "scopes_supported": wanted,
        }
    if path == "/.well-known/oauth-authorization-server":
        return {
            "issuer": settings["issuer"],
            "token_endpoint": settings["token_endpoint"],
            "authorization_endpoint": f"{settings['issuer']}/authorize",
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": settings["proofs"],
        }
    return None


def refusal(state: State, request: Request) -> Response | None:
    """Why a request of MCP is not served; None if it is."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    wanted = state.settings["scope"]
    if state.settings["accepts_any"]:
        return None
    told = state.settings["resource_metadata"]
    where = f', resource_metadata="{told}"' if told else ""
    if scheme != "Bearer" or token not in state.tokens or time.monotonic() > state.ends[token]:
        state.refused += 1
        challenge = f'Bearer realm="test"{where}'
        return JSONResponse({"error": "invalid_token"}, 401, headers={"WWW-Authenticate": challenge})
    if wanted and wanted not in state.tokens[token].split():
        state.refused += 1
        challenge = f'Bearer error="insufficient_scope", scope="{wanted}"{where}'
        return JSONResponse({"error": "insufficient_scope"}, 403, headers={"WWW-Authenticate": challenge})
    state.served += 1
    return None


async def answer_to(state: State, request: Request) -> Response | None:
    """The answer to one request; None where it is MCP's to give."""
    path = request.url.path
    if path == "/control":
        state.set(json.loads(await request.body()))
        return Response()
    if path == "/journal":
        told = {key: getattr(state, key) for key in ("asked", "paths", "refused", "served")}
        return JSONResponse({**told, "tokens": list(state.tokens)})
    if path == "/mcp":
        return refusal(state, request)
    state.paths.append(path)
    if path == "/token":
        return await give_token(state, request)
    if path == "/away":
        return Response(status_code=307, headers={"location": state.settings["token_endpoint"]})
    found = metadata(state, path)
    return Response(status_code=404) if found is None else JSONResponse(found)


def mcp_server(state: State) -> Server[Any]:
    async def call(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        headers = dict(context.request.headers)
        if params.name == "leak":
            raise MCPError(-32603, f"refused with {headers.get('authorization')}")
        if params.name == "slow":
            await state.released.wait()
        return types.CallToolResult(content=[types.TextContent(text=json.dumps(headers))])

    async def tools(context: Any, _params: Any) -> types.ListToolsResult:
        said = f"Called with {context.request.headers.get('authorization')}"
        names = ("headers", "slow", "leak")
        return types.ListToolsResult(
            tools=[types.Tool(name=name, description=said, input_schema={"type": "object"}) for name in names]
        )

    return Server("authorizing", on_list_tools=tools, on_call_tool=call)


def main(descriptor: int, origin: str) -> None:
    import uvicorn

    state = State(origin)
    mcp = mcp_server(state).streamable_http_app(stateless_http=True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer = await answer_to(state, Request(scope, receive)) if scope["type"] == "http" else None
        await (mcp if answer is None else answer)(scope, receive, send)

    uvicorn.run(app, fd=descriptor, log_level="critical")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

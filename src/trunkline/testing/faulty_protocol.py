"""What the faulty servers say when they behave: both eras of MCP in plain JSON-RPC, without a transport.

Shapes: the 2025-11-25 and 2026-07-28 schemas of the specification, as the SDK's own server speaks them. A transport
calls `admit`, then `answer`, and sends what comes back; it cancels `answer` when the client gives the request up.
Runs as part of a bare script.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING or __package__:
    from trunkline.testing.faulty_faults import Reply, has_effect, spoil, suffer
    from trunkline.testing.faulty_messages import INVALID_PARAMS, INVALID_REQUEST, Json, RpcError, message, rpc_response
    from trunkline.testing.faulty_tools import listing, plain_tool, problems, run_tool, text
    from trunkline.testing.journal import Journal
else:  # run as a script, see faulty_options
    from faulty_faults import Reply, has_effect, spoil, suffer
    from faulty_messages import INVALID_PARAMS, INVALID_REQUEST, Json, RpcError, message, rpc_response
    from faulty_tools import listing, plain_tool, problems, run_tool, text
    from journal import Journal

__all__ = ["MODERN", "FaultyServer", "Listener", "Notify", "Version"]

Version: TypeAlias = Literal["2025-11-25", "2026-07-28"]
HANDSHAKE: Version = "2025-11-25"
MODERN: Version = "2026-07-28"
_HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")

_METHOD_NOT_FOUND = -32601
_UNSUPPORTED_VERSION = -32022

_META = "io.modelcontextprotocol/"
_SERVER_INFO = {"name": "faulty", "version": "1.0"}
_CAPABILITIES = {"tools": {"listChanged": True}}
_METHODS = {
    HANDSHAKE: frozenset({"initialize", "ping", "tools/list", "tools/call"}),
    MODERN: frozenset({"server/discover", "tools/list", "tools/call", "subscriptions/listen"}),
}
_FAULTY_TOOLS = {"fault": {}, "rpc_error": {"kind": "rpc_error"}, "add_wrong": {"kind": "wrong_schema"}}

Notify: TypeAlias = Callable[[Json], Awaitable[None]]
"""Sends a message to the client that waits for an answer, ahead of it."""
Listener: TypeAlias = Callable[[], Awaitable[None]]
"""Told that the listing of tools has changed."""


class FaultyServer:
    """The tools, who listens to their changes, and which requests are in flight, in one server process."""

    def __init__(self, options: argparse.Namespace, journal: Journal) -> None:
        self.tools = listing()
        self.listeners: set[Listener] = set()
        self._eras = (HANDSHAKE, MODERN) if options.era == "both" else (options.era,)
        self._page_size = options.page_size
        self._ttl_ms = options.ttl_ms
        self._flap: tuple[int, int] | None = options.flap
        self._calls = 0
        self._hoard: list[bytes] = []
        self._journal = journal
        self._in_flight: list[int | str] = []
        self._running: set[asyncio.Task[tuple[Json, Json | None]]] = set()

    def __repr__(self) -> str:
        return f"<FaultyServer [{len(self.tools)} tools, {len(self._in_flight)} in flight]>"

    def admit(self, request: Json, *, greeted: bool) -> Version:
        """The era a request belongs to. `greeted`: whether its connection or session has been initialized.

        Raises `RpcError`: -32022 for an era or version not spoken, -32602 without the envelope a stateless request
        needs, -32601 for an unknown method, -32600 ahead of the handshake.
        """
        method = request.get("method")
        params = request.get("params", {})
        if not isinstance(params, dict) or not isinstance(meta := params.get("_meta", {}), dict):
            raise RpcError(INVALID_PARAMS, "params and params._meta must be objects")
        version = meta.get(_META + "protocolVersion")
        if method == "initialize" and HANDSHAKE not in self._eras:
            raise self._unsupported(params.get("protocolVersion"))
        if method == "initialize" or version is None or MODERN not in self._eras:
            era = HANDSHAKE
        elif version != MODERN:
            raise self._unsupported(version)
        else:
            era = MODERN
        if era not in self._eras or (era == MODERN and _META + "clientCapabilities" not in meta):
            raise RpcError(INVALID_PARAMS, "params._meta lacks the protocol version or the client's capabilities")
        if method not in _METHODS[era]:
            raise RpcError(_METHOD_NOT_FOUND, "Method not found", {"method": method})
        if era == HANDSHAKE and not greeted and method not in ("initialize", "ping"):
            raise RpcError(INVALID_REQUEST, "Not initialized")
        return era

    async def answer(self, request: Json, era: Version, notify: Notify) -> Reply:
        """Do what an admitted request asks. Raises nothing but cancellation; a tool that has begun runs to its end."""
        request_id, params = request["id"], request.get("params", {})
        fault: Json | None = None
        self._in_flight.append(request_id)
        try:
            match request["method"]:
                case "initialize":
                    result = self._initialize(params)
                case "server/discover":
                    result = {"supportedVersions": list(self._eras), "capabilities": _CAPABILITIES, **self._hints}
                case "tools/list":
                    result = self._page(params, era)
                case "subscriptions/listen":
                    return await self._listen(request_id, params, notify)
                case "tools/call":
                    result, fault = await self._call(params, notify)
                case _:
                    result = {}
            if era == MODERN:
                result = {"resultType": "complete", "_meta": {_META + "serverInfo": _SERVER_INFO}, **result}
            others = [other for other in self._in_flight if other != request_id]
            return spoil(rpc_response(request_id, result), fault, others)
        except RpcError as error:
            return Reply([rpc_response(request_id, error)])
        finally:
            self._in_flight.remove(request_id)

    @property
    def _hints(self) -> Json:
        return {"ttlMs": self._ttl_ms, "cacheScope": "public"}

    def _unsupported(self, requested: object) -> RpcError:
        data = {"supported": list(self._eras), "requested": requested}
        return RpcError(_UNSUPPORTED_VERSION, "Unsupported protocol version", data)

    def _initialize(self, params: Json) -> Json:
        wanted = params.get("protocolVersion")
        version = wanted if wanted in _HANDSHAKE_VERSIONS else HANDSHAKE
        return {"protocolVersion": version, "capabilities": _CAPABILITIES, "serverInfo": _SERVER_INFO}

    def _page(self, params: Json, era: Version) -> Json:
        tools = list(self.tools.values())
        size = self._page_size or len(tools)
        cursors = {None: 0, "": size} | {f"from-{start:x}": start for start in range(2 * size, len(tools), size)}
        cursor = params.get("cursor")
        if cursor not in cursors:
            raise RpcError(INVALID_PARAMS, "Unknown cursor")
        start = cursors[cursor]
        page: Json = {"tools": tools[start : start + size], **(self._hints if era == MODERN else {})}
        if start + size < len(tools):
            # The second page's cursor is the empty string: valid, and falsy.
            page["nextCursor"] = "" if start == 0 else f"from-{start + size:x}"
        return page

    async def _listen(self, request_id: int | str, params: Json, notify: Notify) -> Reply:
        wanted = params.get("notifications") or {}
        honoured = {"toolsListChanged": True} if wanted.get("toolsListChanged") else {}
        meta = {"_meta": {_META + "subscriptionId": request_id}}
        await notify(message("notifications/subscriptions/acknowledged", {"notifications": honoured, **meta}))

        async def changed() -> None:
            await notify(message("notifications/tools/list_changed", meta))

        if honoured:
            self.listeners.add(changed)
        try:
            await asyncio.Event().wait()
        finally:
            self.listeners.discard(changed)
        return Reply([])

    async def _call(self, params: Json, notify: Notify) -> tuple[Json, Json | None]:
        name, arguments = params.get("name"), params.get("arguments") or {}
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, "A call has a name and an object of arguments")
        if name not in self.tools:
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {name}")
        if wrong := problems(self.tools[name], arguments):
            return text("; ".join(wrong), is_error=True), None
        token = params.get("_meta", {}).get("progressToken")

        async def progress(step: int, steps: int) -> None:
            if token is not None:
                told = {"progressToken": token, "progress": step, "total": steps}
                # A tool does its work even when nobody listens any more.
                with contextlib.suppress(ConnectionError):
                    await notify(message("notifications/progress", told))

        op = arguments.get("op", name)
        if self._is_down():
            doing = self._misbehave(op, name, {"kind": "rpc_error", "effect": False, "message": "flapping"})
        elif name in _FAULTY_TOOLS:
            doing = self._misbehave(op, name, {**_FAULTY_TOOLS[name], **arguments})
        else:
            doing = self._behave(op, name, run_tool(name, arguments, progress))
        work = asyncio.create_task(doing)
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        try:
            # Cancelling asks for no answer; it does not undo, and the hardest servers go on: so do these.
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._journal.record(op, name, "cancelled")
            raise

    async def _behave(self, op: str, name: str, work: Awaitable[Json]) -> tuple[Json, Json | None]:
        self._journal.record(op, name, "before")
        result = await work
        self._journal.record(op, name, "after")
        return result, None

    async def _misbehave(self, op: str, name: str, fault: Json) -> tuple[Json, Json | None]:
        self._journal.record(op, name, "before")
        if fault["kind"] == "flaky":
            failing = self._journal.begun[op] <= fault.get("times", 1)
            fault = {**fault, "kind": fault.get("failure", "rpc_error") if failing else "none"}
        if has_effect(fault):
            self._journal.record(op, name, "after")
        if fault["kind"] == "hog":
            # Written to, or the system would only promise it.
            self._hoard.append(b"x" * (fault.get("megabytes", 10) * 1_000_000))
        result = await suffer(fault)
        if fault["kind"] == "change_tools":
            await self._change_tools(fault)
        return result, fault

    def _is_down(self) -> bool:
        if self._flap is None:
            return False
        up, down = self._flap
        self._calls += 1
        return (self._calls - 1) % (up + down) >= up

    async def _change_tools(self, change: Json) -> None:
        if "remove" in change:
            self.tools.pop(change["remove"], None)
        if change.get("redescribe") in self.tools:
            tool = self.tools[change["redescribe"]]
            self.tools[tool["name"]] = {**tool, "description": f"{tool['description']} Now differently."}
        if "add" in change or not change.keys() & {"remove", "redescribe"}:
            added = change.get("add", "added")
            self.tools[added] = plain_tool(added, "Was not there before.", {"text": {"type": "string"}})
        for listener in tuple(self.listeners):
            # One that has just gone must not keep the others from hearing of it.
            with contextlib.suppress(ConnectionError):
                await listener()

"""Calls of tools over HTTP in the stateless era: one POST each, made by the caller's own task.

Sits beside the SDK's dispatcher, which has three tasks and as many queues for what is one exchange here
(docs/decisions/0023). Whatever is more than that goes the SDK's way: a call whose progress or log somebody wants to
hear of, and a server that sends its clients elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import anyio
import httpx2
from anyio.abc import TaskStatus
from mcp import MCPError
from mcp.shared._otel import inject_trace_context
from mcp.shared.dispatcher import CallOptions, Dispatcher, OnNotify, OnNotifyIntercept, OnRequest
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from trunkline.transport.retry_after import parse_retry_after
from trunkline.transport.wire import CURRENT_WIRE, REQUEST_HEADER, WIRE_EXTENSION, Wire

__all__ = ["DirectDispatcher"]

_ACCEPTED: Final = "application/json, text/event-stream"
_STAND_INS: Final = {404: (METHOD_NOT_FOUND, "Not Found")}
"""What an HTTP error means that says nothing in JSON-RPC; the words are the SDK's, which `faults` knows."""
_STAND_IN: Final = (INTERNAL_ERROR, "Server returned an error response")


class DirectDispatcher(Dispatcher[TransportContext]):
    """Makes calls of tools itself where it can, and leaves everything else to another dispatcher."""

    def __init__(
        self,
        inner: Dispatcher[TransportContext],
        client: httpx2.AsyncClient,
        transport: httpx2.AsyncBaseTransport,
        url: str,
        *,
        largest: int,
    ) -> None:
        """Post to `url` what `client` would, but by this `transport`; an answer has at most `largest` bytes."""
        self._inner = inner
        self._transport = transport
        self._url = httpx2.URL(url)
        self._headers = {**client.headers, "accept": _ACCEPTED, "content-type": "application/json"}
        self._timeout = client.timeout.as_dict()
        self._largest = largest
        self._is_elsewhere = False

    def __repr__(self) -> str:
        return f"<DirectDispatcher before {self._inner!r}>"

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Send one request; as the SDK's."""
        if opts is None or params is None or method != "tools/call" or not self._is_one_exchange(opts):
            return await self._inner.send_raw_request(method, params, opts)
        wire = CURRENT_WIRE.get() or Wire()
        try:
            response = await self._transport.handle_async_request(self._request(method, params, opts, wire))
            try:
                wire.status = response.status_code
                wire.retry_after = parse_retry_after(response.headers.get("retry-after"))
                if not response.has_redirect_location:
                    return await self._result(response, opts)
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            wire.fault = error
            raise MCPError(*_STAND_IN) from error
        # It has not run. The SDK knows which redirects may be followed, and will be asked to from now on.
        self._is_elsewhere = True
        return await self._inner.send_raw_request(method, params, opts)

    def _is_one_exchange(self, opts: CallOptions) -> bool:
        wire = CURRENT_WIRE.get()
        is_modern = opts.get("headers", {}).get(MCP_PROTOCOL_VERSION_HEADER) in MODERN_PROTOCOL_VERSIONS
        is_heard = "on_progress" in opts or (wire is not None and wire.log is not None)
        return is_modern and not is_heard and not self._is_elsewhere

    def _request(self, method: str, params: Mapping[str, Any], opts: CallOptions, wire: Wire) -> httpx2.Request:
        meta = dict(params.get("_meta", {}))
        inject_trace_context(meta)
        message = {"jsonrpc": "2.0", "id": opts["request_id"], "method": method, "params": {**params, "_meta": meta}}
        headers = {**self._headers, **opts["headers"]}
        headers.pop(REQUEST_HEADER, None)
        return httpx2.Request(
            "POST",
            self._url,
            headers=headers,
            content=json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(),
            extensions={"timeout": self._timeout, WIRE_EXTENSION: wire},
        )

    async def _result(self, response: httpx2.Response, opts: CallOptions) -> dict[str, Any]:
        kind = response.headers.get("content-type", "").lower()
        if response.status_code >= 400:
            answer = await self._whole(response) if kind.startswith("application/json") else None
            if not isinstance(answer, JSONRPCError):
                raise MCPError(*_STAND_INS.get(response.status_code, _STAND_IN))
        elif response.status_code == 202:
            raise MCPError(INVALID_REQUEST, "server answered a request with 202 Accepted")
        elif kind.startswith("application/json"):
            answer = await self._whole(response)
            if isinstance(answer, JSONRPCResponse | JSONRPCError) and _is_anothers(answer.id, opts["request_id"]):
                answer = None
        elif kind.startswith("text/event-stream"):
            answer = await self._last_of(response)
        else:
            raise MCPError(INVALID_REQUEST, f"Unexpected content type: {kind}")
        if isinstance(answer, JSONRPCResponse):
            return answer.result
        if isinstance(answer, JSONRPCError):
            raise MCPError(answer.error.code, answer.error.message, answer.error.data)
        raise MCPError(PARSE_ERROR, "that is no answer in JSON-RPC")

    async def _whole(self, response: httpx2.Response) -> JSONRPCMessage | None:
        """The message that a body is; None where it is none, or too large to hold."""
        body = bytearray()
        try:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > self._largest:
                    return None
        except httpx2.DecodingError:
            return None
        return _read(bytes(body))

    async def _last_of(self, response: httpx2.Response) -> JSONRPCMessage | None:
        """The answer at the end of a stream. What comes before it nobody has asked for."""
        try:
            async for event in httpx2.EventSource(response, max_event_size=self._largest):
                if event.event == "message" and event.data:
                    message = _read(event.data)
                    if message is None or isinstance(message, JSONRPCResponse | JSONRPCError):
                        return message
        except (httpx2.SSEError, httpx2.DecodingError) as error:
            raise MCPError(CONNECTION_CLOSED, f"SSE stream failed: {error}") from error
        raise MCPError(CONNECTION_CLOSED, "SSE stream ended without a response")

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Send a notification; as the SDK's."""
        await self._inner.notify(method, params, opts)

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Drive the receive loop of the other one."""
        await self._inner.run(on_request, on_notify, on_notify_intercept, task_status=task_status)


def _is_anothers(found: RequestId | None, asked: RequestId) -> bool:
    """Whether a server has mixed up its answers. An error may be without an id: some requests cannot be made out."""
    return found is not None and str(found) != str(asked)


def _read(text: str | bytes) -> JSONRPCMessage | None:
    try:
        return jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValidationError:
        return None

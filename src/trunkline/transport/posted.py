"""Calls of tools over HTTP in the stateless era: one POST each, made by the caller's own task.

A server that sends its clients elsewhere is left to the SDK, which knows which redirects may be followed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Mapping
from typing import Any, Final

import httpx2
from mcp import MCPError
from mcp.shared.dispatcher import CallOptions, Dispatcher
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from trunkline.transport.http_connections import Answer, HttpConnections
from trunkline.transport.http_message import Sent, head_of, lines_of, origin_of
from trunkline.transport.retry_after import parse_retry_after
from trunkline.transport.short_way import ShortWay, result_in
from trunkline.transport.wire import REQUEST_HEADER, WIRE_EXTENSION, Wire

__all__ = ["PostedCalls", "bounded"]

_ACCEPTED: Final = "application/json, text/event-stream"
_STAND_INS: Final = {404: (METHOD_NOT_FOUND, "Not Found")}
"""What an HTTP error means that says nothing in JSON-RPC; the words are the SDK's, which `faults` knows."""
_STAND_IN: Final = (INTERNAL_ERROR, "Server returned an error response")


class PostedCalls(ShortWay):
    """The short way over HTTP."""

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
        super().__init__(inner)
        self._transport = transport
        self._url = httpx2.URL(url)
        self._headers = {**client.headers, "accept": _ACCEPTED, "content-type": "application/json"}
        self._timeout = client.timeout.as_dict()
        # An attempt's own task sends and reads, and its bound is theirs: two timers less in each.
        self._patience = {step: self._timeout[step] for step in ("connect", "pool")}
        self._largest = largest
        self._is_elsewhere = False
        self._origin = origin_of(self._url)
        self._head = head_of("POST", self._url.raw_path, httpx2.Request("POST", url, headers=self._headers).headers.raw)

    async def _call(self, message: Mapping[str, Any], opts: CallOptions, wire: Wire) -> dict[str, Any] | None:
        headers = opts.get("headers", {})
        if self._is_elsewhere or headers.get(MCP_PROTOCOL_VERSION_HEADER) not in MODERN_PROTOCOL_VERSIONS:
            return None
        sent = {name: value for name, value in headers.items() if name != REQUEST_HEADER}
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        try:
            answer = await self._post(sent, body, wire)
            try:
                if isinstance(answer, Answer):
                    wire.status = answer.status
                    return result_in(_own(_read(await bounded(answer, self._largest)), opts["request_id"]))
                wire.status = answer.status_code
                if wire.status >= 400:
                    wire.retry_after = parse_retry_after(answer.headers.get("retry-after"))
                # A redirected call has not run; from now on all go the SDK's way at once.
                self._is_elsewhere = answer.has_redirect_location
                return None if self._is_elsewhere else await self._result(answer, opts["request_id"])
            finally:
                await answer.aclose()
        except httpx2.TransportError as error:
            wire.fault = error
            raise MCPError(*_STAND_IN) from error

    async def _post(self, headers: Mapping[str, str], body: bytes, wire: Wire) -> Answer | httpx2.Response:
        """What a server answers: nearly always a body of JSON as it stands, for which nothing more is needed."""
        if not isinstance(self._transport, HttpConnections):
            extensions = {"timeout": self._timeout, WIRE_EXTENSION: wire}
            request = httpx2.Request(
                "POST", self._url, headers={**self._headers, **headers}, content=body, extensions=extensions
            )
            return await self._transport.handle_async_request(request)
        own = lines_of((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())
        data = b"%b%bcontent-length: %d\r\n\r\n%b" % (self._head, own, len(body), body)
        answer = await self._transport.exchange(Sent(self._origin, "POST", data), self._patience, wire)
        if answer.is_plain_json:
            return answer
        request = httpx2.Request("POST", self._url)  # what httpx2 raises has to have one
        return httpx2.Response(answer.status, headers=answer.headers, stream=answer, request=request)

    async def _result(self, response: httpx2.Response, request_id: RequestId) -> dict[str, Any]:
        kind = response.headers.get("content-type", "").lower()
        if response.status_code >= 400:
            answer = await self._whole(response) if kind.startswith("application/json") else None
            if not isinstance(answer, JSONRPCError):
                raise MCPError(*_STAND_INS.get(response.status_code, _STAND_IN))
        elif response.status_code == 202:
            raise MCPError(INVALID_REQUEST, "server answered a request with 202 Accepted")
        elif kind.startswith("application/json"):
            answer = _own(await self._whole(response), request_id)
        elif kind.startswith("text/event-stream"):
            answer = await self._last_of(response)
        else:
            raise MCPError(INVALID_REQUEST, f"Unexpected content type: {kind}")
        return result_in(answer)

    async def _whole(self, response: httpx2.Response) -> JSONRPCMessage | None:
        """The message that a body is; None where it is none, or too large to hold."""
        try:
            return _read(await bounded(response.aiter_bytes(), self._largest))
        except httpx2.DecodingError:
            return None

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


async def bounded(pieces: AsyncIterable[bytes], most: int) -> bytes:
    """A body as a whole, or nothing where it has more bytes: it may never end, or unpack to any number."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > most:
            return b""
    return bytes(body)


def _own(answer: JSONRPCMessage | None, asked: RequestId) -> JSONRPCMessage | None:
    """The answer, unless it is another request's: a server may mix them up.

    An error may be without an id: some requests cannot be made out.
    """
    if isinstance(answer, JSONRPCResponse | JSONRPCError) and answer.id is not None and str(answer.id) != str(asked):
        return None
    return answer


def _read(text: str | bytes) -> JSONRPCMessage | None:
    try:
        return jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValidationError:
        return None

"""An MCP server over Streamable HTTP, at /mcp, that breaks as it is told: `python faulty_http.py --help`.

A bare script on purpose: standard library only, no SDK, so that it starts at once and may send what no SDK would.
Prints its address, on a line of its own, once it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from trunkline.testing.faulty_faults import Reply
    from trunkline.testing.faulty_messages import (
        INVALID_REQUEST,
        NO_MESSAGE,
        PARSE_ERROR,
        Json,
        RpcError,
        cancelled_id,
        message,
        rpc_response,
    )
    from trunkline.testing.faulty_options import options_parser, start
    from trunkline.testing.faulty_protocol import MODERN, FaultyServer, Version
    from trunkline.testing.faulty_wire import HttpRequest, Response, WatchedReader, read_request
    from trunkline.testing.journal import Journal
else:  # run as a script, see faulty_options
    from faulty_faults import Reply
    from faulty_messages import (
        INVALID_REQUEST,
        NO_MESSAGE,
        PARSE_ERROR,
        Json,
        RpcError,
        cancelled_id,
        message,
        rpc_response,
    )
    from faulty_options import options_parser, start
    from faulty_protocol import MODERN, FaultyServer, Version
    from faulty_wire import HttpRequest, Response, WatchedReader, read_request
    from journal import Journal

__all__ = ["FaultyHttpServer", "main"]

_SESSION = "mcp-session-id"
_HEADER_MISMATCH = -32020
_STATUS = {-32601: 404} | dict.fromkeys((-32700, -32600, -32602, -32020, -32021, -32022), 400)
"""The status of a stateless request's JSON-RPC error; 200 for codes not named. A session's errors come with 200."""

_NO_SESSION = RpcError(INVALID_REQUEST, "Session not found")


class Session:
    """One client of the handshake era."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[Json | None] = asyncio.Queue()
        """What the standalone stream has to tell, kept until the client opens it; None ends the stream."""
        self.in_flight: dict[int | str, asyncio.Task[Reply]] = {}

    def __repr__(self) -> str:
        return f"<Session [{len(self.in_flight)} in flight]>"

    async def tools_changed(self) -> None:
        """Tell the client, now or as soon as it listens."""
        self.changes.put_nowait(message("notifications/tools/list_changed"))


class FaultyHttpServer:
    """Routes HTTP requests to the protocol, keeps sessions, and notices clients that leave."""

    def __init__(self, server: FaultyServer, *, always_stream: bool = False) -> None:
        self._server = server
        self._always_stream = always_stream
        self._sessions: dict[str, Session] = {}

    def __repr__(self) -> str:
        return f"<FaultyHttpServer [{len(self._sessions)} sessions]>"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end; `reader` is a `WatchedReader`."""
        if not isinstance(reader, WatchedReader):
            raise TypeError("a WatchedReader is needed to notice that a client leaves")
        try:
            while (request := await read_request(reader)) is not None:
                response = Response(writer, always_stream=self._always_stream)
                await self._respond(request, response, reader.gone)
                if not response.keeps_connection:
                    break
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _respond(self, request: HttpRequest, response: Response, gone: asyncio.Event) -> None:
        session_id = request.headers.get(_SESSION)
        session = self._sessions.get(session_id or "")
        if request.path != "/mcp":
            await response.send(404)
        elif "transfer-encoding" in request.headers:
            response.keeps_connection = False
            await response.send(411)
        elif request.method not in ("POST", "GET", "DELETE") or (request.method != "POST" and session_id is None):
            response.headers["Allow"] = "POST"
            await response.send(405)
        elif session_id is not None and session is None:
            await response.send_json(404, rpc_response(None, _NO_SESSION))
        elif session is None or request.method == "POST":
            await self._post(request, response, session, gone)
        elif request.method == "GET":
            await self._stream(response, session, gone)
        else:
            del self._sessions[session_id or ""]
            self._server.listeners.discard(session.tools_changed)
            session.changes.put_nowait(None)
            await response.send(200)

    async def _stream(self, response: Response, session: Session, gone: asyncio.Event) -> None:
        await response.open_stream()
        leaving = asyncio.create_task(gone.wait())
        while True:
            change = asyncio.create_task(session.changes.get())
            await asyncio.wait({change, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not change.done():
                # What comes from now on waits for the client's next stream.
                change.cancel()
                return
            told = change.result()
            if told is None:
                break
            await response.event(told)
        leaving.cancel()
        await response.end_stream()

    async def _post(
        self, request: HttpRequest, response: Response, session: Session | None, gone: asyncio.Event
    ) -> None:
        try:
            body = json.loads(request.body)
        except ValueError:
            await response.send_json(400, rpc_response(None, PARSE_ERROR))
            return
        if not isinstance(body, dict):
            await response.send_json(400, rpc_response(None, NO_MESSAGE))
            return
        if "method" not in body or "id" not in body:
            if session and (abandoned := session.in_flight.get(cancelled_id(body))):
                abandoned.cancel()
            await response.send(202)
            return
        try:
            era = self._server.admit(body, greeted=session is not None)
            if era == MODERN:
                _check_headers(request, body)
        except RpcError as error:
            # Inside a session a 404 would mean that the session is gone.
            status = 200 if session else _STATUS.get(error.code, 400)
            await response.send_json(status, rpc_response(body["id"], error))
            return
        if body["method"] == "initialize":
            session, session_id = Session(), os.urandom(16).hex()
            self._sessions[session_id] = session
            self._server.listeners.add(session.tools_changed)
            response.headers["Mcp-Session-Id"] = session_id
        reply = await self._answer(body, era, response, session, gone)
        if reply is None:
            # Given up by the client: no answer, but the exchange has to end.
            await response.end_stream()
            return
        error_code = reply.messages[0].get("error", {}).get("code")
        status = _STATUS.get(error_code, 200) if era == MODERN else 200
        await response.commit(reply, status)

    async def _answer(
        self, body: Json, era: Version, response: Response, session: Session | None, gone: asyncio.Event
    ) -> Reply | None:
        answer = asyncio.create_task(self._server.answer(body, era, response.event))
        leaving = asyncio.create_task(gone.wait())
        if session is not None:
            session.in_flight[body["id"]] = answer
        try:
            await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and era == MODERN:
                # In the stateless era, and only there, leaving is how a client cancels.
                answer.cancel()
            await asyncio.wait({answer})
            return None if answer.cancelled() else answer.result()
        finally:
            leaving.cancel()
            if session is not None:
                del session.in_flight[body["id"]]


def _check_headers(request: HttpRequest, body: Json) -> None:
    expected = {"mcp-protocol-version": MODERN, "mcp-method": body["method"]}
    if body["method"] == "tools/call":
        expected["mcp-name"] = body["params"].get("name")
    for name, value in expected.items():
        if request.headers.get(name) != value:
            raise RpcError(_HEADER_MISMATCH, f"{name} does not match the body")


async def _serve(options: argparse.Namespace, journal: Journal) -> None:
    http = FaultyHttpServer(FaultyServer(options, journal), always_stream=options.sse)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: asyncio.StreamReaderProtocol(WatchedReader(), http.serve), "127.0.0.1", options.port
    )
    port = listening.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}/mcp\n")
    sys.stdout.flush()
    await listening.serve_forever()


def main() -> None:
    """Serve until killed, on loopback only."""
    parser = options_parser("A faulty MCP server over Streamable HTTP, at /mcp on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes any free one")
    parser.add_argument("--sse", action="store_true", help="answer with event streams where JSON would do")
    options = parser.parse_args()
    asyncio.run(_serve(options, start(options)))


if __name__ == "__main__":
    main()

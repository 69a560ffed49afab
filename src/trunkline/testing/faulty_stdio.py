"""An MCP server on stdin and stdout that breaks as it is told: `python faulty_stdio.py --help`.

A bare script on purpose: standard library only, no SDK, so that it starts at once and may send what no SDK would.
Faults of the wire: `garbage` and `cut` spoil the line that should hold the answer, `slow_drip` sends it byte by
byte (the other answers wait: a pipe is one queue). Faults that need HTTP are answered with -32602.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from trunkline.testing.faulty_faults import Reply, garbage
    from trunkline.testing.faulty_messages import (
        INVALID_PARAMS,
        NO_MESSAGE,
        PARSE_ERROR,
        Json,
        RpcError,
        cancelled_id,
        message,
        rpc_response,
    )
    from trunkline.testing.faulty_options import options_parser, start
    from trunkline.testing.faulty_protocol import FaultyServer
    from trunkline.testing.journal import Journal
else:  # run as a script, see faulty_options
    from faulty_faults import Reply, garbage
    from faulty_messages import (
        INVALID_PARAMS,
        NO_MESSAGE,
        PARSE_ERROR,
        Json,
        RpcError,
        cancelled_id,
        message,
        rpc_response,
    )
    from faulty_options import options_parser, start
    from faulty_protocol import FaultyServer
    from journal import Journal

__all__ = ["main"]


class StdioConnection:
    """The one client at the other end of the pipes."""

    def __init__(self, server: FaultyServer) -> None:
        self._server = server
        self._greeted = False
        self._in_flight: dict[int | str, asyncio.Task[Reply]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<StdioConnection [{len(self._in_flight)} in flight]>"

    def receive(self, line: bytes) -> None:
        """Take one line of input: a request gets a task of its own."""
        task = asyncio.create_task(self._receive(line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive(self, line: bytes) -> None:
        try:
            received = json.loads(line)
        except ValueError:
            await self._send(rpc_response(None, PARSE_ERROR))
            return
        if not isinstance(received, dict):
            await self._send(rpc_response(None, NO_MESSAGE))
        elif "method" in received and "id" in received:
            await self._serve(received)
        elif abandoned := self._in_flight.get(cancelled_id(received)):
            abandoned.cancel()

    async def _serve(self, request: Json) -> None:
        request_id = request["id"]
        try:
            era = self._server.admit(request, greeted=self._greeted)
        except RpcError as error:
            await self._send(rpc_response(request_id, error))
            return
        if request["method"] == "initialize":
            self._greeted = True
            self._server.listeners.add(self._tools_changed)
        answer = asyncio.create_task(self._server.answer(request, era, self._send))
        self._in_flight[request_id] = answer
        try:
            reply = await answer
        except asyncio.CancelledError:
            return
        finally:
            # Ahead of the writing: a line once begun is finished, or it would spoil the next.
            del self._in_flight[request_id]
        await self._commit(reply, request_id)

    async def _tools_changed(self) -> None:
        await self._send(message("notifications/tools/list_changed"))

    async def _commit(self, reply: Reply, request_id: int | str) -> None:
        fault = reply.fault
        for body in reply.messages:
            line = json.dumps(body).encode()
            match fault["kind"] if fault else None:
                case None:
                    await self._write(line)
                case "garbage":
                    await self._write(garbage(fault or {}))
                case "cut":
                    await self._write(line[: len(line) // 2])
                case "slow_drip":
                    await self._write(line, pause=(fault or {}).get("delay_ms", 5) / 1000)
                case kind:
                    await self._send(rpc_response(request_id, RpcError(INVALID_PARAMS, f"{kind} needs HTTP")))

    async def _send(self, body: Json) -> None:
        await self._write(json.dumps(body).encode())

    async def _write(self, line: bytes, *, pause: float | None = None) -> None:
        async with self._writing:
            if pause is None:
                _write_all(line + b"\n")
                return
            for byte in line + b"\n":
                _write_all(bytes([byte]))
                await asyncio.sleep(pause)


def _write_all(data: bytes) -> None:
    # Blocking, as in most servers: whoever does not read stops the whole server.
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except BrokenPipeError:
        # The client has gone; the end of the input says so too, and ends the server.
        return


async def _serve(options: argparse.Namespace, journal: Journal) -> None:
    loop = asyncio.get_running_loop()
    connection = StdioConnection(FaultyServer(options, journal))
    ended = asyncio.Event()

    def read_input() -> None:
        for line in sys.stdin.buffer:
            loop.call_soon_threadsafe(connection.receive, line)
        loop.call_soon_threadsafe(ended.set)

    # A thread, not the loop: it reads pipes, files and terminals alike, and leaves them as they are.
    threading.Thread(target=read_input, daemon=True).start()
    await ended.wait()
    if options.refuse_sigterm:
        await asyncio.Event().wait()


def main() -> None:
    """Serve one client until it closes stdin. Handshake or stateless requests, as `--era` allows."""
    options = options_parser("A faulty MCP server on stdin and stdout.").parse_args()
    asyncio.run(_serve(options, start(options)))


if __name__ == "__main__":
    main()

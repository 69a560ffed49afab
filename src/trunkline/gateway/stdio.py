"""Runs the gateway over standard input and output, for hosts that start their servers themselves.

Input and output wait on the loop: the SDK's wait in threads, which no signal interrupts, and which cost each answer
more than all decisions about it. Calls of tools are answered past the SDK's queues, see `direct_lines`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from trunkline.gateway.direct_lines import DirectLines
from trunkline.gateway.line_output import LineOutput, claimed_output
from trunkline.gateway.serve import hold
from trunkline.gateway.server import build_server
from trunkline.gateway.signals import call_on_signals
from trunkline.infrastructure import Infrastructure

__all__ = ["serve_stdio"]

_CHUNK: Final = 65536
_LONGEST: Final = 4 * 1024 * 1024
"""Bytes of one message, as over HTTP; what sends a longer one is hung up on."""

_Incoming = SessionMessage | Exception


async def serve_stdio(infra: Infrastructure) -> None:
    """Serve `infra`, which has not been entered, until the input ends or a signal arrives."""
    server = build_server(infra)
    incoming, received = anyio.create_memory_object_stream[_Incoming](0)
    with claimed_output() as descriptor:
        async with anyio.create_task_group() as tasks:
            await tasks.start(call_on_signals, lambda _number: tasks.cancel_scope.cancel())
            await tasks.start(hold, infra)
            output = LineOutput(descriptor, on_end=tasks.cancel_scope.cancel)
            tasks.start_soon(output.run)
            async with anyio.create_task_group() as calls:
                calls.start_soon(_read, DirectLines(server, server.sessions, output, calls), incoming)
                await server.run(received, _Said(output), server.create_initialization_options())
                calls.cancel_scope.cancel()
            tasks.cancel_scope.cancel()


async def _read(calls: DirectLines, incoming: MemoryObjectSendStream[_Incoming]) -> None:
    """Hand on what comes, until there is nothing more."""
    async with incoming:
        async for line in _lines(sys.stdin.fileno()):
            if not calls.take(line):
                await incoming.send(_message(line, calls))


def _message(line: bytes, calls: DirectLines) -> _Incoming:
    try:
        message = jsonrpc_message_adapter.validate_json(line.decode("utf-8", "replace"), by_name=False)
    except ValueError as error:
        return error
    calls.note(message)
    return SessionMessage(message)


async def _lines(descriptor: int) -> AsyncIterator[bytes]:
    """The lines of a pipe, a terminal or a file, until its end."""
    rest = b""
    while True:
        try:
            await anyio.wait_readable(descriptor)
        except PermissionError:
            # A regular file cannot be waited for, and need not be: reading it never blocks for long.
            await anyio.lowlevel.checkpoint()
        chunk = os.read(descriptor, _CHUNK)
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line
        if not chunk or len(rest) > _LONGEST:
            break
    if rest and len(rest) <= _LONGEST:
        yield rest


class _Said:
    """The SDK's stream of what it has to say."""

    def __init__(self, output: LineOutput) -> None:
        self._output = output

    async def send(self, item: SessionMessage, /) -> None:
        """Say it."""
        await self._output.send(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode())

    async def aclose(self) -> None:
        """Say no more."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()

"""Runs the gateway over standard input and output, for hosts that start their servers themselves.

The SDK reads its input in a thread that nothing can interrupt, so that a signal would be heeded only after the next
line. The input given to it here waits on the loop instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from typing import Final, cast

import anyio
import anyio.lowlevel
from mcp.server.stdio import stdio_server

from trunkline.gateway.serve import hold
from trunkline.gateway.server import build_server
from trunkline.gateway.signals import call_on_signals
from trunkline.infrastructure import Infrastructure

__all__ = ["serve_stdio"]

_CHUNK: Final = 65536
_LONGEST: Final = 4 * 1024 * 1024
"""Bytes of one message, as over HTTP; what sends a longer one is hung up on."""


async def serve_stdio(infra: Infrastructure) -> None:
    """Serve `infra`, which has not been entered, until the input ends or a signal arrives. Nothing else may print."""
    server = build_server(infra)
    async with anyio.create_task_group() as tasks:
        await tasks.start(call_on_signals, lambda _number: tasks.cancel_scope.cancel())
        await tasks.start(hold, infra)
        lines = cast("anyio.AsyncFile[str]", _lines(sys.stdin.fileno()))
        async with stdio_server(stdin=lines) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
        tasks.cancel_scope.cancel()


async def _lines(descriptor: int) -> AsyncIterator[str]:
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
            yield line.decode("utf-8", "replace")
        if not chunk or len(rest) > _LONGEST:
            break
    if rest and len(rest) <= _LONGEST:
        yield rest.decode("utf-8", "replace")

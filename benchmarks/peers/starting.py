"""Programs that listen, started beside each other; what does not start is named."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from benchmarks.peers.gateways import Peer, Upstream
from trunkline.testing.processes import free_port

STARTUP = 120.0
"""Seconds until a program must listen: ContextForge makes a database before it does, while all others start too."""


def left_out(what: str, why: str | Exception) -> None:
    """Say aloud that something is not measured."""
    while isinstance(why, ExceptionGroup):
        why = why.exceptions[0]
    print(f"*** NOT MEASURED: {what}: {why if isinstance(why, str) else repr(why)} ***", flush=True)


@asynccontextmanager
async def process(*command: str, port: int, folder: Path, **environment: str) -> AsyncIterator[str]:
    """The address at which a program listens, once it takes connections.

    Raises `RuntimeError`, with the last line that it printed, when it ends before; `TimeoutError` when it never does.
    """
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        child = await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,  # some write to where they stand, or read a .env there
            env={**os.environ, "XDG_STATE_HOME": str(folder), **environment},
        )
    try:
        with anyio.fail_after(STARTUP):
            while True:
                try:
                    await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    if child.returncode is not None:
                        last = log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
                        raise RuntimeError(f"it ended with status {child.returncode}: {last}") from None
                    await anyio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        if child.returncode is None:
            child.terminate()
        with anyio.fail_after(20, shield=True):
            await child.wait()


@asynccontextmanager
async def started(peers: Iterable[Peer], upstream: Upstream) -> AsyncIterator[dict[Peer, str]]:
    """Start all at once. The addresses of those that do start; the others are named."""
    async with AsyncExitStack() as stack:
        addresses: dict[Peer, str] = {}

        async def start(peer: Peer) -> None:
            if peer.is_started_by_host:
                addresses[peer] = ""
                return
            port = free_port()
            try:
                running = process(*peer.command(upstream, port), port=port, folder=upstream.folder, **peer.environment)
                address = await stack.enter_async_context(running)
                if peer.prepare is not None:
                    await anyio.to_thread.run_sync(peer.prepare, upstream, address)
                addresses[peer] = address
            except Exception as error:  # boundary: whatever keeps one from starting, the others are measured
                left_out(peer.name, error)

        async with anyio.create_task_group() as tasks:
            for peer in peers:
                tasks.start_soon(start, peer)
        yield addresses

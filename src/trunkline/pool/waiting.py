"""Waiting for the first of several pools: replicas of one server, or all servers at a start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio

from trunkline.call import Call
from trunkline.errors import ServerUnavailable
from trunkline.pool.pool import Pool

__all__ = ["first_ready", "first_settled"]


async def first_ready(pools: Sequence[Pool], call: Call, patience: float) -> None:
    """Wait until one of the pools has a connection.

    Raises:
        ServerUnavailable: All have given up, or `patience` seconds have passed.
    """
    refusals: list[ServerUnavailable] = []
    async with anyio.create_task_group() as tasks:

        async def wait(pool: Pool) -> None:
            try:
                await pool.wait_ready(call)
            except ServerUnavailable as refusal:
                refusals.append(refusal)
            else:
                tasks.cancel_scope.cancel()

        tasks.cancel_scope.deadline = anyio.current_time() + patience
        for pool in pools:
            tasks.start_soon(wait, pool)
    if len(refusals) == len(pools):
        raise refusals[-1]
    if not any(pool.is_ready for pool in pools):
        words = f"server {call.server!r} cannot be reached: no connection within {patience:g} s"
        raise ServerUnavailable(words, tool=call.name, server=call.server)


async def first_settled(pools: Iterable[Pool]) -> None:
    """Wait until one of the pools is ready, or all have failed."""
    async with anyio.create_task_group() as tasks:

        async def watch(pool: Pool) -> None:
            await pool.settled.wait()
            if pool.is_ready:
                tasks.cancel_scope.cancel()

        for pool in pools:
            tasks.start_soon(watch, pool)

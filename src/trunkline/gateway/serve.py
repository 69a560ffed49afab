"""Runs the gateway over HTTP, in this process, until a signal ends it."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import uvicorn
from anyio.abc import TaskStatus

from trunkline.gateway.app import build_app
from trunkline.gateway.connections import bounded
from trunkline.gateway.signals import call_on_signals
from trunkline.infrastructure import Infrastructure

__all__ = ["hold", "serve"]

_LAST_REQUESTS = 1
"""Seconds that requests under way get when the gateway ends: with the children's own grace it stays below five."""


async def serve(
    infra: Infrastructure,
    listener: socket.socket,
    *,
    on_start: Callable[[], None],
    beside: Callable[[], Awaitable[None]] = anyio.sleep_forever,
) -> None:
    """Serve `infra`, which has not been entered, on a listening socket; returns once a signal has ended everything.

    `on_start` is called when requests are accepted, which is before the servers behind are connected. A second signal
    does not wait for requests under way. `beside` runs meanwhile: its end ends everything too, and the first signal
    cancels it. Needs asyncio, for uvicorn.
    """
    holding: anyio.CancelScope
    accompanying = anyio.CancelScope()
    host, port, *_ = listener.getsockname()
    app = build_app(infra, host, port)
    config = uvicorn.Config(
        app,
        http=bounded(lambda: infra.settings.gateway.limits, infra.bus.emit),
        h11_max_incomplete_event_size=infra.settings.gateway.limits.head,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_REQUESTS,
    )
    server = _Server(config, on_start)

    def stop() -> None:
        accompanying.cancel()
        server.should_exit = True
        app.state.close_streams()
        # At once, not after the last request: a child that will not go has three seconds of its own.
        holding.cancel()

    def hurry() -> None:
        server.force_exit = True

    async def accompany() -> None:
        with accompanying:
            await beside()
            stop()

    async with anyio.create_task_group() as tasks:
        holding = await tasks.start(hold, infra)
        await tasks.start(call_on_signals, stop, hurry)
        tasks.start_soon(accompany)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


async def hold(
    infra: Infrastructure, *, task_status: TaskStatus[anyio.CancelScope] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Keep `infra` entered until the scope it hands out is cancelled.

    That is handed out at once, not when the servers are connected.
    """
    with anyio.CancelScope() as scope:
        task_status.started(scope)
        async with infra:
            await anyio.sleep_forever()


class _Server(uvicorn.Server):
    """Leaves the signals to us, and tells when it listens."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: one place handles them."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell."""
        await super().startup(sockets)
        if self.started:
            self._on_start()

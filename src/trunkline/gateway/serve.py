"""Runs the gateway over HTTP, in this process, until a signal ends it: SIGTERM lets what is under way finish."""

from __future__ import annotations

import signal
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
_LAST_WORDS = 1
"""Seconds after that in which those who still wait are told that it has ended."""


async def serve(
    infra: Infrastructure,
    listener: socket.socket,
    *,
    on_start: Callable[[], None],
    beside: Callable[[], Awaitable[None]] = anyio.sleep_forever,
) -> None:
    """Serve `infra`, which has not been entered, on a listening socket; returns once a signal has ended everything.

    `on_start` is called when requests are accepted, which is before the servers behind are connected. The first SIGTERM
    drains, see `draining`; Ctrl-C, or a signal while that goes on, ends everything within five seconds; a further one
    does not even wait for answers on their way. `beside` runs meanwhile: its end ends everything too, and the first
    signal cancels it. Needs asyncio, for uvicorn.
    """
    holding: anyio.CancelScope
    accompanying, draining = anyio.CancelScope(), anyio.CancelScope()
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
        # Nothing here asks where a proxy says that a request came from: what cannot be forged need not be believed.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_REQUESTS + _LAST_WORDS,
    )
    server = _Server(config, on_start)

    def stop() -> None:
        accompanying.cancel()
        draining.cancel()
        server.should_exit = True
        tasks.start_soon(app.state.drain.break_off, _LAST_REQUESTS)
        app.state.close_streams()
        # At once, not after the last request: a child that will not go has three seconds of its own.
        holding.cancel()

    async def drain() -> None:
        accompanying.cancel()
        with draining:
            await app.state.drain.run(infra.settings.gateway.drain)
            stop()

    def react(number: signal.Signals) -> None:
        if server.should_exit:
            server.force_exit = True
        elif number == signal.SIGTERM and not app.state.drain.is_leaving:
            app.state.drain.leave()
            tasks.start_soon(drain)
        else:
            stop()

    async def accompany() -> None:
        with accompanying:
            await beside()
            stop()

    async with anyio.create_task_group() as tasks:
        holding = await tasks.start(hold, infra)
        await tasks.start(call_on_signals, react)
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

"""The address that Prometheus scrapes, as an ASGI application of its own, to mount in any other.

Rendering yields to the event loop: a page of ten thousand series holds up nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import anyio
import anyio.lowlevel

from trunkline.monitoring.negotiation import CONTENT_TYPES, format_for
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.snapshots import Snapshot

__all__ = ["MetricsPage"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]

_ENOUGH: Final = 65536
"""Bytes from which pieces are sent: one small answer in one write, a large one in few."""


class MetricsPage:
    """ASGI application that answers every request with all metrics, in the format that its `Accept` asks for."""

    def __init__(self, exporter: PrometheusExporter, gathered: Callable[[], Awaitable[Snapshot]] | None = None) -> None:
        """Serve what `exporter` exports, or, of several worker processes, what is `gathered`."""
        self._exporter = exporter
        self._gathered = gathered

    def __repr__(self) -> str:
        return f"<MetricsPage of {self._exporter!r}>"

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Answer one request; each few milliseconds of work others run."""
        accept = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
        form = format_for(accept)
        try:
            snapshot = None if self._gathered is None else await self._gathered()
        except OSError as error:
            # Fewer than were told before would look like counters that began anew.
            words = f"The metrics of the other workers cannot be read ({type(error).__name__}).\n"
            await send(_start(503, "text/plain; charset=utf-8"))
            await send({"type": "http.response.body", "body": words.encode()})
            return
        await send(_start(200, CONTENT_TYPES[form]))
        held: list[bytes] = []
        size = 0
        for piece in self._exporter.pieces(form, snapshot):
            held.append(piece)
            size += len(piece)
            if size >= _ENOUGH:
                await send({"type": "http.response.body", "body": b"".join(held), "more_body": True})
                held, size = [], 0
                if await _has_left(receive):
                    return  # A server takes what is sent to nobody without a word, and this answer has not arrived.
            await anyio.lowlevel.checkpoint()
        await send({"type": "http.response.body", "body": b"".join(held)})


async def _has_left(receive: _Receive) -> bool:
    """Whether the reader has gone, as far as is known now.

    One message is read and no more: the first may be the request's own body, the next time tells. A server that has
    a body to hand out without end would keep a loop here from ever coming to rest.
    """
    with anyio.CancelScope() as scope:
        scope.cancel()
        return bool((await receive())["type"] == "http.disconnect")
    return False


def _start(status: int, kind: str) -> _Message:
    headers = [(b"content-type", kind.encode()), (b"vary", b"Accept")]
    return {"type": "http.response.start", "status": status, "headers": headers}

"""The address that Prometheus scrapes, as an ASGI application of its own, to mount in any other.

Rendering yields to the event loop: a page of ten thousand series holds up nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import anyio.lowlevel

from trunkline.monitoring.negotiation import CONTENT_TYPES, format_for
from trunkline.monitoring.prometheus import PrometheusExporter

__all__ = ["MetricsPage"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]

_ENOUGH: Final = 65536
"""Bytes from which pieces are sent: one small answer in one write, a large one in few."""


class MetricsPage:
    """ASGI application that answers every request with all metrics, in the format that its `Accept` asks for."""

    def __init__(self, exporter: PrometheusExporter) -> None:
        self._exporter = exporter

    def __repr__(self) -> str:
        return f"<MetricsPage of {self._exporter!r}>"

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Answer one request; each few milliseconds of work others run."""
        accept = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
        form = format_for(accept)
        headers = [(b"content-type", CONTENT_TYPES[form].encode()), (b"vary", b"Accept")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        held: list[bytes] = []
        size = 0
        for piece in self._exporter.pieces(form):
            held.append(piece)
            size += len(piece)
            if size >= _ENOUGH:
                await send({"type": "http.response.body", "body": b"".join(held), "more_body": True})
                held, size = [], 0
            await anyio.lowlevel.checkpoint()
        await send({"type": "http.response.body", "body": b"".join(held)})

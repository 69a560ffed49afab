"""A collector that takes OTLP over HTTP, as a process: it decodes what it is sent, tells it, and misbehaves when asked.

    async with collector() as running:
        await running.behave("503")
        spans = await running.spans()

Modes: `ok`, `hang`, `garbage` (answers what is no HTTP), `endless` (a body without end), `partial` (takes some and
rejects one), and any status by its number.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock
from typing import Any, ClassVar, Final

import anyio
import httpx2
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

__all__ = ["Collector", "collector", "until"]

TIMEOUT: Final = 30.0
_REQUESTS: Final[dict[str, Any]] = {"metrics": ExportMetricsServiceRequest, "traces": ExportTraceServiceRequest}
_PARTIAL: Final[dict[str, Any]] = {
    "metrics": ExportMetricsServiceResponse(partial_success=ExportMetricsPartialSuccess(rejected_data_points=1)),
    "traces": ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=1)),
}


class Collector:
    """A running collector, from outside."""

    def __init__(self, url: str, client: httpx2.AsyncClient) -> None:
        self.url = url
        self._client = client

    async def behave(self, mode: str) -> None:
        """Answer so from now on."""
        (await self._client.post(f"{self.url}/mode/{mode}")).raise_for_status()

    async def pushes(self, signal: str) -> list[dict[str, Any]]:
        """All pushes of a signal, in order: body (the JSON form of protobuf), headers, path, whether it took them."""
        answer = await self._client.get(f"{self.url}/seen/{signal}")
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    async def spans(self) -> list[dict[str, Any]]:
        """Every span it took."""
        return [
            span
            for push in await self.pushes("traces")
            if push["taken"]
            for resource in push["body"]["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    async def metrics(self) -> dict[str, dict[str, Any]]:
        """The metrics of the latest push it took, by name."""
        taken = [push for push in await self.pushes("metrics") if push["taken"]]
        found = taken[-1]["body"]["resourceMetrics"] if taken else []
        return {
            metric["name"]: metric
            for resource in found
            for scope in resource["scopeMetrics"]
            for metric in scope["metrics"]
        }


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until a condition holds that has to be asked for."""
    with anyio.fail_after(TIMEOUT):
        while not await condition():  # noqa: ASYNC110 - it comes true in another process
            await anyio.sleep(0.02)


@asynccontextmanager
async def collector() -> AsyncGenerator[Collector, None]:
    """Run a collector on a free port of the loopback address."""
    process = await anyio.open_process([sys.executable, str(Path(__file__))], stderr=None)
    try:
        assert process.stdout is not None
        with anyio.fail_after(TIMEOUT):
            port = int(await process.stdout.receive())
        async with httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT) as client:
            yield Collector(f"http://127.0.0.1:{port}", client)
    finally:
        process.kill()
        await process.aclose()


class _Seen:
    """What came, and how to answer."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.pushes: dict[str, list[dict[str, Any]]] = {"metrics": [], "traces": []}
        self.lock = Lock()


class _Taker(BaseHTTPRequestHandler):
    """Takes pushes, and is asked for them."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar = _Seen()

    def do_GET(self) -> None:
        with self.seen.lock:
            self._send(200, json.dumps(self.seen.pushes[self.path.rpartition("/")[2]]).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        what = self.path.rpartition("/")[2]
        if self.path.startswith("/mode/"):
            self.seen.mode = what
            self._send(200, b"")
            return
        assert self.headers["content-type"] == "application/x-protobuf"
        mode = self.seen.mode
        push = {
            "body": MessageToDict(_REQUESTS[what].FromString(gzip.decompress(body))),
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "path": self.path,
            "taken": mode in ("ok", "partial"),
        }
        with self.seen.lock:
            self.seen.pushes[what].append(push)
        with suppress(OSError):  # who has pushed may be gone
            self._answer(mode, what)

    def _answer(self, mode: str, what: str) -> None:
        if mode == "hang":
            Event().wait()
        elif mode == "garbage":
            self.wfile.write(b"what is this?\n\n")
            self.close_connection = True
        elif mode == "endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 4096)
        elif mode == "partial":
            self._send(200, _PARTIAL[what].SerializeToString())
        else:
            self._send(200 if mode == "ok" else int(mode), b"")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's own name
        """Write no log."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()

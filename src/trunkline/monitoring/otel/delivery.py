"""One push of OTLP over HTTP, and what came of it. Bounded in time and size, whatever a collector does."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from trunkline.policy import OtlpPolicy

__all__ = ["Delivered", "Delivery", "Signal"]

Signal: TypeAlias = Literal["metrics", "traces"]

_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Statuses after which the same push may go well later (OTLP specification, "Retryable response codes")."""
_LONGEST_ANSWER: Final = 65536
"""Bytes of an answer that are read."""
_LONGEST_PAUSE: Final = 300.0
"""Seconds a collector may ask us to wait."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a push ended."""

    reason: str = ""
    """Why it failed, in words that can be shown; empty when it did not."""
    may_retry: bool = False
    """Whether the same may go well later."""
    retry_after: float = 0.0
    """Seconds the collector asked to wait."""
    rejected: int = 0
    """Spans or data points that the collector took no interest in, though it took the push."""


class Delivery:
    """Posts bodies to a collector."""

    def __init__(self, policy: OtlpPolicy, client: httpx2.AsyncClient) -> None:
        """Post by `client` to the endpoint of `policy`."""
        self._policy = policy
        self._client = client
        parts = urlsplit(policy.endpoint or "")
        self._label = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._base = (policy.endpoint or "").rstrip("/")

    async def push(self, signal: Signal, body: bytes) -> Delivered:
        """Post one body; never raises but for cancellation."""
        headers = {**self._policy.headers, "content-type": "application/x-protobuf", "content-encoding": "gzip"}
        try:
            packed = await anyio.to_thread.run_sync(gzip.compress, body, 1)
            with anyio.fail_after(self._policy.timeout):
                url = f"{self._base}/v1/{signal}"
                async with self._client.stream("POST", url, content=packed, headers=headers) as answer:
                    read = bytearray()
                    async for chunk in answer.aiter_bytes():
                        read += chunk
                        if len(read) > _LONGEST_ANSWER:
                            break
            return self._judged(signal, answer.status_code, answer.headers, bytes(read))
        except TimeoutError:
            return Delivered(f"the collector at {self._label} took longer than {self._policy.timeout:g} s", True)
        except httpx2.TransportError as error:
            return Delivered(f"the collector at {self._label} cannot be reached ({type(error).__name__})", True)
        except Exception as error:  # boundary: whatever a collector makes the client raise ends this push only
            return Delivered(f"the collector at {self._label} cannot be spoken to ({type(error).__name__})")

    def _judged(self, signal: Signal, status: int, headers: Mapping[str, str], read: bytes) -> Delivered:
        if 200 <= status < 300:
            return Delivered(rejected=_rejected(signal, read))
        known = {each.value: f" {each.phrase}" for each in HTTPStatus}
        return Delivered(
            f"the collector at {self._label} answered {status}{known.get(status, '')}",
            status in _AGAIN,
            _seconds(headers.get("retry-after", "")),
        )


def _rejected(signal: Signal, read: bytes) -> int:
    try:
        if signal == "traces":
            return int(ExportTraceServiceResponse.FromString(read).partial_success.rejected_spans)
        return int(ExportMetricsServiceResponse.FromString(read).partial_success.rejected_data_points)
    except Exception:  # boundary: it took the push, and what else it says need not be OTLP
        return 0


def _seconds(text: str) -> float:
    return min(float(text), _LONGEST_PAUSE) if text.isascii() and text.isdecimal() else 0.0

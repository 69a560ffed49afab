"""The binary format Prometheus reads: length-delimited messages `io.prometheus.client.MetricFamily`.

The only format that carries native histograms. Written by hand, since it is one small message and no dependency is
worth that. Knows syntax only. Sources: `metrics.proto` of Prometheus's client model for the field numbers, and
"Encoding" of the protocol buffers documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from struct import Struct
from typing import Final

from trunkline.monitoring.buckets import BOUNDS, NATIVE_INDICES, NATIVE_SCHEMA, classes
from trunkline.monitoring.labels import Labels
from trunkline.monitoring.readings import Distribution, Reading

__all__ = ["ProtobufWriter"]

_DOUBLE: Final = Struct("<d").pack
_COUNTER, _GAUGE, _HISTOGRAM = 0, 1, 4
_SHORT: Final = tuple(bytes((number,)) for number in range(128))


class ProtobufWriter:
    """Writes metrics as messages: histograms native and classic at once, of which the reader takes what it knows."""

    def __init__(self) -> None:
        self._encoded: dict[Labels, bytes] = {}

    def histogram(
        self, name: str, text: str, bounds: tuple[float, ...], some: Iterable[list[Distribution]]
    ) -> Iterator[bytes]:
        """Yield a histogram, its classic buckets ending at `bounds` (s), in one piece for each list of `some`.

        A family is one message with its length in front, so its pieces are held until the last is made; until then an
        empty one is yielded for each, for who must let others run in between.
        """
        where = classes(bounds)
        ends = [b"\x11" + _DOUBLE(bound) for bound in (*bounds, float("inf"))]
        pieces = [_family(name, text, _HISTOGRAM)]
        for distributions in some:
            metrics: list[bytes] = []
            for labels, buckets, count, total in distributions:
                hits = [0] * len(ends)
                for index, times in buckets.items():
                    hits[where[index]] += times
                inner = [b"\x08", _varint(count), b"\x11", _DOUBLE(total)]
                for end, upto in zip(ends, accumulate(hits), strict=True):
                    bucket = b"\x08" + _varint(upto) + end
                    inner += (b"\x1a", _SHORT[len(bucket)], bucket)
                inner.append(_native(buckets))
                metrics.append(_field(4, self._labels(labels) + _field(7, b"".join(inner))))
            pieces.append(b"".join(metrics))
            yield b""
        yield _varint(sum(map(len, pieces)))
        yield from pieces

    def reading(self, reading: Reading) -> bytes:
        """Return a counter or a gauge."""
        is_counter = reading.kind == "counter"
        name = f"{reading.name}_total" if is_counter else reading.name
        pieces = [_family(name, reading.help, _COUNTER if is_counter else _GAUGE)]
        for labels, number in reading.labelled().items():
            pieces.append(_field(4, _labels(labels) + _field(3 if is_counter else 2, b"\x09" + _DOUBLE(number))))
        body = b"".join(pieces)
        return _varint(len(body)) + body

    def end(self) -> bytes:
        """Return what ends the page: nothing."""
        return b""

    def _labels(self, labels: Labels) -> bytes:
        found = self._encoded.get(labels)
        if found is None:
            found = self._encoded[labels] = _labels(labels)
        return found


def _family(name: str, text: str, kind: int) -> bytes:
    return _field(1, name.encode()) + _field(2, text.encode()) + b"\x18" + _SHORT[kind]


def _labels(labels: Labels) -> bytes:
    return b"".join(_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels)


def _native(buckets: Mapping[int, int]) -> bytes:
    """Schema, zero bucket, spans of neighbours, and counts, each as its difference to the one before."""
    hits: dict[int, int] = {}
    for index in sorted(buckets):
        if index:
            native = NATIVE_INDICES[index]
            hits[native] = hits.get(native, 0) + buckets[index]
    spans: list[bytes] = []
    deltas: list[bytes] = []
    # The first span's offset counts from bucket 0, every other's from the end of the span before it.
    offset = length = end = before = 0
    for native, times in hits.items():
        if not length or native != end:
            if length:
                spans.append(_span(offset, length))
            offset, length = native - end, 0
        length += 1
        end = native + 1
        deltas.append(_varint(_zigzag(times - before)))
        before = times
    if length:
        spans.append(_span(offset, length))
    return b"".join((_ZERO, _varint(buckets.get(0, 0)), *spans, _field(13, b"".join(deltas)) if deltas else b""))


def _span(offset: int, length: int) -> bytes:
    return _field(12, b"\x08" + _varint(_zigzag(offset)) + b"\x10" + _varint(length))


def _field(number: int, body: bytes) -> bytes:
    """A field of which the length is told: text, a message, or packed numbers."""
    return _SHORT[number << 3 | 2] + _varint(len(body)) + body


def _zigzag(number: int) -> int:
    """Small for small numbers of either sign."""
    return number << 1 if number >= 0 else (-number << 1) - 1


def _varint(number: int) -> bytes:
    if number < 128:
        return _SHORT[number]
    pieces = bytearray()
    while number >= 128:
        pieces.append(number & 127 | 128)
        number >>= 7
    pieces.append(number)
    return bytes(pieces)


_ZERO: Final = b"\x28" + _varint(_zigzag(NATIVE_SCHEMA)) + b"\x31" + _DOUBLE(BOUNDS[0]) + b"\x38"
"""Schema, width of the zero bucket, and the beginning of its count."""

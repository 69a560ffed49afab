"""The binary format Prometheus reads: length-delimited messages `io.prometheus.client.MetricFamily`.

The only format that carries native histograms. Written by hand, since it is one small message and no dependency is
worth that. Knows syntax only. Sources: `metrics.proto` of Prometheus's client model for the field numbers, and
"Encoding" of the protocol buffers documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, pairwise
from operator import sub
from struct import Struct
from typing import Final

from trunkline.monitoring.buckets import BOUNDS, NATIVE_INDICES, NATIVE_SCHEMA, classes
from trunkline.monitoring.labels import Labels
from trunkline.monitoring.readings import Distribution, Reading

__all__ = ["ProtobufWriter"]

_DOUBLE: Final = Struct("<d").pack
_COUNTER, _GAUGE, _HISTOGRAM = 0, 1, 4
_ZERO_INDEX: Final = NATIVE_INDICES[0]
_SHORT: Final = tuple(bytes((number,)) for number in range(128))
_FIRST_BUCKETS: Final = tuple(b"\x1a\x0b\x08" + number for number in _SHORT)
"""How a classic bucket of so small a count begins: most are, and there are many."""


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
            for labels, buckets, size, total in distributions:
                hits = [0] * len(ends)
                for index, times in buckets.items():
                    hits[where[index]] += times
                classic = [
                    _FIRST_BUCKETS[upto] + end if upto < 128 else _field(3, b"\x08" + _varint(upto) + end)
                    for upto, end in zip(accumulate(hits), ends, strict=True)
                ]
                count = b"\x08" + _varint(size) + b"\x11" + _DOUBLE(total)
                histogram = b"".join((count, *classic, _native(buckets)))
                metrics.append(_field(4, self._labels(labels) + _field(7, histogram)))
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
    merged: dict[int, int] = {}
    for index in sorted(buckets):
        native = NATIVE_INDICES[index]
        merged[native] = merged.get(native, 0) + buckets[index]
    smallest = merged.pop(_ZERO_INDEX, 0)
    if not merged:
        return _ZERO + _varint(smallest)
    natives, hits = list(merged), list(merged.values())
    starts = [0, *(place for place, (one, next_one) in enumerate(pairwise(natives), 1) if next_one != one + 1)]
    spans: list[bytes] = []
    # The first span's offset counts from bucket 0, every other's from the end of the span before it.
    end = 0
    for start, stop in pairwise((*starts, len(natives))):
        offset, length = _zigzag(natives[start] - end), stop - start
        spans.append(_field(12, b"\x08" + _varint(offset) + b"\x10" + _varint(length)))
        end = natives[start] + length
    # Of numbers below 64 either way the encoding is one byte.
    deltas = list(map(sub, hits, (0, *hits)))
    is_short = min(deltas) >= -64 and max(deltas) < 64
    packed = bytes([delta * 2 if delta >= 0 else ~(delta * 2) for delta in deltas]) if is_short else _packed(deltas)
    return b"".join((_ZERO, _varint(smallest), *spans, _field(13, packed)))


def _packed(numbers: list[int]) -> bytes:
    return b"".join([_varint(_zigzag(number)) for number in numbers])


def _field(number: int, body: bytes) -> bytes:
    """A field of which the length is told: text, a message, or packed numbers."""
    return _SHORT[number << 3 | 2] + _varint(len(body)) + body


def _zigzag(number: int) -> int:
    """Small for small numbers of either sign."""
    return number << 1 if number >= 0 else ~(number << 1)


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

"""Reads Prometheus's binary format: what `trunkline.monitoring.protobuf` writes, from the definition once more."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Fields: TypeAlias = dict[int, list[int | bytes | float]]


@dataclass
class Native:
    schema: int
    zero_threshold: float
    zero_count: int
    count: int
    total: float
    buckets: dict[int, int]
    classic: dict[float, int]


@dataclass
class Family:
    name: str
    help: str
    kind: int
    values: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)
    histograms: dict[tuple[tuple[str, str], ...], Native] = field(default_factory=dict)


def read(page: bytes) -> dict[str, Family]:
    families: dict[str, Family] = {}
    place = 0
    while place < len(page):
        size, place = varint(page, place)
        assert place + size <= len(page), "the page ends within a message"
        family = _family(fields(page[place : place + size]))
        assert family.name not in families
        families[family.name] = family
        place += size
    return families


def varint(data: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, place


def fields(data: bytes) -> Fields:
    found: Fields = {}
    place = 0
    while place < len(data):
        tag, place = varint(data, place)
        value: int | bytes | float
        match tag & 7:
            case 0:
                value, place = varint(data, place)
            case 1:
                (value,) = struct.unpack_from("<d", data, place)
                place += 8
            case 2:
                size, place = varint(data, place)
                value = data[place : place + size]
                assert len(value) == size
                place += size
            case kind:
                raise AssertionError(f"wire type {kind}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def _bytes(found: Fields, number: int) -> Iterator[bytes]:
    for value in found.get(number, ()):
        assert isinstance(value, bytes)
        yield value


def _number(found: Fields, number: int) -> float:
    (value,) = found[number]
    assert not isinstance(value, bytes)
    return value


def _signed(number: float) -> int:
    return (int(number) >> 1) ^ -(int(number) & 1)


def _family(found: Fields) -> Family:
    (name,), (text,) = _bytes(found, 1), _bytes(found, 2)
    family = Family(name.decode(), text.decode(), int(_number(found, 3)))
    for body in _bytes(found, 4):
        metric = fields(body)
        pairs = [
            [part.decode() for part in (*_bytes(pair, 1), *_bytes(pair, 2))] for pair in map(fields, _bytes(metric, 1))
        ]
        labels = tuple(sorted((name, value) for name, value in pairs))
        assert labels not in family.values, "one set of labels comes twice"
        assert labels not in family.histograms, "one set of labels comes twice"
        match family.kind:
            case 0 | 1:
                (inner,) = _bytes(metric, 3 if family.kind == 0 else 2)
                family.values[labels] = _number(fields(inner), 1)
            case 4:
                (inner,) = _bytes(metric, 7)
                family.histograms[labels] = _native(fields(inner))
            case kind:
                raise AssertionError(f"type {kind}")
    return family


def _native(found: Fields) -> Native:
    deltas: list[int] = []
    for packed in _bytes(found, 13):
        place = 0
        while place < len(packed):
            number, place = varint(packed, place)
            deltas.append(_signed(number))
    buckets: dict[int, int] = {}
    index = count = 0
    for span in map(fields, _bytes(found, 12)):
        index += _signed(_number(span, 1))
        for _ in range(int(_number(span, 2))):
            count += deltas.pop(0)
            buckets[index] = count
            index += 1
    assert not deltas, "more counts than the spans have places"
    return Native(
        schema=_signed(_number(found, 5)),
        zero_threshold=_number(found, 6),
        zero_count=int(_number(found, 7)),
        count=int(_number(found, 1)),
        total=_number(found, 2),
        buckets=buckets,
        classic={_number(each, 2): int(_number(each, 1)) for each in map(fields, _bytes(found, 3))},
    )

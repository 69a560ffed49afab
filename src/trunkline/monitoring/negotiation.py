"""Which format a scrape gets: what its `Accept` header asks for, by RFC 9110, section 12.5.1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ["CONTENT_TYPES", "Format", "format_for"]

Format: TypeAlias = Literal["text", "openmetrics", "protobuf"]

CONTENT_TYPES: Final[Mapping[Format, str]] = MappingProxyType(
    {
        "text": "text/plain; version=0.0.4; charset=utf-8",
        "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "protobuf": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    }
)
"""How an answer in each format is marked."""

_NEEDED: Final = ("proto", "encoding")
"""Parameters without which a media type says nothing: there are many protocol buffers."""


class _Range(NamedTuple):
    kind: str
    parameters: Mapping[str, str]
    quality: float


class _Offer(NamedTuple):
    form: Format
    kind: str
    parameters: Mapping[str, str]


_OFFERS: Final = (
    _Offer(
        "protobuf",
        "application/vnd.google.protobuf",
        {"proto": "io.prometheus.client.metricfamily", "encoding": "delimited"},
    ),
    _Offer("openmetrics", "application/openmetrics-text", {"version": "1.0.0"}),
    _Offer("text", "text/plain", {"version": "0.0.4"}),
)
"""The richest first: that is what a scraper gets that likes several equally well."""


def format_for(accept: str) -> Format:
    """Return the best format that the value of an `Accept` header allows.

    Text where it names none of ours, so that a person's browser and the plainest client see something: a scrape is
    never refused for its header.
    """
    ranges = list(_ranges(accept))
    best: tuple[float, int] = (0.0, 0)
    found: Format = "text"
    for form, kind, parameters in _OFFERS:
        named = [each.quality for each in ranges if each.kind == kind and _fits(each.parameters, parameters)]
        # Whoever would take anything is no scraper that knows what comes: it counts for text alone.
        wild = [each.quality for each in ranges if form == "text" and each.kind in ("*/*", "text/*")]
        score = (max(named), 2) if named else (max(wild), 1) if wild else (0.0, 0)
        if score[0] > 0 and score > best:
            best, found = score, form
    return found


def _ranges(accept: str) -> Iterator[_Range]:
    for part in accept.lower().split(","):
        kind, *rest = (piece.strip() for piece in part.split(";"))
        pairs = {name.strip(): value.strip(' "') for name, _, value in (piece.partition("=") for piece in rest)}
        quality = _quality(pairs.pop("q", "1"))
        yield _Range(kind, pairs, quality)


def _quality(text: str) -> float:
    """From 0 to 1; 0 for what is no such number."""
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0


def _fits(asked: Mapping[str, str], offered: Mapping[str, str]) -> bool:
    """Whether nothing asked for contradicts what is offered, and nothing needed is left unsaid."""
    return all(asked.get(name, value if name not in _NEEDED else "") == value for name, value in offered.items())

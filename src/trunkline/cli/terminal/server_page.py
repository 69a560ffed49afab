"""The page of one server: how it is, since when and why. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from trunkline.cli.terminal.figures import UNKNOWN, ago, clock, duration, number, share, spark
from trunkline.cli.terminal.lines import Line, Piece, plain
from trunkline.cli.terminal.overview import HEALTH_STYLES, heading
from trunkline.cli.terminal.shown import Shown

__all__ = ["server_page"]


def server_page(shown: Shown, width: int, height: int) -> list[Line]:
    """Return the page in at most `height` lines of at most `width` columns."""
    view, name = shown.view, shown.server
    row = None if view is None or name is None else view["servers"].get(name)
    if view is None or row is None:
        return [*heading(shown, width), [], [Piece(f"There is no server {plain(name)} any more.", "warn")]][:height]
    lines: list[Line] = [] if shown.away is None else [*heading(shown, width)[:2], []]
    lines += _state(plain(name), row, view["at"], width)
    return lines[:height]


def _state(name: str, row: Mapping[str, Any], at: float, width: int) -> Iterator[Line]:
    since = f"since {clock(row['since'], at)} ({ago(at - row['since'])})"
    style = HEALTH_STYLES.get(row["state"], "")
    yield [Piece(f"Server {name}", "title"), Piece("  is "), Piece(plain(row["state"]), style), Piece(f" {since}")]
    for part in textwrap.wrap(plain(row["reason"]), max(10, width - 2)):
        yield [Piece(f"  {part}", style)]
    yield []
    errors, era = share(row.get("error_ratio")), plain(row["era"]) or UNKNOWN
    busy = f"{number(row['in_flight'])} in flight   {number(row['waiting'])} waiting"
    yield [Piece(f"  circuit {plain(row['circuit'])}   {number(row['tools'])} tools   protocol {era}")]
    yield [Piece(f"  {number(row['rate'])} calls/s   {errors} errors   {busy}")]
    yield [Piece("  " + "   ".join(f"{name} {duration(row.get(name))}" for name in ("p50", "p95", "p99")))]
    yield [Piece("  calls/s  ", "dim"), Piece(spark(row["spark"], max(10, min(30, width - 12))))]

"""The page of one server: how it is, since when and why; its tools; its latest failed and its slowest calls. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from trunkline.cli.terminal.figures import UNKNOWN, ago, clock, duration, number, share, spark
from trunkline.cli.terminal.lines import Line, Piece, Style, plain
from trunkline.cli.terminal.overview import HEALTH_STYLES, error_style
from trunkline.cli.terminal.shown import Shown
from trunkline.cli.terminal.table import Column, Row, table

__all__ = ["server_page"]

_USABLE: Final = "available"


def server_page(shown: Shown, width: int) -> list[Line]:
    """Return all of the page in lines of at most `width` columns; it may be longer than a terminal is high."""
    view, name = shown.view, shown.server
    row = None if view is None or name is None else view["servers"].get(name)
    if view is None or row is None:
        return [[Piece(f"There is no server {plain(name)} any more.", "warn")]]
    lines = list(_state(plain(name), row, view["at"], width))
    told = shown.details
    if told is None:
        return [*lines, [], [Piece("  Asking for its tools and calls ...", "dim")]]
    lines += [[], *table("TOOL", _TOOLS, [(plain(tool["name"]), tool) for tool in told["tools"]], width)]
    for kind, words in (("failed", "The latest calls that failed"), ("slow", "The slowest calls of ten minutes")):
        lines += [[], [Piece(f"{words}{'' if told[kind] else ': none'}", "bold")]]
        if told[kind]:
            rows = [(clock(call["at"], view["at"]), call) for call in told[kind]]
            lines += table("ENDED", _CALLS, rows, width)
    return lines


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


def _availability(tool: Row) -> str:
    if (tool["mismatch"] or {}).get("is_refused"):
        return "refused"
    return plain(tool["availability"]["state"])


def _availability_style(tool: Row) -> Style:
    return "" if _availability(tool) == _USABLE else "warn"


def _traced(call: Row) -> str:
    return plain(call["trace_id"] or UNKNOWN)


# Of each, the most important first: those at the end are left out where there is no room.
_TOOLS: Final = (
    Column("STATE", 11, _availability, _availability_style, right=False),
    Column("CALLS", 6, lambda tool: number(tool["calls"])),
    Column("ERRORS", 6, lambda tool: share(tool.get("error_ratio")), error_style),
    Column("P95", 6, lambda tool: duration(tool.get("p95"))),
    Column("MAY RUN TWICE", 13, lambda tool: "yes" if tool["repeatable"] else "no", right=False),
    Column("P50", 6, lambda tool: duration(tool.get("p50"))),
    Column("P99", 6, lambda tool: duration(tool.get("p99"))),
)
_CALLS: Final = (
    Column("TOOL", 20, lambda call: plain(call["tool"]), right=False),
    Column("OUTCOME", 17, lambda call: plain(call["outcome"]), right=False),
    Column("TOOK", 7, lambda call: duration(call["duration"])),
    Column("MAY HAVE RUN", 12, lambda call: "yes" if call["may_have_run"] else "no", right=False),
    Column("DOMAIN", 12, lambda call: plain(call["domain"]), right=False),
    Column("ATTEMPTS", 8, lambda call: number(call["attempts"])),
    Column("CACHE", 9, lambda call: plain(call["cache"]), right=False),
    Column("FALLBACK", 10, lambda call: plain(call["fallback"] or UNKNOWN), right=False),
    Column("TRACE", 32, _traced, right=False),
)

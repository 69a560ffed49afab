"""The first page: how things are, since when and why; then alerts, totals, servers and domains by badness. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from trunkline.cli.terminal.figures import ago, clock, duration, number, share, spark
from trunkline.cli.terminal.lines import Line, Piece, Style, plain
from trunkline.cli.terminal.shown import Shown, by_badness
from trunkline.cli.terminal.table import Column, Row, table

__all__ = ["HEALTH_STYLES", "error_style", "heading", "overview"]

HEALTH_STYLES: Final[Mapping[str, Style]] = MappingProxyType(
    {"healthy": "good", "degraded": "warn", "unknown": "dim", "down": "bad"}
)
_CIRCUIT_STYLES: Final[Mapping[str, Style]] = MappingProxyType({"half_open": "warn", "open": "bad"})
_FIRING: Final = ("firing", "recovering")
_GRAVEST: Final[Mapping[str, int]] = MappingProxyType({"critical": 0, "warning": 1})
_SPARK: Final = 20
"""Points of a sparkline in a table: ten seconds each."""
_FEW: Final = 3
"""Alerts, reasons and domains that are shown, at least, on a terminal that has room for little."""


def overview(shown: Shown, width: int, height: int | None) -> list[Line]:
    """Return the page in at most `height` lines of at most `width` columns; None is as high as it gets."""
    lines = heading(shown, width)
    view = shown.view
    if view is None:
        return lines
    few = None if height is None else max(_FEW, height // 6)
    lines += [*_alerts(view, few), [], *_totals(view, width), []]
    servers = [(plain(name), row) for name, row in by_badness(view["servers"])]
    domains = [(plain(name), row) for name, row in by_badness(view["domains"])]
    room = None if height is None else max(2, height - len(lines) - 3)
    several = len(domains) if room is None else min(len(domains), max(_FEW, room // 3, room - len(servers)))
    chosen = plain(shown.server) if shown.server is not None else None
    columns = _server_columns(view["at"])
    lines += table("SERVER", columns, _around(servers, None if room is None else room - several, chosen), width, chosen)
    if domains:
        lines += [[], *table("DOMAIN", _domain_columns(), domains[:several], width)]
    return lines if height is None else lines[:height]


def heading(shown: Shown, width: int) -> list[Line]:
    """Whether the gateway is there, and in its own words how things are, since when, and why."""
    view, away = shown.view, shown.away
    version = f" {plain(view['version'])}" if view is not None else ""
    first: Line = [Piece(f"Trunkline{version}", "title"), Piece(f"  {plain(shown.url)}", "dim")]
    lines = [first]
    if away is not None:
        since = f"since {clock(away.since, shown.now)} ({ago(shown.now - away.since)})"
        lines.append([Piece(f"✖ The gateway is away {since}: {plain(away.reason)}", "bad")])
        if view is not None:
            lines.append([Piece(f"  Trying again. Below is how things were at {clock(view['at'], shown.now)}.", "dim")])
    elif view is None:
        lines.append([Piece("  Connecting ...", "dim")])
    if view is not None:
        first.append(Piece(f"  {clock(view['at'], view['at'])}, up {ago(view['at'] - view['started'])}", "dim"))
        lines += _overall(view["overall"], view["at"], width, is_past=away is not None)
    return lines


def _overall(overall: Mapping[str, Any], at: float, width: int, *, is_past: bool) -> list[Line]:
    style = "dim" if is_past else HEALTH_STYLES.get(overall["state"], "")
    sentences = textwrap.wrap(plain(overall["sentence"]), max(10, width - 2))
    lines = [[Piece(f"{'  ' if number else '● '}{words}", style)] for number, words in enumerate(sentences)]
    since = overall.get("since")
    if since is not None:
        lines.append([Piece(f"  since {clock(since, at)} ({ago(at - since)})", "dim" if is_past else "")])
    reasons = [plain(reason) for reason in overall["reasons"]]
    for reason in reasons[:_FEW]:
        told = textwrap.wrap(reason, max(10, width - 6), max_lines=2, placeholder=" …")
        lines += [
            [Piece(f"{'      ' if number else '    '}{words}", "dim" if is_past else "")]
            for number, words in enumerate(told)
        ]
    if len(reasons) > _FEW:
        lines.append([Piece(f"    and {len(reasons) - _FEW} more", "dim")])
    return lines


def _alerts(view: Mapping[str, Any], few: int | None) -> Iterator[Line]:
    """Those that fire, or did so until a moment ago; not those that another one explains."""
    alerts = view.get("alerts", {}).values()
    told = [alert for alert in alerts if alert["state"] in _FIRING and not alert.get("inhibited_by")]
    told.sort(key=lambda alert: (_GRAVEST.get(alert["severity"], len(_GRAVEST)), alert["since"]))
    if told:
        yield []
        yield [Piece(f"{len(told)} {'alert is' if len(told) == 1 else 'alerts are'} firing", "bad")]
    for alert in told[:few]:
        since = (
            f"{plain(alert['state'])} since {clock(alert['since'], view['at'])} ({ago(view['at'] - alert['since'])})"
        )
        severity = plain(alert["severity"])
        yield [Piece(f"  {severity}: ", "warn"), Piece(f"{plain(alert['summary'])} "), Piece(since, "dim")]


def _totals(view: Mapping[str, Any], width: int) -> list[Line]:
    """The last minute of all domains together, and the past ten minutes as bars."""
    total, circuits = view["totals"], view["circuits"]
    facts: list[tuple[str, str, Style]] = [
        (number(total["rate"]), "calls/s", ""),
        (share(total.get("error_ratio")), "errors", error_style(total)),
        *((duration(total.get(name)), name, "") for name in ("p50", "p95", "p99")),
        (number(total["in_flight"]), "in flight", ""),
        (share(view["cache"].get("hit_ratio")), "cached", ""),
        (
            number(circuits["open"]),
            f"open circuit{'' if circuits['open'] == 1 else 's'}",
            "bad" if circuits["open"] else "",
        ),
    ]
    lines: list[Line] = [[]]
    used = 0
    for figure, words, style in facts:
        taken = len(figure) + 1 + len(words) + 3
        if used and used + taken - 3 > width:
            lines.append([])
            used = 0
        lines[-1] += [Piece(figure, style or "bold"), Piece(f" {words}   ", "dim")]
        used += taken
    points = list(view["history"].values())
    for words, name in (("calls/s", "rate"), ("p95", "p95")):
        bars = spark([point.get(name, 0.0) for point in points], max(10, min(60, width - 12)))
        lines.append([Piece(f"{words:<9}", "dim"), Piece(bars)])
    return lines


def _server_columns(at: float) -> Sequence[Column]:
    """The most important first: those at the end are left out where there is no room."""

    def state(row: Row) -> str:
        is_well = row["state"] == "healthy"
        return row["state"] if is_well else f"{plain(row['state'])} {ago(at - row['since'])}"

    return (
        Column("STATE", 16, state, lambda row: HEALTH_STYLES.get(row["state"], ""), right=False),
        Column("CALLS/S", 7, lambda row: number(row["rate"])),
        Column("ERRORS", 6, lambda row: share(row.get("error_ratio")), error_style),
        Column("P95", 6, lambda row: duration(row.get("p95"))),
        Column("CIRCUIT", 9, lambda row: plain(row["circuit"]), lambda row: _CIRCUIT_STYLES.get(row["circuit"], "")),
        Column("LAST 3 MIN", _SPARK, lambda row: spark(row["spark"], _SPARK), right=False),
        Column("IN FLIGHT", 9, lambda row: number(row["in_flight"])),
        Column("WAITING", 7, lambda row: number(row["waiting"])),
        Column("P50", 6, lambda row: duration(row.get("p50"))),
        Column("TOOLS", 5, lambda row: number(row["tools"])),
    )


def _domain_columns() -> Sequence[Column]:
    return (
        Column("CALLS/S", 7, lambda row: number(row["rate"])),
        Column("ERRORS", 6, lambda row: share(row.get("error_ratio")), error_style),
        Column("P95", 6, lambda row: duration(row.get("p95"))),
        Column("LAST 3 MIN", _SPARK, lambda row: spark(row["spark"], _SPARK), right=False),
        Column("P50", 6, lambda row: duration(row.get("p50"))),
        Column("P99", 6, lambda row: duration(row.get("p99"))),
        Column("IN FLIGHT", 9, lambda row: number(row["in_flight"])),
    )


def error_style(row: Row) -> Style:
    """How the share of errors of a row looks."""
    ratio = row.get("error_ratio", 0.0)
    return "bad" if ratio >= 0.05 else "warn" if ratio > 0 else ""


def _around(rows: list[tuple[str, Row]], room: int | None, chosen: str | None) -> list[tuple[str, Row]]:
    """As many rows as there is room for: the first ones, or those around the chosen one."""
    if room is None or len(rows) <= room:
        return rows
    at = next((number for number, (label, _) in enumerate(rows) if label == chosen), 0)
    first = min(max(0, at - room // 2), len(rows) - room)
    return rows[first : first + room]

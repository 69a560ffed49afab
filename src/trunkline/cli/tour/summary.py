"""What the tour ends with: only what was counted and timed, by callers and in the servers' own journals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from math import isfinite
from statistics import median
from typing import Final

from trunkline.alerts import Alert
from trunkline.cli.tour.ledger import Ledger, Verdict, p95
from trunkline.cli.tour.telling import spoken
from trunkline.cli.tour.tour import Moments

__all__ = ["summary"]

_MARGIN: Final = 14
_FEW: Final = 5
"""Alerts that are told, at most."""


def summary(ledger: Ledger, moments: Moments, found: Verdict, alerts: Iterable[Alert] = ()) -> list[str]:
    """Return lines, each a fact; what has not happened in a short or an interrupted tour is not told."""
    return [
        line
        for name, facts in (
            ("reads", _reads(ledger)),
            ("writes", _writes(ledger)),
            ("journals", _journals(found)),
            ("search", _search(ledger, moments)),
            ("orders", _orders(ledger, moments)),
            ("notes", _notes(moments)),
            ("alerts", _alerts(alerts)),
        )
        for line in _block(name, list(facts))
    ]


def _block(name: str, facts: list[str]) -> Iterator[str]:
    for number, fact in enumerate(facts):
        yield f"  {'' if number else name:<{_MARGIN - 4}}  {fact}"


def _reads(ledger: Ledger) -> Iterator[str]:
    asked, failed = ledger.count(writes=False), ledger.count("failed", writes=False)
    kept = ledger.count("kept", writes=False)
    yield f"{asked} asked, {asked - failed} answered, {failed} failed"
    if kept:
        yield f"{kept} of the answers were kept ones, because the server had none, and said so"


def _writes(ledger: Ledger) -> Iterator[str]:
    waiting, unknown, refused = len(ledger.waiting), len(ledger.unknown), ledger.count("refused", writes=True)
    yield f"{len(ledger.placed)} confirmed, {unknown} lost their answer, {waiting} were still refused at the end"
    if refused:
        yield f"refused {refused} times before anything was sent, and tried again by the caller"


def _journals(found: Verdict) -> Iterator[str]:
    yield f"{found.once} writes ran once, {found.twice} ran twice"
    yield f"{found.lost} were confirmed and had not run, {found.lied} were refused and had run"
    if found.unknown_ran or found.unknown_idle:
        idle = f"{found.unknown_idle} had not, or not to the end"
        yield f"of those that lost their answer {found.unknown_ran} had run and {idle}"
    yield "No write ran twice." if not found.twice else "The promise was broken: see which in the journals."


def _search(ledger: Ledger, moments: Moments) -> Iterator[str]:
    before = p95(ledger.durations("search", moments.began, moments.killed, "ok"))
    during = p95(ledger.durations("search", moments.killed, moments.listening, "ok"))
    if before is not None and during is not None and isfinite(moments.listening):
        yield f"95 % answered within {spoken(during)} while orders was away, {spoken(before)} before"


def _orders(ledger: Ledger, moments: Moments) -> Iterator[str]:
    if isfinite(moments.noticed):
        yield f"found to be in trouble {spoken(moments.noticed - moments.killed)} after it was killed"
    refused = ledger.durations("orders", moments.killed, moments.listening, "refused")
    if refused:
        yield f"refused within {spoken(median(refused))} (median of {len(refused)}; the longest {spoken(max(refused))})"
    first = ledger.first("orders", moments.listening)
    if first is not None:
        yield f"took orders again {spoken(first - moments.listening)} after it listened again"


def _notes(moments: Moments) -> Iterator[str]:
    if isfinite(moments.restarted):
        yield f"its process died and was running again within {spoken(moments.restarted)}"


def _alerts(alerts: Iterable[Alert]) -> Iterator[str]:
    for alert in islice(alerts, _FEW):
        if alert.fired is not None and alert.ended is not None:
            fired, over = spoken(alert.fired - alert.since), spoken(alert.ended - alert.since)
            yield f"{alert.summary} It fired {fired} after that had begun, and was over after {over}"

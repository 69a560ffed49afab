"""How a domain is doing, what moved, and what is out of the ordinary."""

from __future__ import annotations

import random

import pytest

from trunkline import MetricsCollector


def test_a_domain_is_read_over_a_window_and_its_trends_are_compared() -> None:
    metrics = MetricsCollector()
    for _ in range(100):
        metrics.record("speech", "transcribe", duration=0.2)

    speech = metrics.domain("speech")  # since the start; a rate is always the last minute's
    minute = metrics.snapshot(60.0)["domains"]["speech"]  # 1 s to 48 h
    trend = metrics.trend("speech", "p95")  # the last minute beside the minute, the hour and the day before

    assert (speech.requests, minute["requests"]) == (100, 100)
    assert trend.current == pytest.approx(0.2, rel=0.01)
    assert trend.yesterday is None


def test_a_gap_in_the_instrumentation_is_seen() -> None:
    metrics = MetricsCollector()
    metrics.record("speech", "transcribe", duration=0.2)
    metrics.record("", "search", duration=0.2)  # as a call without a domain is

    assert metrics.dashboard()["unattributed"] == {"requests": 1, "ratio": 0.5}


def test_what_is_out_of_the_ordinary_is_said_in_words() -> None:
    now = 0.0
    metrics = MetricsCollector(clock=lambda: now)
    dice = random.Random(7)
    for second in range(1700):
        now = float(second)
        slower = 3.0 if second > 1500 else 1.0
        metrics.record("speech", "transcribe", duration=slower * dice.lognormvariate(-2, 0.5))
        if second % 10 == 0:
            metrics.fold()  # `Infrastructure` does it every second

    said = [f"{each.domain}: {each}" for each in metrics.statements()]

    assert len(said) == 1
    assert said[0].startswith("speech: p")
    assert "× its hour's norm since " in said[0]  # speech: p50 3.1× its hour's norm since 14:03

"""What happened is told in sentences, the latest first; what repeats itself is one entry, and nothing grows."""

from __future__ import annotations

from trunkline.call import Delivery
from trunkline.events import (
    AttemptFinished,
    CircuitChanged,
    ConfigReloaded,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    ToolsChanged,
)
from trunkline.monitoring.happenings import Happenings


def told(happenings: Happenings) -> list[tuple[str, str, str, int]]:
    return [(entry.tone, entry.about, entry.text, entry.times) for entry in happenings.latest()]


def test_changes_are_told_in_words_the_latest_first() -> None:
    happenings = Happenings()
    happenings(ConnectionOpened(1.0, "search", None, "2026-07-28", 0.1))
    happenings(ToolsChanged(1.0, "search", ("a", "b"), (), 2))
    happenings(ConnectionEnded(2.0, "search", "b", "the process ended", 3, 0))
    happenings(CircuitChanged(3.0, "search", None, "closed", "open", "5 failures in a row"))
    happenings(ConfigReloaded(4.0, "mcp.json", ("new",), (), ("search",)))
    assert told(happenings) == [
        ("plain", "configuration", "reloaded: added new; changed search", 1),
        ("bad", "search", "circuit open: 5 failures in a row", 1),
        ("bad", "search (b)", "connection lost: the process ended; 3 calls were waiting for it", 1),
        ("plain", "search", "2 tools: 2 new", 1),
        ("good", "search", "connected", 1),
    ]


def test_what_repeats_itself_is_one_entry_that_counts() -> None:
    happenings = Happenings()
    for number in range(50):
        for server in ("one", "two"):
            happenings(ConnectFailed(1.0, server, None, "nothing listens", number, 1.0, 0))
    assert told(happenings) == [
        ("bad", "two", "cannot connect: nothing listens", 50),
        ("bad", "one", "cannot connect: nothing listens", 50),
    ]


def test_single_calls_and_what_was_closed_on_purpose_are_not_told() -> None:
    happenings = Happenings()
    attempt = AttemptFinished(1.0, "c", "tools/call", "t", "d", "s", None, "ok", 0.1, Delivery.ANSWERED)
    happenings(attempt)
    happenings(ConnectionEnded(2.0, "s", None, "closed", 0, 0, deliberate=True))
    assert told(happenings) == []


def test_reasons_are_cut_cleaned_and_rid_of_credentials_and_few_are_kept() -> None:
    happenings = Happenings()
    for number in range(300):
        happenings(ConnectFailed(1.0, f"s{number}", None, f"Bearer abcdef123456 \x1b[31m{'x' * 9999}", 1, 1.0, 0))
    assert len(happenings.latest()) == 200
    text = happenings.latest()[0].text
    assert "abcdef123456" not in text
    assert "\x1b" not in text
    assert len(text) < 400

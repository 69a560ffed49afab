from __future__ import annotations

import threading

import pytest

from trunkline.monitoring.labels import LABEL_LENGTH, clean, is_failure, outcome_class
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.places import Places
from trunkline.monitoring.series import Family
from trunkline.monitoring.tally import Tally


def family(limit: int, *, keeps_group: bool = False, places: int = 500) -> Family:
    return Family(
        ("domain", "operation", "outcome"),
        group_by=0,
        limit=limit,
        places=Places(places, families=1),
        keeps_group=keeps_group,
    )


def test_label_values_lose_control_characters_and_are_cut() -> None:
    assert clean("a\nb\x00c\x1b[31m\u2028d") == "abc[31md"
    assert len(clean("é" * 1000)) == LABEL_LENGTH
    assert len(clean("\n" * 10_000_000 + "x")) == 0
    assert clean("lone \ud800 surrogate") == "lone  surrogate"
    assert clean(7) == "7"


def test_cancelled_is_no_failure_and_any_other_word_is() -> None:
    assert [is_failure(word) for word in ("ok", "cancelled", "error", "tool_error")] == [False, False, True, True]
    assert [outcome_class(word) for word in ("ok", "cancelled", "CircuitOpen")] == ["ok", "cancelled", "error"]


def test_records_beyond_the_cap_are_counted_under_other() -> None:
    some = family(2)
    for number in range(10):
        some.find(("d", f"op{number}", "CircuitOpen")).append((0.0, 0.1))
    assert [series.labels for series in some] == [
        ("d", "op0", "CircuitOpen"),
        ("d", "op1", "CircuitOpen"),
        ("_other", "_other", "error"),
    ]
    assert some.overflowed == 8
    assert repr(some) == "<Family domain/operation/outcome [3 of 2 series, 8 overflowed]>"


def test_a_known_domain_keeps_its_overflow_to_itself() -> None:
    some = family(1, keeps_group=True)
    some.find(("speech", "a", "ok"))
    assert some.find(("speech", "b", "ok")).labels == ("speech", "_other", "ok")
    assert some.find(("stranger", "b", "Boom")).labels == ("_other", "_other", "error")


def test_a_million_names_do_not_make_a_million_series() -> None:
    metrics = MetricsCollector(max_series=50)
    for number in range(20_000):
        metrics.record("speech", f"operation {number}", duration=0.1)
    for number in range(1_000):
        metrics.record(f"domain {number}", "x" * 200 + str(number), duration=0.1)
    assert len(metrics.store.requests) <= 50 + 3 * 50
    assert metrics.domain("speech").requests == 20_000
    assert sum(metrics.domain(name).requests for name in metrics.domains()) == 21_000


def test_names_alike_after_cutting_share_a_series_and_leave_no_trace_of_their_own() -> None:
    some = family(10)
    series = {some.find(("d", "x" * 128 + str(number), "ok")) for number in range(1000)}
    assert len(series) == len(some) == 1


def test_threads_that_record_while_others_read_lose_nothing() -> None:
    metrics = MetricsCollector()
    begin = threading.Barrier(5)

    def work() -> None:
        begin.wait(timeout=10)
        for _ in range(20_000):
            metrics.record("speech", "transcribe", duration=0.01)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    begin.wait(timeout=10)
    while any(thread.is_alive() for thread in threads):
        metrics.domain("speech")
        metrics.snapshot(None)
    assert metrics.domain("speech").requests == 80_000


def test_a_tally_folds_what_was_added_and_caps_its_labels() -> None:
    tally = Tally("server", limit=2)
    for name in ("a", "b", "a", "c", "d"):
        tally.add((name,))
    tally.fold()
    assert tally.counts() == {("a",): 2, ("b",): 1, ("_other",): 2}
    assert tally.overflowed == 2
    assert repr(tally) == "<Tally server [3 combinations, 0 pending]>"


def test_a_flood_of_tools_leaves_room_for_domains_and_servers() -> None:
    metrics = MetricsCollector(max_windowed=64)
    for number in range(1000):
        store = metrics.store
        store.note(store.tools.find(("speech", "search", f"tool {number}", "ok")), 0.1)
    for number in range(15):
        metrics.record(f"domain {number}", "run", duration=0.1)
    assert len(metrics.store.tools.groups) == 32 + 1
    assert all(metrics.domain(f"domain {number}").requests == 1 for number in range(15))


@pytest.mark.requirement("CARDINALITY")
def test_names_without_a_place_share_the_windows_of_other_and_are_counted_there() -> None:
    metrics = MetricsCollector(max_windowed=4)
    for number in range(10):
        metrics.record(f"domain {number}", "run", duration=0.1)
    page = metrics.dashboard()
    assert sorted(page["domains"]) == ["_other", "domain 0", "domain 1", "domain 2", "domain 3"]
    assert (page["domains"]["_other"]["requests"], page["telemetry"]["ungrouped"]["requests"]) == (6, 6)
    assert page["totals"]["requests"] == 10
    assert repr(metrics.store.places) == "<Places [0 of 4 free to all, 0 kept for each]>"

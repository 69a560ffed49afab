"""Snapshots of several processes: added up, written down, and read by whoever is asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.monitoring.labels import Labels
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.readings import Distribution, Reading
from trunkline.monitoring.scrape import MetricsPage
from trunkline.monitoring.snapshots import Snapshot
from trunkline.monitoring.workers import WorkerSnapshots

LABELS: Labels = (("domain", "speech"),)

texts = st.text(max_size=5)
numbers = st.integers(0, 2**53)
distributions = st.builds(
    Distribution,
    st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    st.dictionaries(st.integers(0, 200), numbers, max_size=4),
    numbers,
    st.floats(0, 1e9),
)


def snapshot(*some: Distribution, readings: list[Reading] | None = None) -> Snapshot:
    made = Snapshot()
    made.add_histogram("h", some)
    for reading in readings or []:
        made.add_reading(reading)
    return made


def gauge(value: float, merge: str = "sum") -> Reading:
    return Reading("g", "gauge", "Help.", {(): value}, (), merge)  # type: ignore[arg-type]


def exporter(requests: int) -> PrometheusExporter:
    metrics = MetricsCollector()
    for _ in range(requests):
        metrics.record("speech", "transcribe", duration=0.1)
    return PrometheusExporter(metrics)


def requests_in(found: Snapshot) -> int:
    (some,) = found.histogram("trunkline_domain_request_duration_seconds")
    return sum(each.size for each in some)


@settings(max_examples=30)
@given(st.lists(distributions, max_size=3))
def test_what_was_written_down_reads_the_same(some: list[Distribution]) -> None:
    readings = [gauge(1.5, "max"), Reading("c", "counter", "Help.", {("a", ""): 3}, ("x", "y"))]
    made = snapshot(*some, readings=readings)
    read = Snapshot.unpacked(made.packed())
    assert list(read.histogram("h")) == list(made.histogram("h"))
    assert list(read.readings()) == readings


@pytest.mark.requirement("G13")
def test_histograms_and_counters_add_up_and_gauges_as_each_says() -> None:
    total = snapshot(Distribution(LABELS, {1: 2}, 2, 0.5), readings=[gauge(1)])
    total.add(snapshot(Distribution(LABELS, {1: 1, 7: 3}, 4, 1.5), readings=[gauge(4)]))
    assert list(total.histogram("h")) == [[Distribution(LABELS, {1: 3, 7: 3}, 6, 2.0)]]
    assert [reading.samples for reading in total.readings()] == [{(): 5}]
    for merge, expected in (("min", 1), ("max", 4)):
        other = snapshot(readings=[gauge(1, merge)])
        other.add(snapshot(readings=[gauge(4, merge)]))
        assert [reading.samples for reading in other.readings()] == [{(): expected}]


@pytest.mark.requirement("G13")
def test_of_the_dead_only_counts_are_added() -> None:
    total = snapshot(readings=[gauge(1)])
    counter = Reading("c", "counter", "Help.", {(): 2})
    total.add(snapshot(Distribution(LABELS, {1: 2}, 2, 0.5), readings=[gauge(4), counter]), alive=False)
    assert list(total.readings()) == [gauge(1), counter]
    assert list(total.histogram("h")) == [[Distribution(LABELS, {1: 2}, 2, 0.5)]]


@pytest.mark.parametrize("packed", [b"", b"{", b"[]", b'{"layout": [0, 0]}', b"\xff", b'{"layout": null}'])
def test_what_is_no_snapshot_is_said_to_be_none(packed: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own subclass is one
        Snapshot.unpacked(packed)


@pytest.mark.requirement("G13")
def test_a_worker_that_left_is_counted_once_however_often_is_read_and_whatever_broke_off(tmp_path: Path) -> None:
    first, second = WorkerSnapshots(exporter(5), tmp_path), WorkerSnapshots(exporter(3), tmp_path)
    second.write([])
    left = {file.name: file.read_bytes() for file in tmp_path.iterdir() if second.name in file.name}
    assert requests_in(first.gather([])) == 8
    second.leave()
    assert [requests_in(first.gather([])) for _ in range(3)] == [8, 8, 8]
    # As if whoever wrote the past down had died before it removed what is in it.
    for name, content in left.items():
        (tmp_path / name).write_bytes(content)
    assert [requests_in(first.gather([])) for _ in range(2)] == [8, 8]
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{first.name}.alive", "lock", "past"]
    first.leave()


def test_a_damaged_snapshot_costs_its_own_numbers_only_and_is_counted(tmp_path: Path) -> None:
    first, second = WorkerSnapshots(exporter(5), tmp_path), WorkerSnapshots(exporter(3), tmp_path)
    (tmp_path / f"{second.name}.snapshot").write_bytes(b"{")
    assert requests_in(first.gather([])) == 5
    assert first.failures == 1
    assert repr(first) == f"<WorkerSnapshots {first.name} [1 failures]>"
    (tmp_path / "past").write_bytes(b"[]\n" + json.dumps({"layout": [0]}).encode())
    assert requests_in(first.gather([])) == 5
    assert first.failures == 3
    first.leave()
    second.leave()


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_read_is_a_failed_scrape_and_not_a_smaller_sum(tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    one = exporter(5)
    worker = WorkerSnapshots(one, folder)
    page = MetricsPage(one, worker.gathered)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=page), base_url="http://metrics") as client:
        assert (await client.get("/")).status_code == 200
        os.rename(folder, tmp_path / "elsewhere")  # noqa: PTH104 - a folder that vanishes
        answer = await client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/plain; charset=utf-8")
    assert answer.text == "The metrics of the other workers cannot be read (FileNotFoundError).\n"
    worker.leave()

"""The binary format: every value once, and native histograms that hold what was recorded."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.monitoring.protobuf_reader import read
from trunkline.monitoring.buckets import BOUNDS, FAST_BOUNDS, MCP_BOUNDS, NATIVE_INDICES, NATIVE_SCHEMA
from trunkline.monitoring.histogram import Histogram
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.protobuf import ProtobufWriter
from trunkline.monitoring.readings import Distribution, Reading

REQUESTS = "trunkline_domain_request_duration_seconds"
CUT = FAST_BOUNDS + MCP_BOUNDS


def native_bucket(value: float) -> int:
    """By the definition: the smallest i such that value <= 2 ** (i / 8)."""
    return bisect_left(range(-400, 400), True, key=lambda index: value <= 2.0 ** (index / 8)) - 400


def written(*distributions: Distribution) -> bytes:
    return b"".join(ProtobufWriter().histogram("h", "Help.", CUT, [list(distributions)]))


@given(st.lists(st.floats(0.0, 512.0) | st.sampled_from(BOUNDS), max_size=60))
def test_a_native_histogram_holds_exactly_what_was_recorded(values: list[float]) -> None:
    recorded = Histogram(values)
    labels = (("domain", "speech"),)
    found = read(written(Distribution(labels, recorded.buckets, recorded.count, recorded.total)))["h"].histograms[
        labels
    ]
    assert (found.schema, found.zero_threshold) == (NATIVE_SCHEMA, 2.0**-17)
    assert (found.count, found.total) == (len(values), recorded.total)
    assert found.zero_count == sum(value <= 2.0**-17 for value in values)
    assert found.buckets == Counter(native_bucket(value) for value in values if value > 2.0**-17)
    assert found.classic == {bound: sum(value <= bound for value in values) for bound in (*CUT, inf)}


def test_what_took_longer_than_the_last_bound_is_told_as_just_above_it() -> None:
    recorded = Histogram([1e6])
    found = read(written(Distribution((), recorded.buckets, 1, 1e6)))["h"].histograms[()]
    assert found.buckets == {native_bucket(512.0) + 1: 1}
    assert (found.count, found.total, found.classic[300.0], found.classic[inf]) == (1, 1e6, 0, 1)


def test_every_bucket_lies_in_one_native_bucket() -> None:
    for index, (lower, upper) in enumerate(pairwise(BOUNDS), 1):
        # The bounds themselves are rounded; in the middle of a bucket there is no doubt.
        assert NATIVE_INDICES[index] == native_bucket((lower + upper) / 2)


@given(
    st.dictionaries(
        st.tuples(st.text(max_size=200), st.text(max_size=5)),
        st.floats(allow_nan=False) | st.integers(0, 2**53),
        max_size=5,
    ),
    st.sampled_from([("counter", "held_total", 0), ("gauge", "held", 1)]),
)
def test_counters_and_gauges_keep_their_values(
    samples: dict[tuple[str, ...], float], kind: tuple[str, str, int]
) -> None:
    word, name, number = kind
    reading = Reading("held", "counter" if word == "counter" else "gauge", "Things.", samples, ("first", "second"))
    (family,) = read(ProtobufWriter().reading(reading)).values()
    assert (family.name, family.help, family.kind) == (name, "Things.", number)
    assert list(family.values.values()) == [float(value) for value in reading.labelled().values()]


def test_the_page_has_what_the_text_has() -> None:
    metrics = MetricsCollector()
    for number in range(250):
        metrics.record("speech", f"operation {number}", duration=number / 100)
    metrics.read_also("other", lambda: [Reading("trunkline_held", "gauge", "Things held.", {(): 3})])
    exporter = PrometheusExporter(metrics)
    found = read(b"".join(exporter.pieces("protobuf")))
    text = exporter.render()
    assert {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")} == set(found)
    samples = sum(len(family.values) + len(family.histograms) for family in found.values())
    assert samples == sum("_bucket" not in line and "_sum" not in line for line in text.splitlines() if line[0] != "#")
    assert found["trunkline_held"].values == {(): 3}
    requests = found[REQUESTS].histograms
    assert requests[("domain", "speech"), ("operation", "operation 100"), ("outcome", "ok")].buckets == {0: 1}


def test_nothing_is_sent_of_a_family_before_its_length_is_known_but_others_may_run() -> None:
    some = [[Distribution((("n", str(number)),), {}, 0, 0.0)] for number in range(5)]
    pieces = list(ProtobufWriter().histogram("h", "Help.", CUT, some))
    assert pieces[:5] == [b""] * 5
    assert len(read(b"".join(pieces))["h"].histograms) == 5


@pytest.mark.parametrize("count", [0, 127, 128, 2**32, 2**63])
def test_counts_of_any_size_are_written(count: int) -> None:
    found = read(written(Distribution((), {5: count}, count, 0.0)))["h"].histograms[()]
    assert (found.count, found.classic[inf]) == (count, count)
    assert sum(found.buckets.values()) == count

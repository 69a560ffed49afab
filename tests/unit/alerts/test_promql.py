"""What rules become in Prometheus's language, and in YAML."""

from __future__ import annotations

from trunkline.alerts.promql import matcher, measured, span
from trunkline.alerts.yaml_text import yaml_text


def test_durations_are_written_as_prometheus_has_them() -> None:
    assert [span(seconds) for seconds in (0.0, 15.0, 60.0, 90.0, 3600.0, 21600.0, 0.5)] == [
        "0s", "15s", "1m", "90s", "1h", "6h", "500ms",
    ]  # fmt: skip


def test_a_pattern_becomes_an_expression_that_fits_the_same_names() -> None:
    assert matcher("domain", ("a.b*",)) == 'domain=~"a\\\\.b.*"'
    assert matcher("domain", ("x[*]?", "y"), but=True) == 'domain!~"x[\\\\*].|y"'
    assert matcher("domain", ('say "hi"',)) == 'domain=~"say \\"hi\\""'


def test_a_whole_bound_is_found_however_the_page_was_read() -> None:
    # A page in text says 1.0, what came as protobuf is called 1.
    assert 'le=~"1(\\\\.0)?"' in measured("domain", "slow", 1.0, "5m")
    assert 'le="0.5"' in measured("domain", "slow", 0.5, "5m")


def test_between_two_bounds_what_lies_there_is_shared_out() -> None:
    text = measured("domain", "slow", 0.35, "5m")
    assert 'le="0.5"' in text
    assert 'le="0.2"' in text
    assert text.count("0.5 *") + text.count("0.4999") >= 1


def test_beyond_the_last_bound_the_last_one_counts() -> None:
    assert 'le=~"300(\\\\.0)?"' in measured("domain", "slow", 900.0, "5m")


def test_yaml_is_read_back_as_it_was() -> None:
    told = {"a": [{"b": "x\ny", "c": 'it is: "so"', "d": "yes", "e": 5, "f": []}, "15s"], "g": {}}
    lines = [
        "a:",
        "  - b: |-",
        "      x",
        "      y",
        '    c: "it is: \\"so\\""',
        '    d: "yes"',
        "    e: 5",
        "    f: []",
        "  - 15s",
        "g: {}",
    ]
    assert yaml_text(told).splitlines() == lines

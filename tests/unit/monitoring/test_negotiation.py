"""Which format an `Accept` header gets."""

from __future__ import annotations

import pytest

from trunkline.monitoring.negotiation import CONTENT_TYPES, Format, format_for

PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"

PROMETHEUS = f"{OPENMETRICS},application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
"""As Prometheus 2.42 asks."""
NATIVE = f"{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
"""As it asks with native histograms switched on."""
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text"),
        ("*/*", "text"),
        (BROWSER, "text"),
        ("application/json", "text"),
        (PROMETHEUS, "openmetrics"),
        (PROMETHEUS_3, "openmetrics"),
        (NATIVE, "protobuf"),
        (f"{PROTOBUF};q=0.3,{OPENMETRICS};q=0.4", "openmetrics"),
        (f"{PROTOBUF};q=0,{OPENMETRICS}", "openmetrics"),
        (f"{OPENMETRICS};q=0", "text"),
        (f"text/plain;q=0.9,{OPENMETRICS};q=0.2", "text"),
        (f"*/*,{OPENMETRICS};q=0.2", "text"),
        (f"*/*,{OPENMETRICS}", "openmetrics"),
        (f"{OPENMETRICS},{PROTOBUF}", "protobuf"),
        ("application/openmetrics-text", "openmetrics"),
        ("application/openmetrics-text;version=2.0.0", "text"),
        ("application/vnd.google.protobuf", "text"),
        (PROTOBUF.replace("delimited", "text"), "text"),
        (PROTOBUF.replace("io.prometheus.client.MetricFamily", "somebody.Else"), "text"),
        (' Application/OpenMetrics-Text ; Version="1.0.0" ; Q=0.5 ', "openmetrics"),
        (f"{OPENMETRICS};q=much", "text"),
        (f"{OPENMETRICS};q=nan", "text"),
        (f"{OPENMETRICS};q=7", "text"),
        (";;,=;q=,\x00", "text"),
    ],
)
def test_a_header_gets_the_best_format_it_allows(accept: str, expected: Format) -> None:
    assert format_for(accept) == expected


@pytest.mark.parametrize("form", CONTENT_TYPES)
def test_what_answers_are_marked_as_asks_for_the_same_again(form: Format) -> None:
    assert format_for(CONTENT_TYPES[form]) == form

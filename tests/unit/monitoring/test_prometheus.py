from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from trunkline.call import Delivery
from trunkline.events import (
    AttemptFinished,
    CallFinished,
    CallStarted,
    CircuitChanged,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    ServerProbed,
    ToolsChanged,
)
from trunkline.monitoring.buckets import FAST_BOUNDS, MCP_BOUNDS, TOOL_BOUNDS
from trunkline.monitoring.exposition import escape, label_text
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.readings import Reading, counted_by

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? ([-+0-9.einfNa]+)")


@dataclass
class Parsed:
    kind: str = ""
    help: str = ""
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name, tuple(sorted(labels.items()))]


def parse_labels(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        match = LABEL.match(text, place)
        assert match, f"bad labels: {text!r} at {place}"
        value = re.sub(r"\\(.)", lambda escaped: {"n": "\n"}.get(escaped[1], escaped[1]), match[2])
        assert value, "an empty label is no label"
        found.append((match[1], value))
        place = match.end()
        if place < len(text):
            assert text[place] == ","
            place += 1
    assert len({name for name, _ in found}) == len(found)
    return tuple(sorted(found))


def parse(text: str, *, openmetrics: bool = False) -> dict[str, Parsed]:
    """Read an exposition strictly: every sample below its own header, no sample twice, buckets that add up."""
    assert text.endswith("\n")
    lines = text.split("\n")[:-1]
    if openmetrics:
        assert lines.pop() == "# EOF"
    families: dict[str, Parsed] = {}
    current = ""
    for line in lines:
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            if name != current:
                assert name not in families, f"{name} comes in two pieces"
                families[name] = Parsed()
                current = name
            assert word in ("HELP", "TYPE", *(["UNIT"] if openmetrics else []))
            if word == "TYPE":
                families[name].kind = rest
            elif word == "HELP":
                families[name].help = rest
            else:
                assert name.endswith(f"_{rest}")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"bad line: {line!r}"
        family = families[current]
        suffixes = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",) if openmetrics else ("",)}
        assert match[1] in [current + suffix for suffix in suffixes.get(family.kind, ("",))]
        key = (match[1], parse_labels(match[2] or ""))
        assert key not in family.samples, f"twice: {line!r}"
        family.samples[key] = float(match[3])
    for name, family in families.items():
        assert family.kind
        assert family.help
        if family.kind == "histogram":
            check_buckets(name, family)
    return families


def check_buckets(name: str, family: Parsed) -> None:
    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for labels, buckets in series.items():
        assert buckets == sorted(buckets), "bounds ascend and counts never fall"
        assert [count for _, count in buckets] == sorted(count for _, count in buckets)
        assert buckets[-1][0] == float("inf")
        assert buckets[-1][1] == family.samples[f"{name}_count", labels]


def bounds(family: Parsed) -> list[float]:
    return sorted({float(dict(labels)["le"]) for (_, labels) in family.samples if "le" in dict(labels)})[:-1]


def call(tool: str = "stt_run", outcome: str = "ok", duration: float = 0.25, domain: str = "speech") -> CallFinished:
    return CallFinished(
        0.0,
        "1",
        "tools/call",
        tool,
        domain,
        "stt",
        outcome,
        duration,
        1,
        "miss",
        None,
        may_have_run=True,
        tracked=False,
    )


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.mark.parametrize("openmetrics", [False, True])
def test_an_empty_collector_renders_and_parses(openmetrics: bool, metrics: MetricsCollector) -> None:
    families = parse(PrometheusExporter(metrics).render(openmetrics=openmetrics), openmetrics=openmetrics)
    assert families["trunkline_build_info"].samples
    assert families["trunkline_event_loop_lag_seconds"].value("trunkline_event_loop_lag_seconds_count") == 0


@pytest.mark.parametrize("openmetrics", [False, True])
def test_a_call_shows_under_the_names_of_the_conventions(openmetrics: bool, metrics: MetricsCollector) -> None:
    metrics.observe(call())
    metrics.observe(call(outcome="tool_error", duration=0.01))
    metrics.observe(
        AttemptFinished(0.0, "1", "tools/call", "stt_run", "speech", "stt", None, "ok", 0.1, Delivery.ANSWERED)
    )
    families = parse(PrometheusExporter(metrics).render(openmetrics=openmetrics), openmetrics=openmetrics)
    tool = families["gen_ai_execute_tool_duration_seconds"]
    labels = {"domain": "speech", "mcp_server": "stt", "gen_ai_tool_name": "stt_run"}
    name = "gen_ai_execute_tool_duration_seconds"
    assert tool.value(f"{name}_count", **labels, outcome="ok") == 1
    assert tool.value(f"{name}_sum", **labels, outcome="ok") == 0.25
    assert tool.value(f"{name}_bucket", **labels, outcome="tool_error", error_type="tool_error", le="0.01") == 1
    attempt = families["mcp_client_operation_duration_seconds"]
    assert attempt.value("mcp_client_operation_duration_seconds_count", **labels, mcp_method_name="tools/call") == 1
    request = families["trunkline_domain_request_duration_seconds"]
    assert (
        request.value(
            "trunkline_domain_request_duration_seconds_count", domain="speech", operation="stt_run", outcome="ok"
        )
        == 1
    )


def test_buckets_are_those_the_conventions_advise(metrics: MetricsCollector) -> None:
    metrics.observe(call())
    metrics.observe(AttemptFinished(0.0, "1", "prompts/get", "x", "speech", "stt", None, "ok", 0.1, Delivery.ANSWERED))
    strict = parse(PrometheusExporter(metrics, buckets="semconv").render())
    assert bounds(strict["gen_ai_execute_tool_duration_seconds"]) == list(TOOL_BOUNDS)
    assert bounds(strict["mcp_client_operation_duration_seconds"]) == list(MCP_BOUNDS)
    extended = parse(PrometheusExporter(metrics).render())
    assert bounds(extended["gen_ai_execute_tool_duration_seconds"]) == list(FAST_BOUNDS + TOOL_BOUNDS)
    assert bounds(extended["mcp_client_operation_duration_seconds"]) == list(MCP_BOUNDS)


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        'tool"} 1\nup{job="forged',
        "tool\\",
        'tool\\"',
        "\n# EOF\n",
        "a,b=c{}",
        "\u2028\u0000\r\x1b[2J",
        "é中🎈",
        "lone \udc80",
        "x" * 10_000,
    ],
)
def test_no_name_breaks_out_of_its_label(name: str, openmetrics: bool, metrics: MetricsCollector) -> None:
    metrics.observe(call(tool=name, outcome=name, domain=name or "d"))
    text = PrometheusExporter(metrics).render(openmetrics=openmetrics)
    families = parse(text, openmetrics=openmetrics)
    assert "up" not in families
    text.encode("utf-8")
    ((_, labels),) = [key for key in families["trunkline_domain_request_duration_seconds"].samples if "_sum" in key[0]]
    expected = "".join(character for character in name if character.isprintable())[:128]
    assert dict(labels).get("operation", "") == expected


def test_escaping_covers_what_cleaning_lets_through() -> None:
    assert escape('a"b\\c\nd') == 'a\\"b\\\\c\\nd'
    assert label_text((("a", '"'), ("b", "c"))) == 'a="\\"",b="c"'


def test_states_and_counts_of_the_infrastructure_show(metrics: MetricsCollector) -> None:
    metrics.observe(CallStarted(0.0, "9", "tools/call", "stt_run", "speech"))
    metrics.observe(CircuitChanged(0.0, "stt", "b", "closed", "open", "ratio"))
    metrics.observe(ConnectionOpened(0.0, "stt", None, "2026-07-28", 0.1))
    metrics.observe(ConnectionOpened(0.0, "stt", None, "2026-07-28", 0.1))
    metrics.observe(ConnectionEnded(0.0, "stt", None, "eof", in_flight=0, ready=1))
    metrics.observe(ServerProbed(0.0, "stt", None, healthy=True, duration=0.01, reason=""))
    metrics.observe(ToolsChanged(0.0, "stt", ("a",), (), 7))
    families = parse(PrometheusExporter(metrics).render())
    states = families["trunkline_circuit_state"].samples
    assert [value for (_, labels), value in states.items() if ("state", "open") in labels] == [1]
    assert sum(states.values()) == 1
    assert families["trunkline_connections"].value("trunkline_connections", mcp_server="stt") == 1
    assert families["trunkline_inflight"].value("trunkline_inflight", domain="speech") == 1
    assert families["trunkline_calls_inflight"].value("trunkline_calls_inflight", domain="speech") == 1
    assert families["trunkline_health_status"].value("trunkline_health_status", component="stt") == 1
    assert families["trunkline_tools"].value("trunkline_tools", mcp_server="stt") == 7
    transitions = families["trunkline_circuit_transitions_total"]
    labels = {"mcp_server": "stt", "replica": "b", "from": "closed", "to": "open"}
    assert transitions.value("trunkline_circuit_transitions_total", **labels) == 1


def test_a_server_that_cannot_be_reached_does_not_keep_the_health_of_its_last_probe(metrics: MetricsCollector) -> None:
    def status() -> float:
        family = parse(PrometheusExporter(metrics).render())["trunkline_health_status"]
        return family.value("trunkline_health_status", component="stt")

    metrics.observe(ServerProbed(0.0, "stt", None, healthy=True, duration=0.01, reason=""))
    metrics.observe(ConnectionEnded(0.0, "stt", None, "recycled", in_flight=0, ready=0, deliberate=True))
    assert status() == 1, "nobody has seen anything bad"
    metrics.observe(ConnectionEnded(0.0, "stt", None, "eof", in_flight=0, ready=1))
    assert status() == 1, "another connection is left"
    metrics.observe(ConnectionEnded(0.0, "stt", None, "eof", in_flight=0, ready=0))
    assert status() == 0
    metrics.observe(ConnectionOpened(0.0, "stt", None, "2026-07-28", 0.1))
    assert status() == 1
    metrics.observe(ConnectFailed(0.0, "stt", None, "refused", failures=1, delay=1.0, ready=0))
    assert status() == 0


def test_overflow_is_counted_and_the_page_still_parses() -> None:
    metrics = MetricsCollector(max_series=5)
    for number in range(300):
        metrics.observe(call(tool=f"tool {number}"))
    families = parse(PrometheusExporter(metrics).render())
    overflow = families["trunkline_series_overflow_total"]
    assert overflow.value("trunkline_series_overflow_total", metric="tools") == 295
    assert families["trunkline_telemetry_series"].value("trunkline_telemetry_series", metric="tools") == 6
    assert (
        sum(
            value
            for (name, _), value in families["gen_ai_execute_tool_duration_seconds"].samples.items()
            if name.endswith("_count")
        )
        == 300
    )


def test_pieces_are_small_and_make_the_whole_page(metrics: MetricsCollector) -> None:
    for number in range(350):
        metrics.record("speech", f"operation {number}", duration=0.1)
    exporter = PrometheusExporter(metrics)
    pieces = list(exporter.pieces())
    assert b"".join(pieces).decode() == exporter.render()
    assert max(piece.count(b"_count{") for piece in pieces) <= 100
    assert repr(exporter) == "<PrometheusExporter [351 series rendered]>"


@pytest.mark.parametrize("openmetrics", [False, True])
def test_what_others_keep_is_read_when_it_is_asked_for(openmetrics: bool) -> None:
    metrics = MetricsCollector()
    held = 1
    metrics.read_also("cache", lambda: [Reading("trunkline_held", "gauge", "Things held.", {(): held})])
    by_reason = {"a\nb": 2, "": 3}
    metrics.read_also("more", lambda: [counted_by("reason", "trunkline_refused", "Things refused.", by_reason)])
    exporter = PrometheusExporter(metrics)
    held = 5
    found = parse(exporter.render(openmetrics=openmetrics), openmetrics=openmetrics)
    assert found["trunkline_held"].value("trunkline_held") == 5
    refused = found["trunkline_refused" if openmetrics else "trunkline_refused_total"]
    assert refused.kind == "counter"
    assert refused.value("trunkline_refused_total", reason="ab") == 2
    assert refused.value("trunkline_refused_total") == 3


def test_names_that_print_alike_are_one_set_of_labels() -> None:
    metrics = MetricsCollector()
    counts = {"a": 1, "a\x00": 2, "": 4, "\x1f": 8}
    metrics.read_also("many", lambda: [counted_by("reason", "trunkline_refused", "Things refused.", counts)])
    refused = parse(PrometheusExporter(metrics).render())["trunkline_refused_total"]
    assert refused.value("trunkline_refused_total", reason="a") == 3
    assert refused.value("trunkline_refused_total") == 12


def test_a_source_that_fails_costs_its_own_numbers_only_and_is_counted() -> None:
    metrics = MetricsCollector()

    def broken() -> list[Reading]:
        raise ZeroDivisionError

    metrics.read_also("broken", broken)
    metrics.read_also("whole", lambda: [Reading("trunkline_held", "gauge", "Things held.", {(): 1})])
    exporter = PrometheusExporter(metrics)
    assert "trunkline_held 1" in exporter.render()
    failures = parse(exporter.render())["trunkline_observer_failures_total"]
    assert failures.value("trunkline_observer_failures_total", observer="broken", error="ZeroDivisionError") == 1

"""Names, units, buckets and attributes against OpenTelemetry's semantic conventions for MCP and GenAI.

The table is that of `open-telemetry/semantic-conventions-genai` as of August 2026 (`docs/gen-ai/mcp.md`, `model/mcp`):
status Development, unreleased. MCP stood last among the general conventions in v1.41.1; the package
`opentelemetry-semantic-conventions` still has the names, which are compared where it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

import pytest
from opentelemetry.metrics import Histogram, Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.semconv._incubating.attributes import (
    gen_ai_attributes,
    mcp_attributes,
    network_attributes,
    rpc_attributes,
)
from opentelemetry.semconv._incubating.metrics import mcp_metrics
from opentelemetry.semconv.attributes import error_attributes

from tests.unit.monitoring.protobuf_reader import Family, read
from trunkline.call import Delivery
from trunkline.events import AttemptFinished, CallFinished, ConnectionEnded, Event, RequestServed
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.prometheus import PrometheusExporter

GENAI_READ = "2026-08"
"""When the table was last compared with its source."""
PACKAGE = "0.66b2"
"""The release of `opentelemetry-semantic-conventions` the names are compared with."""

MCP = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
TOOL = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)

OURS = {"domain", "mcp_server", "replica", "outcome"}
"""Labels the conventions do not have: who asked, and the server's configured name."""

AS_INFO = "on trunkline_server_info"
"""Told once for each server, not with every series: it never differs within one."""


@dataclass(frozen=True)
class Convention:
    """One metric of the conventions."""

    name: str
    bounds: tuple[float, ...]
    attributes: Mapping[str, str]
    """Label by attribute; of one that is no label, in words where it is told or why it is not."""
    unit: str = "s"
    created: Callable[[Meter], Histogram] | None = None
    """What the package makes of it, where the package knows it."""


CONVENTIONS = (
    Convention(
        "gen_ai.execute_tool.duration",
        TOOL,
        {
            "gen_ai.tool.name": "gen_ai_tool_name",
            "error.type": "error_type",
            "gen_ai.agent.name": "no agent is known here",
            "gen_ai.tool.type": "always an extension: a tool of MCP",
        },
    ),
    Convention(
        "mcp.client.operation.duration",
        MCP,
        {
            "mcp.method.name": "mcp_method_name",
            "error.type": "error_type",
            "gen_ai.tool.name": "gen_ai_tool_name",
            "rpc.response.status_code": "rpc_response_status_code",
            "gen_ai.prompt.name": "names of prompts are arguments of sorts: no label",
            "gen_ai.operation.name": "execute_tool where mcp_method_name is tools/call: says nothing more",
            "mcp.protocol.version": AS_INFO,
            "network.transport": AS_INFO,
            "server.address": AS_INFO,
            "server.port": AS_INFO,
        },
        created=mcp_metrics.create_mcp_client_operation_duration,
    ),
    Convention(
        "mcp.client.session.duration",
        MCP,
        {
            "error.type": "error_type",
            "mcp.protocol.version": AS_INFO,
            "network.transport": AS_INFO,
            "server.address": AS_INFO,
            "server.port": AS_INFO,
        },
        created=mcp_metrics.create_mcp_client_session_duration,
    ),
    Convention(
        "mcp.server.operation.duration",
        MCP,
        {
            "mcp.method.name": "mcp_method_name",
            "error.type": "error_type",
            "gen_ai.tool.name": "gen_ai_tool_name",
            "rpc.response.status_code": "rpc_response_status_code",
            "network.transport": "network_transport",
            "gen_ai.prompt.name": "names of prompts are arguments of sorts: no label",
            "gen_ai.operation.name": "execute_tool where mcp_method_name is tools/call: says nothing more",
            "mcp.protocol.version": "a caller's own choice for each request",
        },
        created=mcp_metrics.create_mcp_server_operation_duration,
    ),
)

CALL = CallFinished(
    0.0, "1", "tools/call", "stt_run", "speech", "stt", "ok", 0.3, 1, "miss", None, may_have_run=True, tracked=False
)
ATTEMPT = AttemptFinished(0.0, "1", "tools/call", "stt_run", "speech", "stt", None, "ok", 0.3, Delivery.ANSWERED)
SESSION = ConnectionEnded(0.0, "stt", "b", "eof", in_flight=0, ready=1, lasted=100.0)
SERVED = RequestServed(0.0, "tools/call", "stt_run", "tcp", "ok", 0.3)

EVENTS: tuple[Event, ...] = (
    CALL,
    replace(CALL, outcome="tool_error"),
    ATTEMPT,
    replace(ATTEMPT, outcome="ServerError", error_code=-32603),
    SESSION,
    SERVED,
    replace(SERVED, outcome="error", error_code=-32603),
)


def exported(*events: Event, name: str) -> Family:
    """One histogram as a strict reader of the binary format has it, classic buckets as the conventions advise."""
    metrics = MetricsCollector()
    for event in events:
        metrics.observe(event)
    exporter = PrometheusExporter(metrics, buckets="semconv")
    return read(b"".join(exporter.pieces("protobuf")))[prometheus_name(name)]


def prometheus_name(name: str) -> str:
    """By OpenTelemetry's rules for Prometheus: dots become underscores, and the unit is written out at the end."""
    return f"{name.replace('.', '_')}_seconds"


def error_types(family: Family) -> set[str]:
    return {dict(labels).get("error_type", "") for labels in family.histograms}


@pytest.mark.requirement("E6")
@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.name)
def test_each_metric_has_the_name_buckets_and_attributes_of_the_conventions(convention: Convention) -> None:
    family = exported(*EVENTS, name=convention.name)
    for labels, histogram in family.histograms.items():
        assert tuple(histogram.classic)[:-1] == convention.bounds
        assert {name for name, _ in labels} <= OURS | set(convention.attributes.values())
    shown = {name for labels in family.histograms for name, _ in labels}
    assert {label for label in convention.attributes.values() if " " not in label} <= shown


@pytest.mark.requirement("E6")
@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.name)
def test_names_and_units_are_those_of_the_released_package(convention: Convention) -> None:
    assert version("opentelemetry-semantic-conventions") == PACKAGE, "compare the table again, then write the version"
    if convention.created is None:
        # The package does not have it: it came to the conventions after they had moved.
        assert convention.name == "gen_ai.execute_tool.duration"
        return
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    convention.created(provider.get_meter("test")).record(1.0)
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None
    ((metric,),) = [scope.metrics for resource in data.resource_metrics for scope in resource.scope_metrics]
    assert (metric.name, metric.unit) == (convention.name, convention.unit)


@pytest.mark.requirement("E6")
def test_attributes_are_spelt_as_in_the_released_package() -> None:
    spelt = {
        value
        for module in (error_attributes, gen_ai_attributes, mcp_attributes, network_attributes, rpc_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    labelled = {
        attribute
        for convention in CONVENTIONS
        for attribute, label in convention.attributes.items()
        if label == attribute.replace(".", "_")
    }
    assert labelled <= spelt
    assert len(labelled) == 5


@pytest.mark.requirement("E6")
@pytest.mark.parametrize(
    ("outcome", "code", "error_type", "status_code"),
    [
        ("ok", None, "", ""),
        ("tool_error", None, "tool_error", ""),
        ("AttemptTimeout", None, "AttemptTimeout", ""),
        ("ServerError", -32602, "-32602", "-32602"),
        ("ServerError", -32099, "-32099", "-32099"),
        ("ServerError", 31012, "31012", "31012"),
        ("ServerError", 4711, "_OTHER", "_OTHER"),
        ("error", None, "_OTHER", ""),
    ],
)
def test_an_attempts_error_is_its_code_else_its_class(
    outcome: str, code: int | None, error_type: str, status_code: str
) -> None:
    family = exported(replace(ATTEMPT, outcome=outcome, error_code=code), name="mcp.client.operation.duration")
    (labels,) = map(dict, family.histograms)
    assert labels.get("error_type", "") == error_type
    assert labels.get("rpc_response_status_code", "") == status_code


@pytest.mark.requirement("E6")
def test_a_session_that_was_closed_is_no_error_and_one_that_was_lost_is() -> None:
    name = "mcp.client.session.duration"
    assert error_types(exported(replace(SESSION, deliberate=True), name=name)) == {""}
    family = exported(SESSION, name=name)
    assert error_types(family) == {"ConnectionLost"}
    assert [histogram.total for histogram in family.histograms.values()] == [100.0]


@pytest.mark.requirement("E6")
def test_a_servers_made_up_codes_are_one_series() -> None:
    invented = [replace(ATTEMPT, outcome="ServerError", error_code=code) for code in range(1, 500)]
    assert len(exported(*invented, name="mcp.client.operation.duration").histograms) == 1

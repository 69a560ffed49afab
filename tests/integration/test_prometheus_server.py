"""Debian's Prometheus scrapes a gateway and an application in each of the three formats, and has what was recorded."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

import anyio
import httpx2
import prometheus_client
import pytest
from mcp import Client, MCPError

from tests.servers.prometheus_servers import PATIENCE, Prometheus, in_text, page, prometheus
from trunkline.call import Delivery
from trunkline.cli.main import main
from trunkline.events import (
    AttemptFinished,
    CallFinished,
    CircuitChanged,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    Event,
    HedgeStarted,
    LoopLagged,
    RequestServed,
    RetryScheduled,
    ServerProbed,
)
from trunkline.monitoring.buckets import BOUNDS, FAST_BOUNDS, MCP_BOUNDS
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.scrape import MetricsPage
from trunkline.testing.processes import free_port, stdio_command

pytestmark = pytest.mark.integration

SIZE = 100_000
REQUESTS = "trunkline_domain_request_duration_seconds"

CALLS: list[tuple[str, dict[str, Any], str, int]] = [
    ("lab_echo", {"text": "hello"}, "ok", 5),
    ("lab_fail", {"message": "no"}, "tool_error", 3),
    ("lab_rpc_error", {"code": -32050, "message": "broken"}, "ServerError", 2),
]
"""What is called through the gateway: tool, arguments, outcome, how often."""


def distributions() -> dict[str, list[float]]:
    """Seconds as they come: skewed, of two kinds of request, and with a heavy tail."""
    rng = random.Random(20261130)
    return {
        "lognormal": [rng.lognormvariate(-2.0, 0.8) for _ in range(SIZE)],
        "bimodal": [rng.lognormvariate(-6.0 if rng.random() < 0.7 else -0.5, 0.25) for _ in range(SIZE)],
        "pareto": [0.02 * rng.paretovariate(1.5) for _ in range(SIZE)],
        # On, just below and just above every bound that is exported.
        "edges": [bound * factor for bound in (*FAST_BOUNDS, *MCP_BOUNDS) for factor in (1.0, 1 - 1e-12, 1 + 1e-12)]
        + [0.0, 1e-6, BOUNDS[0], 600.0, 1e6],
    }


VALUES = distributions()
SKEWED = ("lognormal", "bimodal", "pareto")


EVENTS: tuple[Event, ...] = (
    CallFinished(
        0.0, "1", "tools/call", "s_run", "speech", "s", "ok", 0.3, 1, "hit", "static", may_have_run=True, tracked=False
    ),
    CallFinished(
        0.0,
        "1",
        "tools/call",
        "s_run",
        "speech",
        "s",
        "BulkheadFull",
        0.1,
        1,
        "miss",
        None,
        may_have_run=True,
        tracked=False,
    ),
    AttemptFinished(0.0, "1", "tools/call", "s_run", "speech", "s", None, "AttemptTimeout", 0.3, Delivery.UNKNOWN),
    RetryScheduled(0.0, "1", "s_run", "s", 1, 0.1, "AttemptTimeout"),
    HedgeStarted(0.0, "1", "s_run", "s", 0.1),
    CircuitChanged(0.0, "s", None, "closed", "open", "ratio"),
    ConnectionOpened(0.0, "s", None, "2026-07-28", 0.1),
    ConnectionEnded(0.0, "s", None, "eof", in_flight=0, ready=1, lasted=5.0),
    ConnectFailed(0.0, "s", None, "refused", 1, 0.1, 0),
    ServerProbed(0.0, "s", None, healthy=True, duration=0.01, reason=""),
    RequestServed(0.0, "tools/call", "s_run", "tcp", "ok", 0.3),
    LoopLagged(0.0, 0.01),
)


@dataclass
class Scraped:
    """What was scraped, and who did."""

    gateway: str
    application: str
    classic: Prometheus
    """By text through `text`, by OpenMetrics through the other jobs."""
    native: Prometheus


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("prometheus")
    metrics = MetricsCollector()
    for domain, values in VALUES.items():
        for value in values:
            metrics.record(domain, "request", duration=value)
    with (
        gateway(folder) as url,
        page(MetricsPage(PrometheusExporter(metrics))) as application,
        page(Eventful()) as eventful,
        page(in_text(f"{url}/metrics")) as text,
    ):
        jobs = {
            "gateway": f"{url}/metrics",
            "application": f"{application}/metrics",
            "eventful": f"{eventful}/metrics",
        }
        with (
            prometheus(folder / "classic", jobs | {"text": text + "/"}) as classic,
            prometheus(folder / "native", jobs, native=True) as native,
        ):
            yield Scraped(url, application, classic, native)


class Eventful:
    """A page of metrics of which more happens at every scrape: an application where everything goes wrong at times."""

    def __init__(self) -> None:
        self.metrics = MetricsCollector()
        self.page = MetricsPage(PrometheusExporter(self.metrics))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for event in EVENTS:
            self.metrics.observe(event)
        await self.page(scope, receive, send)


@contextmanager
def gateway(folder: Path) -> Iterator[str]:
    """A gateway process in front of one server, through which the calls have been made; its address."""
    program, arguments = stdio_command()
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"lab": {"command": program, "args": arguments}}}), "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        anyio.run(call_everything, url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


async def call_everything(url: str) -> None:
    with anyio.fail_after(PATIENCE):
        async with httpx2.AsyncClient() as client:
            while True:
                with suppress(httpx2.TransportError):  # it does not listen yet
                    if (await client.get(f"{url}/health/ready")).status_code == 200:
                        break
                await anyio.sleep(0.05)
        async with Client(f"{url}/mcp") as caller:
            for name, arguments, _, times in CALLS:
                for _ in range(times):
                    try:
                        await caller.call_tool(name, arguments)
                    except MCPError:
                        assert name == "lab_rpc_error"


def count(job: str, native: bool) -> Callable[[str], str]:
    """How a histogram's count is asked for."""

    def expression(name: str) -> str:
        inner = f'{name}{{job="{job}"}}'
        return f"histogram_count({inner})" if native else inner.replace(name, f"{name}_count")

    return expression


@pytest.mark.requirement("G4")
@pytest.mark.parametrize("form", ["text", "openmetrics", "protobuf"])
def test_prometheus_has_every_call_that_was_made_through_the_gateway(scraped: Scraped, form: str) -> None:
    server = scraped.native if form == "protobuf" else scraped.classic
    counted = count("text" if form == "text" else "gateway", native=form == "protobuf")
    tools = server.present(counted("gen_ai_execute_tool_duration_seconds"))
    attempts = server.present(counted("mcp_client_operation_duration_seconds"))
    served = server.present(counted("mcp_server_operation_duration_seconds"))
    for name, _, outcome, times in CALLS:
        (made,) = [value for labels, value in tools.items() if ("gen_ai_tool_name", name) in labels]
        (tried,) = [value for labels, value in attempts.items() if ("gen_ai_tool_name", name) in labels]
        (answered,) = [value for labels, value in served.items() if ("gen_ai_tool_name", name) in labels]
        assert (made, tried, answered) == (times, times, times)
        (labels,) = [dict(labels) for labels in tools if ("gen_ai_tool_name", name) in labels]
        assert labels["outcome"] == outcome
        assert labels.get("error_type", "ok") == outcome
    (labels,) = [dict(labels) for labels in attempts if ("gen_ai_tool_name", "lab_rpc_error") in labels]
    assert labels["rpc_response_status_code"] == labels["error_type"] == "-32050"


@pytest.mark.requirement("G4")
def test_openmetrics_is_what_prometheus_is_given_when_it_asks_for_it(scraped: Scraped) -> None:
    assert scraped.classic.unit("gen_ai_execute_tool_duration_seconds", "gateway") == "seconds"
    assert scraped.classic.unit("gen_ai_execute_tool_duration_seconds", "text") == ""


@pytest.mark.requirement("G4")
@pytest.mark.parametrize("url", ["gateway", "application"])
def test_promtool_finds_nothing_wrong_with_a_page(scraped: Scraped, url: str) -> None:
    text = httpx2.get(f"{getattr(scraped, url)}/metrics", timeout=10.0).text
    command = ["promtool", "check", "metrics"]
    found = subprocess.run(command, input=text, text=True, capture_output=True, timeout=30, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


@pytest.mark.requirement("G4")
@pytest.mark.parametrize("domain", VALUES)
def test_classic_counts_equal_those_of_the_client_library_on_the_same_values(scraped: Scraped, domain: str) -> None:
    registry = prometheus_client.CollectorRegistry()
    theirs = prometheus_client.Histogram("h", "Help.", buckets=FAST_BOUNDS + MCP_BOUNDS, registry=registry)
    for value in VALUES[domain]:
        theirs.observe(value)
    (metric,) = registry.collect()
    expected = {float(each.labels["le"]): each.value for each in metric.samples if each.name == "h_bucket"}
    found = scraped.classic.present(f'{REQUESTS}_bucket{{domain="{domain}"}}')
    assert {float(dict(labels)["le"]): value for labels, value in found.items()} == expected
    assert expected[inf] == len(VALUES[domain])
    total = scraped.classic.number(f'{REQUESTS}_sum{{domain="{domain}"}}')
    assert total == pytest.approx(sum(VALUES[domain]), rel=1e-12)


@pytest.mark.requirement("G5")
@pytest.mark.parametrize("domain", SKEWED)
@pytest.mark.parametrize("q", [0.5, 0.9, 0.95, 0.99])
def test_quantiles_of_native_histograms_are_within_a_percent_of_the_truth(
    scraped: Scraped, domain: str, q: float
) -> None:
    exact = sorted(VALUES[domain])[round(q * SIZE) - 1]
    found = scraped.native.number(f'histogram_quantile({q}, {REQUESTS}{{domain="{domain}"}})')
    assert found == pytest.approx(exact, rel=0.01)


@pytest.mark.requirement("G5")
@pytest.mark.parametrize("domain", VALUES)
def test_native_histograms_have_the_count_and_the_sum_of_what_was_recorded(scraped: Scraped, domain: str) -> None:
    series = f'{REQUESTS}{{domain="{domain}"}}'
    assert scraped.native.number(f"histogram_count({series})") == len(VALUES[domain])
    assert scraped.native.number(f"histogram_sum({series})") == pytest.approx(sum(VALUES[domain]), rel=1e-12)


@pytest.mark.requirement("GRAFANA")
@pytest.mark.parametrize("kind", ["classic", "native"])
def test_every_query_of_the_dashboard_for_grafana_finds_numbers(scraped: Scraped, kind: str, tmp_path: Path) -> None:
    target = tmp_path / "dashboard.json"
    assert main(["export", "grafana", "--out", str(target)]) == 0
    panels = json.loads(target.read_text("utf-8"))["panels"]
    server: Prometheus = getattr(scraped, kind)
    targets = [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())]
    assert len(targets) > 30
    silent = [(title, expression) for title, expression in targets if not numbers(server, expression)]
    assert silent == []


def numbers(server: Prometheus, expression: str) -> list[float]:
    """What a query of a panel finds; Grafana puts in its window, four scrapes by default."""
    found = server.query(expression.replace("$__rate_interval", "30s"))
    return [value for value in found.values() if isfinite(value)]

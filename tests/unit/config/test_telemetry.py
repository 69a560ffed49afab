"""The telemetry's part of a configuration: what is accepted, what is refused, and what is said to have no effect."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from trunkline.config import Settings, load
from trunkline.config.difference import difference
from trunkline.errors import ConfigError
from trunkline.policy import OtlpPolicy, TelemetryPolicy

ENDPOINT = "https://collector.internal:4318"


def loaded(telemetry: object, **environ: str) -> Settings:
    servers = {"stt": {"command": "stt-server"}}
    return load({"mcpServers": servers, "trunkline": {"telemetry": telemetry}}, environ=environ)


def problem_of(telemetry: object) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(telemetry)
    (problem,) = caught.value.problems
    return problem.removeprefix("configuration: trunkline.telemetry")


@pytest.mark.requirement("OTLP-CONFIG")
def test_a_whole_table_becomes_settings_and_a_variable_its_value() -> None:
    headers = {"Authorization": "Bearer ${COLLECTOR_KEY}"}
    otlp = {"endpoint": ENDPOINT, "headers": headers, "interval": 30, "timeout": 2, "sample": 0.1, "metrics": False}
    found = loaded({"baggage": False, "otlp": {**otlp, "protocol": "http/protobuf"}}, COLLECTOR_KEY="hunter2!")
    assert found.telemetry == TelemetryPolicy(
        baggage=False,
        otlp=OtlpPolicy(
            endpoint=ENDPOINT,
            headers={"Authorization": "Bearer hunter2!"},
            interval=30.0,
            timeout=2.0,
            sample=0.1,
            metrics=False,
        ),
    )
    assert found.notices == ()
    assert "hunter2" not in repr(found) + repr(found.telemetry)
    assert "hunter2!" in found.secrets.values


@pytest.mark.requirement("OTLP-CONFIG")
@pytest.mark.parametrize(
    ("telemetry", "problem"),
    [
        ([], ": found an array, expected a table"),
        ({"otpl": {}}, '.otpl: unknown key; did you mean "otlp"?'),
        (
            {"otlp": {"endpoint": "c:4317"}},
            ".otlp.endpoint: found <hidden> (a string), expected an http:// or https:// address",
        ),
        (
            {"otlp": {"endpoint": "http://"}},
            ".otlp.endpoint: found <hidden> (a string), expected an http:// or https:// address with a host",
        ),
        (
            {"otlp": {"endpoint": f"{ENDPOINT}/v1/traces"}},
            (
                ".otlp.endpoint: found <hidden> (a string), expected the address before /v1/traces and /v1/metrics, "
                "which are added to it"
            ),
        ),
        (
            {"otlp": {"endpoint": f"{ENDPOINT}?key=1"}},
            ".otlp.endpoint: found <hidden> (a string), expected an address without a query; a key goes into headers",
        ),
        ({"otlp": {"protocol": "grpc"}}, '.otlp.protocol: found "grpc" (a string), expected "http/protobuf"'),
        ({"otlp": {"interval": 0}}, ".otlp.interval: found 0 (a whole number), expected a number greater than 0"),
        ({"otlp": {"sample": 2}}, ".otlp.sample: found 2 (a whole number), expected a share from 0 to 1"),
        ({"otlp": {"max_spans": 0}}, ".otlp.max_spans: found 0 (a whole number), expected 1 or more"),
        (
            {"otlp": {"headers": {"X-Key": "two\nlines"}}},
            (
                ".otlp.headers.X-Key: found <hidden> (a string), expected a string of printable ASCII, "
                "under a valid header name"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_explained(telemetry: object, problem: str) -> None:
    assert problem_of(telemetry) == problem


@pytest.mark.requirement("OTLP-CONFIG")
@pytest.mark.parametrize("endpoint", ["", "${COLLECTOR:-}"])
def test_an_empty_address_asks_for_no_push(endpoint: str) -> None:
    found = loaded({"otlp": {"endpoint": endpoint}})
    assert (found.telemetry, found.notices) == (TelemetryPolicy(), ())


@pytest.mark.requirement("OTLP-CONFIG")
def test_what_has_no_effect_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    (notice,) = loaded({"otlp": {"interval": 5}}).notices
    assert notice == "configuration: trunkline.telemetry.otlp has no effect without an endpoint"
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    missing: dict[str, Any] = {"otlp": {"endpoint": ENDPOINT}}
    (notice,) = loaded(missing).notices
    assert notice.endswith('not installed: pip install "trunkline[otel]"')


@pytest.mark.requirement("OTLP-CONFIG")
def test_another_collector_takes_a_restart() -> None:
    found = difference(loaded({}), loaded({"otlp": {"endpoint": ENDPOINT}}))
    assert found.waiting == ("trunkline.telemetry",)

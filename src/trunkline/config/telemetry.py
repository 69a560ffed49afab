"""The table `trunkline.telemetry`: what is told to an OpenTelemetry collector, and whether it can be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Final

from trunkline.config.endpoints import is_address, is_header
from trunkline.config.lines import KeyPath
from trunkline.config.policies import overlay
from trunkline.config.report import Report
from trunkline.policy import OtlpPolicy, TelemetryPolicy
from trunkline.telemetry import OTEL_EXTRA

__all__ = ["read_telemetry"]

_PATH: Final[KeyPath] = ("trunkline", "telemetry")


def read_telemetry(table: object, report: Report) -> TelemetryPolicy:
    """Return the settings that the table `trunkline.telemetry` gives; what does not fit is reported.

    An empty `otlp.endpoint`, as of `${COLLECTOR:-}`, asks for no push.
    """
    if isinstance(table, Mapping):
        table = _without_empty_address(table)
    settings = overlay(TelemetryPolicy(), table, _PATH, report)
    otlp = settings.otlp
    at: KeyPath = (*_PATH, "otlp")
    if otlp.endpoint is not None and not is_address(otlp.endpoint):
        report.mismatch((*at, "endpoint"), "an http:// or https:// address with a host")
    elif otlp.endpoint is not None and ("?" in otlp.endpoint or "#" in otlp.endpoint):
        report.mismatch((*at, "endpoint"), "an address without a query; a key goes into headers")
    elif otlp.endpoint is not None and "/v1/" in otlp.endpoint:
        report.mismatch((*at, "endpoint"), "the address before /v1/traces and /v1/metrics, which are added to it")
    for name, value in otlp.headers.items():
        if not isinstance(value, str) or not is_header(name, value):
            report.mismatch((*at, "headers", name), "a string of printable ASCII, under a valid header name")
    if otlp.endpoint is None and otlp != OtlpPolicy():
        report.notice(at, "has no effect without an endpoint")
    elif otlp.endpoint is not None and otlp.enabled and not _is_installed():
        report.notice(at, f"pushes nothing: {OTEL_EXTRA}")
    return settings


def _is_installed() -> bool:
    with suppress(ModuleNotFoundError):  # where a package above it is missing
        return find_spec("opentelemetry.sdk") is not None and find_spec("opentelemetry.exporter.otlp.proto") is not None
    return False


def _without_empty_address(table: Mapping[str, object]) -> Mapping[str, object]:
    otlp = table.get("otlp")
    if isinstance(otlp, Mapping) and otlp.get("endpoint") == "":
        return {**table, "otlp": {key: value for key, value in otlp.items() if key != "endpoint"}}
    return table

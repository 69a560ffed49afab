"""The table `trunkline.alerts`: rules over the built-in ones, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from trunkline.config.lines import KeyPath
from trunkline.config.policies import overlay
from trunkline.config.report import Report
from trunkline.policy import BUILT_IN_RULES, AlertRule, AlertSettings, SinkPolicy

__all__ = ["read_alerts"]

_PATH: Final[KeyPath] = ("trunkline", "alerts")
_ADDRESS: Final = "an address that begins with http:// or https:// and names a host"


def read_alerts(table: object, report: Report) -> AlertSettings:
    """Return the settings that the table `trunkline.alerts` gives; what does not fit is reported, but no address."""
    if not isinstance(table, Mapping):
        report.mismatch(_PATH, "a table")
        return AlertSettings()
    own = {key: value for key, value in table.items() if key not in ("rules", "sinks")}
    settings = overlay(AlertSettings(), own, _PATH, report)
    rules = dict(BUILT_IN_RULES)
    for name, found in _tables(table, "rules", report).items():
        path = (*_PATH, "rules", name)
        if not _is_name(name):
            report.problem(path, "a rule's name has letters, digits and underscores only, and begins with no digit")
            continue
        rules[name] = overlay(rules.get(name, AlertRule()), found, path, report)
    sinks = {}
    for name, found in _tables(table, "sinks", report).items():
        path = (*_PATH, "sinks", name)
        sinks[name] = sink = overlay(SinkPolicy(), found, path, report)
        if isinstance(found, Mapping) and sink.enabled and not _is_address(sink.url):
            report.mismatch((*path, "url"), _ADDRESS)
    return replace(settings, rules=MappingProxyType(rules), sinks=MappingProxyType(sinks))


def _tables(table: Mapping[str, Any], section: str, report: Report) -> Mapping[str, Any]:
    found = table.get(section, {})
    if not isinstance(found, Mapping):
        report.mismatch((*_PATH, section), "a table of tables by name")
        return {}
    if "" in found:
        report.problem((*_PATH, section, ""), "a name is empty, expected at least one character")
    return {name: value for name, value in found.items() if name}


def _is_name(name: str) -> bool:
    """Whether Prometheus would have it too."""
    return name.isascii() and name.isidentifier()


def _is_address(url: str | None) -> bool:
    try:
        parts = urlsplit(url or "")
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False

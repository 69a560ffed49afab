"""A file or a mapping to `Settings`: the whole configuration, its two halves and their keys.

Every problem is found before the first is raised.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from trunkline.config.alerting import read_alerts
from trunkline.config.authorization import with_auth
from trunkline.config.caching import read_cache
from trunkline.config.document import Document, parse, read_file
from trunkline.config.gateway import read_gateway
from trunkline.config.lines import KeyPath
from trunkline.config.logs import read_logging
from trunkline.config.policies import overlay
from trunkline.config.report import Report, nearest, printable
from trunkline.config.secrecy import with_secrets
from trunkline.config.servers import SLIP, read_replicas, read_servers
from trunkline.config.settings import ServerSettings, Settings
from trunkline.config.telemetry import read_telemetry
from trunkline.config.variables import expand
from trunkline.endpoint import Endpoint
from trunkline.errors import ConfigError
from trunkline.policy import DomainPolicy, PinSettings, ServerPolicy, ToolPolicy

__all__ = ["fallback_settings", "load", "settings_from"]

_ROOTS = ("mcpServers", "trunkline")
_SECTIONS = ("defaults", "servers", "tools", "domains", "cache", "alerts", "telemetry", "logging", "pins", "gateway")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_.*-]+")

NamedPolicy = TypeVar("NamedPolicy", ToolPolicy, DomainPolicy)


def load(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    must_exist: bool = False,
) -> Settings:
    """Return the settings a `.json` or `.toml` file, or a mapping of the same shape, describes.

    `environ` has the variables that `${NAME}` may name; None takes the process's. A missing file gives the built-in
    configuration, which has no servers, and a notice that says so. Raises ConfigError with every problem of the
    source, and with `must_exist` also for a missing file.
    """
    variables = os.environ if environ is None else environ
    if isinstance(source, Mapping):
        return settings_from(Document("configuration", "mapping", source), variables)
    path = os.fsdecode(source)
    try:
        data = read_file(path)
    except FileNotFoundError as error:
        if must_exist:
            problem = f"{printable(path)}: no such file; create it or give another path"
            raise ConfigError([problem], source=printable(path)) from error
        return fallback_settings(path)
    return settings_from(parse(path, data), variables)


def fallback_settings(path: str) -> Settings:
    """Return the built-in configuration, for want of the file at `path`: no servers, and a notice that says so."""
    source = printable(path)
    notice = f"{source}: no such file; the built-in configuration is in force, without any server: create the file"
    return Settings(source, notices=(f"{notice} or give another path",), is_fallback=True)


def settings_from(document: Document, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a document. Raises ConfigError with every problem in it."""
    report = Report(document.source, document.values, document.lines)
    for path, line in document.repeated:
        report.problem(path, "this key stands twice in one object; keep one of the two", line=line)
    _check_roots(document, report)
    endpoints = read_servers(document.values.get("mcpServers", {}), environ, report)
    ours = expand(document.values.get("trunkline", {}), ("trunkline",), environ, report)
    if isinstance(ours, Mapping):
        _check_sections(ours, report)
    else:
        report.mismatch(("trunkline",), "a table")
        ours = {}
    servers = _servers(ours, endpoints, report)
    tools = _named(ours, "tools", ToolPolicy(), report)
    for name in tools:
        _check_tool_name(name, report)
    domains = _named(ours, "domains", DomainPolicy(), report)
    cache = read_cache(ours.get("cache", {}), report)
    alerts = read_alerts(ours.get("alerts", {}), report)
    telemetry = read_telemetry(ours.get("telemetry", {}), report)
    logging = read_logging(ours.get("logging", {}), report)
    pins = overlay(PinSettings(), ours.get("pins", {}), ("trunkline", "pins"), report)
    gateway = read_gateway(ours.get("gateway", {}), report)
    if not (cache.redis.enabled and cache.redis.url) and any(
        server.policy.breaker.shared for server in servers.values()
    ):
        report.notice(("trunkline",), "breaker.shared has no effect without trunkline.cache.redis.url")
    if not endpoints:
        report.notice((), "no server is configured: name one under mcpServers")
    report.raise_problems()
    servers, secrets = with_secrets(servers, ours, report.hidden.keys() - {*servers, *domains})
    return Settings(
        document.source,
        servers,
        tools,
        domains,
        cache,
        alerts,
        telemetry,
        logging=logging,
        pins=pins,
        gateway=gateway,
        secrets=secrets,
        notices=report.notices,
    )


def _check_roots(document: Document, report: Report) -> None:
    values = document.values
    if document.form == "json" and "servers" in values and "mcpServers" not in values:
        report.problem(("servers",), 'this map is called "mcpServers" here: rename it')
    for key in values:
        if key in _ROOTS:
            continue
        if not isinstance(key, str):
            report.problem((), "a key at the top is not text, expected mcpServers or trunkline")
        elif document.form != "json":
            report.unknown((key,), _ROOTS)
        elif key == "servers":
            if "mcpServers" in values:
                report.notice((key,), "is not used: servers stand under mcpServers")
        elif nearest(key.replace("_", ""), _ROOTS, cutoff=SLIP):
            report.unknown((key,), _ROOTS)
        else:
            report.notice((key,), "is not used")


def _check_sections(ours: Mapping[str, Any], report: Report) -> None:
    for key in ours:
        if key not in _SECTIONS:
            report.unknown(("trunkline", key), _SECTIONS)


def _servers(
    ours: Mapping[str, Any], endpoints: Mapping[str, Endpoint | None], report: Report
) -> Mapping[str, ServerSettings]:
    defaults = overlay(ServerPolicy(), ours.get("defaults", {}), ("trunkline", "defaults"), report)
    policies: dict[str, ServerPolicy] = {}
    places: dict[str, Endpoint] = {}
    replicas: dict[str, tuple[Endpoint, ...]] = {}
    for name, table in _section(ours, "servers", report).items():
        path = ("trunkline", "servers", name)
        if name not in endpoints:
            near = nearest(name, endpoints)
            known = f"servers: {', '.join(endpoints)}" if endpoints else "there are none"
            advice = f'did you mean "{near}"?' if near else known
            report.problem(path, f"no server of that name under mcpServers; {advice}")
        policies[name] = overlay(defaults, table, path, report, elsewhere=("replicas", "auth"))
        _check_trust(policies[name], table, path, report)
        endpoint = endpoints.get(name)
        if endpoint is not None and isinstance(table, Mapping):
            if "auth" in table:
                places[name] = endpoint = with_auth(endpoint, table["auth"], (*path, "auth"), report)
            if "replicas" in table:
                replicas[name] = read_replicas(table["replicas"], endpoint, (*path, "replicas"), report)
        for fallback in policies[name].fallback:
            _check_fallback(fallback, name, endpoints, (*path, "fallback"), report)
    for fallback in defaults.fallback:
        _check_fallback(fallback, "", endpoints, ("trunkline", "defaults", "fallback"), report)
    return MappingProxyType(
        {
            name: ServerSettings(name, places.get(name, endpoint), policies.get(name, defaults), replicas.get(name, ()))
            for name, endpoint in endpoints.items()
            if endpoint is not None
        }
    )


def _check_trust(policy: ServerPolicy, table: object, path: KeyPath, report: Report) -> None:
    """A server's own policy is for what it calls read-only, which is worth nothing while it is not trusted."""
    if (
        isinstance(table, Mapping)
        and "cache" in table
        and policy.cache.ttl is not None
        and not policy.trust_annotations
    ):
        advice = "set trust_annotations = true, or name its tools under trunkline.tools"
        report.notice(
            (*path, "cache"), f"caches nothing, since what the server says of its tools is not believed; {advice}"
        )


def _check_fallback(
    name: str, of: str, endpoints: Mapping[str, Endpoint | None], path: KeyPath, report: Report
) -> None:
    if name == of:
        report.problem(path, "a server cannot stand in for itself; name another")
    elif name not in endpoints:
        near = nearest(name, endpoints)
        known = f"servers: {', '.join(endpoints)}" if endpoints else "there are none"
        advice = f'did you mean "{near}"?' if near else known
        report.notice(
            path, f"names {printable(name)!r}, which is no server under mcpServers, and passes over it; {advice}"
        )


def _check_tool_name(name: str, report: Report) -> None:
    if name and not _TOOL_NAME.fullmatch(name):
        report.notice(
            ("trunkline", "tools", name),
            "fits no tool: shown names are made of letters, digits, dots, dashes and underscores, and * stands for any",
        )


def _named(ours: Mapping[str, Any], section: str, base: NamedPolicy, report: Report) -> Mapping[str, NamedPolicy]:
    return MappingProxyType(
        {
            name: overlay(base, table, ("trunkline", section, name), report)
            for name, table in _section(ours, section, report).items()
        }
    )


def _section(ours: Mapping[str, Any], section: str, report: Report) -> Mapping[str, Any]:
    path: KeyPath = ("trunkline", section)
    tables = ours.get(section, {})
    if not isinstance(tables, Mapping):
        report.mismatch(path, "a table of tables by name")
        return {}
    if "" in tables:
        report.problem((*path, ""), "a name is empty, expected at least one character")
    return tables

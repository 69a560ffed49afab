"""The `mcpServers` map, as any MCP host writes it, to endpoints by name.

Hosts keep keys of their own in it; those are left alone with a notice, unless one looks like a slip of the pen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from trunkline.config.endpoints import http_endpoint, is_address, stdio_endpoint
from trunkline.config.lines import KeyPath
from trunkline.config.report import Report, nearest
from trunkline.config.variables import expand
from trunkline.endpoint import Endpoint, HttpEndpoint

__all__ = ["SLIP", "read_replicas", "read_servers"]

SLIP = 0.8
"""Similarity from which a foreign key is taken for a misspelt one: `header` is, `disabledTools` is not."""

_SERVER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_STDIO_KEYS = ("command", "args", "env", "cwd")
# Most hosts write `url`; two keep that for the older transport and have a key of their own for this one.
_ADDRESS_KEYS = ("httpUrl", "serverUrl", "url")
_KIND_KEYS = ("type", "transport")
_SWITCH_KEYS = ("disabled", "enabled")
_KNOWN_KEYS = (*_STDIO_KEYS, *_ADDRESS_KEYS, "headers", *_KIND_KEYS, *_SWITCH_KEYS)


def read_servers(entries: object, environ: Mapping[str, str], report: Report) -> dict[str, Endpoint | None]:
    """Return each server's endpoint by name, in the order of the file; None for a disabled or a faulty one."""
    root: KeyPath = ("mcpServers",)
    if not isinstance(entries, Mapping):
        report.mismatch(root, "a table of servers by name")
        return {}
    found: dict[str, Endpoint | None] = {}
    for name, entry in entries.items():
        if not isinstance(name, str) or not _SERVER_NAME.fullmatch(name):
            at = (*root, name) if isinstance(name, str) else root
            report.problem(at, "a server's name is made of letters, digits, dots, dashes and underscores")
            continue
        found[name] = _read_server(entry, (*root, name), environ, report)
    return found


def read_replicas(entries: object, first: Endpoint, path: KeyPath, report: Report) -> tuple[Endpoint, ...]:
    """Return the further places of a server whose first place is `first`; the variables are replaced already.

    An entry is an address, which is sent the same headers as the first, or a table with the keys of `mcpServers`. Both
    are sent tokens by the same credentials, where the first is.
    """
    if not isinstance(entries, list):
        report.mismatch(path, "an array of addresses, or of tables as under mcpServers")
        return ()
    headers = dict(first.headers) if isinstance(first, HttpEndpoint) else {}
    found: list[Endpoint] = []
    for index, entry in enumerate(entries):
        at = (*path, index)
        if not isinstance(entry, (str, Mapping)):
            report.mismatch(at, "an address, or a table as under mcpServers")
            continue
        if isinstance(entry, str):
            endpoint = _replica_at(entry, headers, at, report)
        else:
            endpoint = _endpoint(entry if "command" in entry else {"headers": headers, **entry}, at, report)
        if endpoint is None:
            continue
        if isinstance(first, HttpEndpoint) and isinstance(endpoint, HttpEndpoint) and not endpoint.has_credentials:
            endpoint = replace(endpoint, auth=first.auth)
        if endpoint in (first, *found):
            report.problem(at, "this place is named already; name each once")
        found.append(endpoint)
    return tuple(found)


def _replica_at(address: str, headers: Mapping[str, str], path: KeyPath, report: Report) -> Endpoint | None:
    if is_address(address) and address.startswith(("http://", "https://")):
        return HttpEndpoint(address, headers)
    report.mismatch(path, "an http:// or https:// address with a host")
    return None


def _read_server(entry: object, path: KeyPath, environ: Mapping[str, str], report: Report) -> Endpoint | None:
    if not isinstance(entry, Mapping):
        report.mismatch(path, "a table")
        return None
    # Some hosts write null for what is not set.
    present = {key: value for key, value in entry.items() if value is not None}
    if _is_disabled(present, path, report):
        report.notice(path, "is disabled and left out")
        return None
    return _endpoint(expand(present, path, environ, report), path, report)


def _endpoint(expanded: Mapping[str, Any], path: KeyPath, report: Report) -> Endpoint | None:
    address = next((key for key in _ADDRESS_KEYS if key in expanded), None)
    kind = _kind(expanded, address, path, report)
    _explain_foreign_keys(expanded, kind, address, path, report)
    if kind == "stdio":
        return stdio_endpoint(expanded, path, report)
    return http_endpoint(expanded, address, path, report) if kind and address else None


def _is_disabled(entry: Mapping[str, Any], path: KeyPath, report: Report) -> bool:
    for key in _SWITCH_KEYS:
        if not isinstance(entry.get(key, False), bool):
            report.mismatch((*path, key), "true or false")
    return entry.get("disabled", False) is True or entry.get("enabled", True) is False


def _kind(
    entry: Mapping[str, Any], address: str | None, path: KeyPath, report: Report
) -> Literal["stdio", "http"] | None:
    has_command = "command" in entry
    declared = next((key for key in _KIND_KEYS if key in entry), None)
    kind: Literal["stdio", "http"] = "stdio" if has_command else "http"
    if declared:
        word = str(entry[declared]).replace("-", "").replace("_", "").lower()
        if word == "sse":
            advice = 'give the Streamable HTTP address of the server, with type = "http"'
            report.problem((*path, declared), f"the SSE transport is no longer part of MCP; {advice}")
            return None
        if word not in ("stdio", "http", "streamablehttp"):
            report.mismatch((*path, declared), '"stdio", "http" or "streamable-http"')
            return None
        kind = "stdio" if word == "stdio" else "http"
    if has_command and address:
        report.problem(path, f"found both command and {address}, expected one of them")
        return None
    if not (has_command if kind == "stdio" else address):
        wanted = "command" if kind == "stdio" else "url"
        neither = "found neither command (a program) nor url (an address), expected one of them"
        report.problem(path, f"found no {wanted}, expected one for its type" if declared else neither)
        return None
    return kind


def _explain_foreign_keys(
    entry: Mapping[str, Any], kind: str | None, address: str | None, path: KeyPath, report: Report
) -> None:
    used = {*_KIND_KEYS, *_SWITCH_KEYS, *(_STDIO_KEYS if kind == "stdio" else (address, "headers"))}
    for key in entry:
        if key not in _KNOWN_KEYS and nearest(key, _KNOWN_KEYS, cutoff=SLIP):
            report.unknown((*path, key), _KNOWN_KEYS)
        elif kind and key not in used:
            report.notice((*path, key), f"is not used here; see trunkline.servers.{path[-1]} for what can be set")

"""`trunkline cache`: how the cache of a running gateway does, and what it is to forget."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlsplit

from trunkline.cli.exits import FAILED, FINE, CommandError
from trunkline.cli.output import cell, print_json, print_table

__all__ = ["run"]

_PATIENCE: Final = 10.0
"""Seconds the gateway has for each step of its answer."""
_WHAT: Final = ("tool", "arguments", "server", "tag", "principal")


def run(options: argparse.Namespace) -> int:
    """Ask the gateway and print its answer; 0. Raises `CommandError`."""
    given = {name: value for name in _WHAT if (value := getattr(options, name)) is not None}
    if options.action != "invalidate":
        if given:
            raise CommandError([f"--{next(iter(given))} goes with invalidate, not with {options.action}"])
        answer = _ask(options.url, options.action)
    else:
        if not given:
            raise CommandError(["nothing to invalidate: give --tool, --server, --tag or --principal, or use clear"])
        if "arguments" in given:
            given["arguments"] = _object(given["arguments"])
        answer = _ask(options.url, "invalidate", given)
    if options.json:
        print_json(answer)
    elif options.action == "stats":
        _print(answer)
    else:
        print(_done(answer))
    return FINE


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = "--arguments is not JSON; give an object such as '{\"name\": 1}'"
        raise CommandError([problem]) from error
    if not isinstance(found, dict):
        raise CommandError([f"--arguments must be a JSON object such as '{{\"name\": 1}}', found {found!r:.40}"])
    return found


def _ask(url: str, action: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The gateway's answer. Raises `CommandError` where there is none, or a refusal."""
    connection = _connection(url)
    path = urlsplit(url).path.rstrip("/") + "/api/v1/cache"
    try:
        if action == "stats":
            connection.request("GET", path)
        else:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"{path}/{action}", json.dumps(body or {}), headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    except (OSError, HTTPException) as error:
        words = f"no gateway answers at {url}: {error or type(error).__name__}; is trunkline serve running there?"
        raise CommandError([words], FAILED) from error
    except ValueError as error:
        raise CommandError([f"what answers at {url} is no gateway of this version"], FAILED) from error
    finally:
        connection.close()
    if answer.status != 200 or not isinstance(told, dict):
        raise CommandError([_refusal(told, answer.status)], FAILED)
    return told


def _connection(url: str) -> HTTPConnection:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        raise CommandError([f"{url!r} is no address of a gateway; give one such as http://127.0.0.1:8700"])
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(host, port, timeout=_PATIENCE)


def _refusal(told: Any, status: int) -> str:
    try:
        return str(told["error"]["message"])
    except (KeyError, TypeError):
        return f"the gateway answered with status {status}"


def _done(answer: Mapping[str, Any]) -> str:
    if "cleared" in answer:
        return "cleared"
    return f"invalidated: {', '.join(f'{name} {json.dumps(value)}' for name, value in answer['invalidated'].items())}"


def _print(answer: Mapping[str, Any]) -> None:
    for line in _lines(answer):
        print(line)
    tools = answer["stats"]["tools"]
    if tools:
        print()
        heads = ("TOOL", "HIT RATIO", "HITS", "STALE", "COALESCED", "MISSES", "KEPT")
        print_table(heads, [_row(name, counted) for name, counted in sorted(tools.items())])


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    stats, redis = answer["stats"], answer["redis"]
    if not answer["enabled"]:
        yield "the cache is disabled: trunkline.cache.enabled = false"
    total = stats["total"]
    served = ", ".join(f"{outcome} {total[outcome]}" for outcome in ("hits", "stale", "coalesced", "misses"))
    yield f"hit ratio  {_ratio(total['hit_ratio'])} ({served})"
    used = f"{stats['bytes'] / 1e6:.1f} of {stats['max_bytes'] / 1e6:.1f} MB"
    yield f"memory     {stats['entries']} entries, {used}, {stats['evictions']} evictions"
    if redis is None:
        yield "redis      none is configured"
    else:
        yield f"redis      {redis['state']}{': ' if redis['reason'] else ''}{cell(redis['reason'], 300)}"
    for kind, words in (("bypassed", "bypassed"), ("refused", "not kept")):
        if stats[kind]:
            yield f"{words:<11}{', '.join(f'{reason} {count}' for reason, count in sorted(stats[kind].items()))}"


def _row(name: str, counted: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (str(counted[outcome]) for outcome in ("hits", "stale", "coalesced", "misses", "kept"))
    return (cell(name, 128), _ratio(counted["hit_ratio"]), *numbers)


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio * 100:.1f} %"

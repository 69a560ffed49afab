"""`trunkline cache`: how the cache of a running gateway does, and what it is to forget."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from trunkline.cli.exits import FINE, CommandError
from trunkline.cli.gateway_requests import GatewayAddress
from trunkline.cli.output import cell, print_json, print_table

__all__ = ["run"]

_PATH: Final = "/api/v1/cache"
_WHAT: Final = ("tool", "arguments", "server", "tag", "principal")


def run(options: argparse.Namespace) -> int:
    """Ask the gateway and print its answer; 0. Raises `CommandError`."""
    gateway = GatewayAddress.of(options.url)
    given = {name: value for name in _WHAT if (value := getattr(options, name)) is not None}
    if options.action != "invalidate":
        if given:
            raise CommandError([f"--{next(iter(given))} goes with invalidate, not with {options.action}"])
        answer = gateway.ask(_PATH) if options.action == "stats" else gateway.ask(f"{_PATH}/clear", {})
    else:
        if not given:
            raise CommandError(["nothing to invalidate: give --tool, --server, --tag or --principal, or use clear"])
        if "arguments" in given:
            given["arguments"] = _object(given["arguments"])
        answer = gateway.ask(f"{_PATH}/invalidate", given)
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

"""Views as a gateway tells them, made by hand; `test_terminal` checks them against the gateway's own description."""

from __future__ import annotations

from typing import Any

__all__ = ["AT", "DETAILS", "view"]

AT = 1_796_000_000.0
_NAMES = ("orders", "search", "notes")


def view(*, down: bool = False, servers: int = 3, **also: Any) -> dict[str, Any]:
    """Some servers and two domains; where `down`, `orders` has been down for 53 seconds, and an alert fires."""
    names = [*_NAMES, *(f"server-{number}" for number in range(len(_NAMES) + 1, servers + 1))][:servers]
    rows = {name: _server(down=down and name == "orders") for name in names}
    sentence = f"Of {servers} servers, 1 is down." if down else f"All {servers} servers work; 30 tools can be called."
    reasons = ["orders: nothing listens at the server's address"] if down else []
    return {
        "version": "0.1.0",
        "at": AT,
        "started": AT - 3900,
        "overall": {
            "state": "down" if down else "healthy",
            "since": AT - (53 if down else 1740),
            "sentence": sentence,
            "reasons": reasons,
        },
        "alerts": {"a": _alert(), "b": _alert(inhibited_by="server-down")} if down else {},
        "totals": {"requests": 5520, "rate": 92.0, "error_ratio": 0.012, "p50": 0.021, "p95": 0.048, "p99": 0.12,
                   "in_flight": 3, "unattributed": 0.0},
        "circuits": {"closed": servers - down, "half_open": 0, "open": int(down)},
        "cache": {"enabled": True, "entries": 20, "bytes": 9000, "max_bytes": 64000, "hit_ratio": 0.45},
        "history": {str(int(AT) - 10 * ago): {"rate": 10.0 * ago, "errors": 0.0, "p50": 0.02, "p95": 0.05, "p99": 0.1}
                    for ago in range(5, 0, -1)},
        "domains": {"checkout": _row(7, error_ratio=0.079), "catalogue": _row(0)},
        "servers": rows,
        "others": {},
        "config": {"source": "trunkline.toml", "is_fallback": False, "notices": []},
        "loop_lag": 0.001,
        "ours": {"observer_failures": 0, "records_lost": 0, "answers_abandoned": 0, "series_overflowed": 0},
        **also,
    }  # fmt: skip


def _alert(**also: Any) -> dict[str, Any]:
    return {"rule": "server-down", "severity": "critical", "state": "firing", "labels": {"server": "orders"},
            "since": AT - 50, "fired": AT - 20, "value": 1.0, "threshold": 1.0, "summary": "Server orders is down.",
            "reason": "", "runbook": "", "inhibited_by": "", **also}  # fmt: skip


def _call(**also: Any) -> dict[str, Any]:
    return {"at": AT - 55, "id": "c1", "tool": "orders_append", "domain": "checkout", "server": "orders",
            "outcome": "ConnectionLost", "duration": 0.031, "attempts": 1, "cache": "bypass", "fallback": None,
            "may_have_run": True, "trace_id": "0af7651916cd43dd8448eb211c80319c", **also}  # fmt: skip


DETAILS: dict[str, Any] = {
    "name": "orders",
    "places": ["http://127.0.0.1:9001/mcp"],
    "tools": [
        {"name": "orders_append", "description": "Writes op down.", "repeatable": False, "fingerprint": "f",
         "availability": {"state": "unavailable", "since": AT - 53, "reason": "down"}, "mismatch": None, "calls": 2408,
         "error_ratio": 0.079, "p50": 0.021, "p95": 0.05, "p99": 0.1},
        {"name": "orders_echo", "description": "", "repeatable": True, "fingerprint": "f",
         "availability": {"state": "available", "since": AT - 53, "reason": ""}, "mismatch": None, "calls": 0},
        {"name": "orders_wipe", "description": "Wipes.", "repeatable": False, "fingerprint": "f",
         "availability": {"state": "unavailable", "since": AT - 53, "reason": "refused: it is not in the pins file"},
         "mismatch": {"parts": [], "is_refused": True, "reason": "it is not in the pins file", "since": AT - 53,
                      "command": "trunkline pin CONFIG --accept orders_wipe"}, "calls": 0},
    ],
    "failed": [_call()],
    "slow": [_call(tool="orders_lookup", outcome="ok", duration=1.2, may_have_run=False, trace_id=None)] * 25,
}  # fmt: skip


def _row(badness: int, **also: Any) -> dict[str, Any]:
    return {"badness": badness, "rate": 9.8, "p50": 0.02, "p95": 0.05, "p99": 0.1, "in_flight": 1,
            "spark": [1.0, 4.0, 9.8], **also}  # fmt: skip


def _server(*, down: bool) -> dict[str, Any]:
    state = {"state": "down", "since": AT - 53, "reason": "nothing listens at the server's address"}
    well = {"state": "healthy", "since": AT - 1740, "reason": ""}
    told = {"waiting": 0, "circuit": "open" if down else "closed", "era": "2026-07-28", "tools": 10}
    return {**_row(1300 if down else 0), **(state if down else well), **told, "error_ratio": 0.3 if down else 0.0}

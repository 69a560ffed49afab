"""Views as a gateway tells them, made by hand; `test_terminal` checks them against the gateway's own description."""

from __future__ import annotations

from typing import Any

__all__ = ["AT", "view"]

AT = 1_796_000_000.0


def view(*, down: bool = False, servers: int = 3, **also: Any) -> dict[str, Any]:
    """Some servers and two domains; where `down`, `server-1` has been down for 53 seconds."""
    rows = {f"server-{number}": _server(number, down=down and number == 1) for number in range(1, servers + 1)}
    sentence = f"Of {servers} servers, 1 is down." if down else f"All {servers} servers work; 30 tools can be called."
    reasons = ["server-1: nothing listens at the server's address"] if down else []
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


def _row(badness: int, **also: Any) -> dict[str, Any]:
    return {"badness": badness, "rate": 9.8, "p50": 0.02, "p95": 0.05, "p99": 0.1, "in_flight": 1,
            "spark": [1.0, 4.0, 9.8], **also}  # fmt: skip


def _server(number: int, *, down: bool) -> dict[str, Any]:
    state = {"state": "down", "since": AT - 53, "reason": "nothing listens at the server's address"}
    well = {"state": "healthy", "since": AT - 1740, "reason": ""}
    told = {"waiting": 0, "circuit": "open" if down else "closed", "era": "2026-07-28", "tools": 10}
    return {**_row(1300 if down else 0), **(state if down else well), **told, "error_ratio": 0.3 if down else 0.0}

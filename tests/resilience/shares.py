"""How many cases each fuzzer of R12 tries: its share of FUZZ_CASES, a few hundred in all unless that says otherwise."""

from __future__ import annotations

import math
import os
from typing import Final, Literal

from hypothesis import HealthCheck, settings

__all__ = ["FUZZING", "IS_LONG", "Fuzzer", "cases_of"]

Fuzzer = Literal["configuration", "configuration files", "schemas", "HTTP API", "/mcp requests", "/mcp bytes"]

_SHARES: Final[dict[Fuzzer, float]] = {
    "configuration": 0.20,
    "configuration files": 0.10,
    "schemas": 0.20,
    "HTTP API": 0.15,
    "/mcp requests": 0.25,
    "/mcp bytes": 0.10,
}
assert math.isclose(sum(_SHARES.values()), 1.0)

IS_LONG: Final = "FUZZ_CASES" in os.environ
_TOTAL: Final = int(os.environ.get("FUZZ_CASES", "1200"))

# The short form tries the same cases each time: it must not fail on an unlucky day. The long one looks for new ones.
FUZZING: Final = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=not IS_LONG, print_blob=True
)


def cases_of(fuzzer: Fuzzer) -> int:
    """Cases that `fuzzer` is to try at least."""
    return math.ceil(_TOTAL * _SHARES[fuzzer])

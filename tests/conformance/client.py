"""Our client as the harnesses see it: a program that is given a server's address, and does what the scenario wants.

Required are the scenarios that a revision requires. Of the others those stand here whose means are there: client
credentials are ours; tokens by an employer's identity provider, DPoP and workload identities are not. The stable
harness requires nothing: of its scenarios two are left out, one for such tokens, and one whose issuer calls itself by
another name than the one it is found by, as 2025-03-26 let it. A client of 2026-07-28 has to refuse that
(`auth/metadata-issuer-mismatch`).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.suites import NEXT, STABLE, Suite

__all__ = ["suites"]

_BESIDES = ("auth/client-credentials-basic", "auth/client-credentials-jwt", "json-schema-2020-12-preservation")
_LEFT_OUT = ("auth/cross-app-access-complete-flow", "auth/2025-03-26-oauth-metadata-backcompat")


@contextmanager
def suites() -> Iterator[Sequence[Suite]]:
    """Yield what is run against the client."""
    program = Path(__file__).with_name("conformance_client.py")
    target = ("--command", shlex.join((sys.executable, str(program))))
    yield (
        Suite("0.1.16", STABLE, "client", target, without=_LEFT_OUT),
        Suite("0.2.0-alpha.12, 2025-11-25", NEXT, "client", target, "2025-11-25", _BESIDES),
        Suite("0.2.0-alpha.12, 2026-07-28", NEXT, "client", target, "2026-07-28", _BESIDES),
    )

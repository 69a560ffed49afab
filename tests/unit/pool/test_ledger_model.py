"""The ledger beside a model that asks every connection: no lease is lost or counted twice, and nobody sleeps on."""

from __future__ import annotations

import random
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers.embedded import Embedded
from trunkline import ServerPolicy
from trunkline.pool.connection import Connection
from trunkline.pool.ledger import Ledger
from trunkline.transport.authorization.authorizing import Authorization
from trunkline.transport.era import PinnedEra
from trunkline.transport.opening import SessionSettings

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "ready", "break", "retire", "remove", "lend", "return", "wait", "give up", "close"]),
        st.integers(0, 9),
    ),
    max_size=60,
)
NEXT = {"opening": "ready", "ready": "broken", "draining": "closed", "broken": "closed"}


def connection(ledger: Ledger) -> Connection:
    endpoint, rng = Embedded().endpoint, random.Random(1)
    settings_ = SessionSettings(endpoint, "auto", PinnedEra(), rng, 1.0, 1.0, Authorization(endpoint, rng))
    return Connection(
        settings_,
        ServerPolicy(),
        on_ready=lambda _self: None,
        on_change=ledger.tell,
        on_listing=lambda _tools: None,
        on_changed=lambda _listing, _uri: None,
        rng=random.Random(1),
    )


async def play(steps: list[tuple[str, int]]) -> None:  # noqa: C901 - one branch for each thing that can happen
    ledger, lent, waiting = Ledger(), list[Connection](), 0
    for action, pick in steps:
        known = ledger.connections
        one: Any = known[pick % len(known)] if known else None
        changed = ledger.changed
        if action == "open":
            known.append(connection(ledger))
        elif action == "ready" and one is not None and one.state == "opening":
            one._move("ready")
            assert changed.is_set(), "whoever waits must look again"
        elif action == "break" and one is not None and one.state == "ready":
            one._lose("lost")
            assert changed.is_set()
            assert one.in_flight_at_end == one.in_flight
        elif action == "retire" and one is not None and one.state == "ready":
            one.retire("not wanted any more")
            assert one.in_flight_at_end == one.in_flight
        elif action == "remove" and one is not None and one.state not in ("opening", "ready"):
            known.remove(one)
        elif action == "lend" and (best := ledger.best()) is not None:
            assert best.in_flight == min(other.in_flight for other in known if other.state == "ready")
            ledger.lend(best)
            lent.append(best)
        elif action == "return" and lent:
            ledger.take_back(lent.pop(pick % len(lent)))
        elif action == "wait":
            ledger.waiting, waiting = ledger.waiting + 1, waiting + 1
        elif action == "give up" and waiting:
            ledger.waiting, waiting = ledger.waiting - 1, waiting - 1
        elif action == "close" and pick == 0:
            ledger.close("closed")
            assert ledger.is_closing
            assert changed.is_set()
            assert ledger.demand.is_set()
            assert not any(other.state == "ready" for other in known)
        ready = [other for other in known if other.state == "ready"]
        assert ledger.ready == len(ready)
        assert (ledger.best() is None) is (not ready)
        told = ledger.statistics(0)
        assert told.in_flight == sum(leased in known for leased in lent)
        assert told.waiting == waiting
        assert told.opening == sum(other.state == "opening" for other in known)
        assert all(other.in_flight == lent.count(other) for other in known)


@pytest.mark.parametrize("backend", ["asyncio"])
@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_the_ledger_counts_each_lease_and_each_connection_once_whatever_happens(
    backend: str, steps: list[tuple[str, int]]
) -> None:
    anyio.run(play, steps, backend=backend)

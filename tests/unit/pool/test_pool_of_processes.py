"""What a pool does differently where a connection is a process. Time is virtual, and runs twenty times as fast."""

from __future__ import annotations

import random
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from tests.servers.embedded import a_call
from tests.servers.watching import Record
from trunkline import PoolPolicy, ServerPolicy, ServerUnavailable, StdioEndpoint
from trunkline.events import ConnectFailed
from trunkline.pool.pool import Pool

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-1")]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """A clock that jumps would not wait for the thread that starts a process."""
    return "trio", {"clock": MockClock(rate=20.0)}


async def test_callers_that_wait_have_a_process_started_once_a_second_at_most() -> None:
    record = Record()
    policy = ServerPolicy(pool=PoolPolicy(base=60.0, cap=60.0, patience=8.0))
    # A folder that is none: starting fails at once, and may succeed another time.
    endpoint = StdioEndpoint("true", cwd="/dev/null")
    pool = Pool("s", endpoint, policy, emit=record, on_listing=lambda _tools: None, rng=random.Random(5))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run)
        with pytest.raises(ServerUnavailable, match="cannot be reached"):
            await pool.send(a_call())
        pool.close()

    assert len(record.of(ConnectFailed)) <= 10

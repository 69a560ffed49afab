"""A real process that dies between doing its work and saying so, and what it really did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline import ConnectionLost, EnhancedMCPClient, StdioEndpoint
from trunkline.testing import executions, faults


@pytest.mark.anyio
async def test_an_order_whose_server_dies_is_placed_once_and_reported_as_uncertain(
    trunkline_faulty_stdio: Callable[..., StdioEndpoint], tmp_path: Path
) -> None:
    async with EnhancedMCPClient({"shop": trunkline_faulty_stdio()}) as client:
        with pytest.raises(ConnectionLost) as lost:
            await client.call_tool("shop_fault", faults.crash_after("order-7"))
    assert lost.value.may_have_run
    assert executions(tmp_path / "journal")["order-7"] == 1

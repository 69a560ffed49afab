"""What the metrics say of each server: where it is, and what is under way there."""

from __future__ import annotations

import anyio
import pytest

from tests.servers.watching import eventually
from trunkline import HttpEndpoint, Infrastructure, ServerSettings
from trunkline.fleet_readings import fleet_readings
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.readings import Reading
from trunkline.testing import faulty_stdio

pytestmark = pytest.mark.anyio

ADDRESS = "http://user:secret@[::1]:9/mcp?key=secret"


def readings(infra: Infrastructure) -> dict[str, Reading]:
    return {reading.name: reading for reading in fleet_readings(infra.mcp_client.fleet)}


async def test_attempts_under_way_and_waiting_are_shown_while_they_are() -> None:
    endpoint = faulty_stdio()
    lab = {"command": endpoint.command, "args": list(endpoint.args)}
    limits = {"servers": {"lab": {"bulkhead": {"limit": 1, "adaptive": False}}}}
    async with Infrastructure.from_config({"mcpServers": {"lab": lab}, "trunkline": limits}) as infra:
        await infra.mcp_client.list_tools()

        def now() -> tuple[float, float]:
            found = readings(infra)
            inflight, waiting = found["trunkline_attempts_inflight"], found["trunkline_attempts_waiting"]
            return inflight.samples["lab", ""], waiting.samples["lab", ""]

        assert now() == (0, 0)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(infra.mcp_client.call_tool, "lab_sleep", {"seconds": 60})
            await eventually(lambda: now() == (1, 2))
            text = PrometheusExporter(infra.metrics).render()
            tasks.cancel_scope.cancel()
        assert 'trunkline_attempts_inflight{mcp_server="lab"} 1\n' in text
        assert 'trunkline_attempts_waiting{mcp_server="lab"} 2\n' in text
        labels = 'mcp_server="lab",network_transport="pipe",mcp_protocol_version="2026-07-28"'
        assert f"trunkline_server_info{{{labels}}} 1\n" in text
        await eventually(lambda: now() == (0, 0))


async def test_a_server_is_told_by_host_and_port_and_by_nothing_secret() -> None:
    async with Infrastructure.from_config({"mcpServers": {}}) as infra:
        infra.mcp_client.fleet.add(ServerSettings("far", HttpEndpoint(ADDRESS)))
        info = readings(infra)["trunkline_server_info"]
        assert list(info.samples) == [("far", "", "::1", "9", "tcp", "")]
        assert "secret" not in PrometheusExporter(infra.metrics).render()

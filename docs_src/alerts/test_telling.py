"""A domain fails too often: the application hears of it, and again when it is over."""

from __future__ import annotations

import anyio
import pytest

from trunkline import Alert, Infrastructure

pytestmark = pytest.mark.anyio

CONFIG = {
    "mcpServers": {},
    "trunkline": {
        "alerts": {
            "interval": 0.05,
            "rules": {
                # So short for the example's sake.
                "DomainErrors": {"long": 0.6, "short": 0, "min_events": 5, "for": 0, "keep_firing_for": 0}
            },
        }
    },
}


async def test_the_application_hears_that_it_fires_and_that_it_is_over() -> None:
    heard: list[tuple[str, str]] = []
    async with Infrastructure.from_config(CONFIG) as infra:

        async def tell(alert: Alert) -> None:
            heard.append((alert.state, alert.summary))

        infra.alerts.subscribe(tell)
        with anyio.fail_after(20):
            while not heard:
                infra.metrics.record("speech", "transcribe", duration=0.2, outcome="error")
                await anyio.sleep(0.01)
            while len(heard) < 2:
                infra.metrics.record("speech", "transcribe", duration=0.2)
                await anyio.sleep(0.01)
        (incident,) = infra.alerts.history()
    assert heard[0] == ("firing", "Domain speech: 100 % of requests fail (limit 5 %).")
    assert heard[1][0] == "inactive"
    assert incident.fired is not None

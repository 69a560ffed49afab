"""What every test stands on: one event loop, and property tests that do not judge by the machine's speed."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

from tests.resilience.drill import Drill

# A shared core can stall an example for longer than any sensible deadline; pytest-timeout bounds the test.
settings.register_profile("trunkline", deadline=None, print_blob=True)
settings.load_profile("trunkline")

# A shell that starts the tests in the background lets them ignore Ctrl-C, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Collect what the fire drill reports, in the process that prints: a worker of pytest-xdist prints nothing."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Drill(), "drill")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio; a test that needs virtual time overrides this with trio and its clock."""
    return "asyncio"

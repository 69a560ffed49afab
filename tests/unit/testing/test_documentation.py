"""docs/testing.md: its tables name every fault there is, and everything the proxy can do."""

from __future__ import annotations

import re

import pytest

from tests.unit.documentation.guide import Guide
from trunkline.testing import faults
from trunkline.testing.proxy import FaultProxy

TEXT = Guide("testing").text


@pytest.mark.parametrize("name", [name for name in faults.__all__ if name != "Fault"])
def test_every_fault_is_in_the_guide(name: str) -> None:
    assert re.search(rf"`{name}`", TEXT)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in vars(FaultProxy("", 0))
        if not name.startswith("_") and name not in ("port", "accepted", "forwarded")
    ],
)
def test_everything_the_proxy_can_do_is_in_the_guide(name: str) -> None:
    assert name in TEXT

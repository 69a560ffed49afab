"""Whatever is asked of the cache over HTTP is understood or refused with a reason; nothing else comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gateway.laboratory import infrastructure
from trunkline.gateway.cache_requests import Invalidation, RefusedRequest, read_invalidation
from trunkline.policy import CachePolicy, ToolPolicy
from trunkline.registry.wording import printable

KEYS = st.sampled_from(["tool", "arguments", "server", "tag", "principal", "tools", ""]) | st.text(max_size=6)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
WORDS = st.sampled_from(["lab", "lab_echo", "said"])
VALUES = WORDS | st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2)
)
BODIES = VALUES | st.dictionaries(KEYS, VALUES, max_size=4)


@pytest.fixture(scope="module", name="infra")
def _infra() -> Any:
    return infrastructure("lab", tools={"lab_echo": ToolPolicy(cache=CachePolicy(tags=("said",)))})


@given(body=BODIES)
def test_any_body_is_understood_or_refused_with_a_reason(infra: Any, body: Any) -> None:
    try:
        asked = read_invalidation(body, infra)
    except RefusedRequest as refused:
        assert refused.status in (404, 422)
        assert printable(str(refused)) == str(refused)
        return
    assert asked != Invalidation()
    assert asked.arguments is None or asked.tool is not None
    assert (asked.server or "lab", asked.tag or "said") == ("lab", "said")
    # A name is never replaced by another one, nor left out.
    assert body.keys() == {
        key for key in ("tool", "arguments", "server", "tag", "principal") if getattr(asked, key) is not None
    }

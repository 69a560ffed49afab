"""What a server tells of changes is understood alike in both eras."""

from __future__ import annotations

import mcp_types as types
import pytest

from trunkline.transport.changes import announced, read_change
from trunkline.transport.listing import hints_of


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (types.ToolListChangedNotification(), ("tools", None)),
        (types.PromptListChangedNotification(), ("prompts", None)),
        (types.ResourceListChangedNotification(), ("resources", None)),
        (
            types.ResourceUpdatedNotification(params=types.ResourceUpdatedNotificationParams(uri="book://1")),
            ("resources", "book://1"),
        ),
        (types.ProgressNotification(params=types.ProgressNotificationParams(progress_token=1, progress=1)), None),
        (ValueError("no message at all"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_change_is_read(message: object, change: tuple[str, str | None] | None) -> None:
    assert read_change(message) == change


def test_only_listings_whose_changes_are_announced_are_waited_for() -> None:
    can = types.ServerCapabilities.model_validate(
        {"tools": {"listChanged": True}, "prompts": {"listChanged": False}, "resources": {"listChanged": True}}
    )
    assert announced(can) == ("tools", "resources")
    assert announced(types.ServerCapabilities()) == ()
    assert announced(types.ServerCapabilities.model_validate({"prompts": {"listChanged": True}})) == ("prompts",)


def page(ttl_ms: int, scope: str) -> types.ListPromptsResult:
    return types.ListPromptsResult.model_validate({"prompts": [], "ttlMs": ttl_ms, "cacheScope": scope})


def test_of_several_pages_the_shortest_time_and_the_narrowest_scope_count() -> None:
    assert hints_of([page(5, "public"), page(3, "public")]) == {"ttl_ms": 3, "cache_scope": "public"}
    assert hints_of([page(5, "public"), page(9, "private")]) == {"ttl_ms": 5, "cache_scope": "private"}
    assert hints_of([page(5, "public"), types.ListPromptsResult(prompts=[])]) == {"ttl_ms": 0, "cache_scope": "private"}

"""Two settings compared: who comes, who goes, who changes."""

from __future__ import annotations

from typing import Any

from trunkline.config import load
from trunkline.config.difference import Difference, difference

OLD: dict[str, Any] = {
    "mcpServers": {"a": {"command": "a"}, "b": {"command": "b"}, "c": {"url": "http://c/mcp"}, "d": {"command": "d"}},
    "trunkline": {"tools": {"a_x": {"idempotent": True}}, "domains": {"speech": {"p95": 1}}},
}


def test_the_same_settings_do_not_differ_whatever_their_source_and_notices() -> None:
    other = OLD | {"trunkline": OLD["trunkline"] | {"gateway": {}}}
    found = difference(load(OLD), load(other))
    assert found == Difference()


def test_added_removed_and_changed_servers_are_told_apart_in_the_order_of_the_settings() -> None:
    new = {
        "mcpServers": {
            "z": {"command": "z"},
            "c": {"url": "http://c2/mcp"},
            "b": {"command": "b"},
            "e": {"command": "e"},
        },
        "trunkline": {"servers": {"b": {"timeout": 1}, "c": {"retry": {"attempts": 1}}, "z": {"timeout": 1}}},
    }
    found = difference(load(OLD), load(new))
    assert found == Difference(
        added=("z", "e"),
        removed=("a", "d"),
        changed_endpoint=("c",),
        changed_policy=("c", "b"),
        tools_changed=True,
        domains_changed=True,
    )


def test_a_changed_default_changes_every_server_that_does_not_override_it() -> None:
    servers = {"servers": {"a": {"timeout": 9}}}
    old = load(OLD | {"trunkline": servers})
    new = load(OLD | {"trunkline": {**servers, "defaults": {"timeout": 8}}})
    assert difference(old, new) == Difference(changed_policy=("b", "c", "d"))


def test_what_of_the_cache_can_change_at_once_is_told_apart_from_what_takes_a_restart() -> None:
    new = {
        "max_bytes": 1000,
        "namespace": "other",
        "redis": {"url": "redis://:hunter2@cache.internal", "deadline": 0.1},
    }
    found = difference(load(OLD), load(OLD | {"trunkline": OLD["trunkline"] | {"cache": new}}))
    assert found == Difference(cache_resized=True, cache_rebuilt=("namespace", "redis.url", "redis.deadline"))
    assert "hunter2" not in repr(found)


def test_a_changed_cache_policy_of_a_tool_or_server_is_a_changed_policy() -> None:
    table = OLD["trunkline"] | {"servers": {"a": {"listings": {"min_ttl": 5}}}, "tools": {"a_x": {"cache": {"ttl": 5}}}}
    found = difference(load(OLD), load(OLD | {"trunkline": table}))
    assert found == Difference(changed_policy=("a",), tools_changed=True)


def test_of_the_gateways_limits_those_of_open_sessions_take_a_restart() -> None:
    table = OLD["trunkline"] | {"gateway": {"limits": {"sessions": 5, "session_idle": 60, "body": 1000}}}
    found = difference(load(OLD), load(OLD | {"trunkline": table}))
    assert found == Difference(sessions_changed=("sessions", "session_idle"))
    assert found.waiting == ("trunkline.gateway.limits.sessions", "trunkline.gateway.limits.session_idle")

"""Tables to policies: the dataclasses are the schema, and every misfit is told where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import date
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from trunkline.config import load
from trunkline.config.policies import overlay
from trunkline.config.report import Report
from trunkline.errors import ConfigError
from trunkline.policy import CacheSettings, DomainPolicy, RedisPolicy, RetryPolicy, ServerPolicy, ToolPolicy

CACHE = CacheSettings(redis=RedisPolicy(url="redis://x", mode="sentinel", sentinel_service="x"))
SERVERS = {"search": {"url": "https://search.internal/mcp"}, "stt": {"command": "stt-server"}}


def problems_of(trunkline: Mapping[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load({"mcpServers": SERVERS, "trunkline": trunkline}, environ={})
    return [problem.removeprefix("configuration: trunkline.") for problem in caught.value.problems]


def test_without_a_table_every_server_has_the_built_in_policy() -> None:
    settings = load({"mcpServers": SERVERS})
    assert {server.policy for server in settings.servers.values()} == {ServerPolicy()}


def test_nested_tables_merge_key_by_key_over_the_defaults() -> None:
    settings = load(
        {
            "mcpServers": SERVERS,
            "trunkline": {
                "defaults": {"timeout": 20, "retry": {"attempts": 5, "cap": 2}},
                "servers": {"search": {"attempt_timeout": 3, "retry": {"cap": 1.5}}},
            },
        }
    )
    assert settings.servers["stt"].policy == ServerPolicy(timeout=20.0, retry=RetryPolicy(attempts=5, cap=2.0))
    assert settings.servers["search"].policy == ServerPolicy(
        timeout=20.0, attempt_timeout=3.0, retry=RetryPolicy(attempts=5, cap=1.5)
    )


def test_a_whole_number_given_for_a_float_becomes_one() -> None:
    settings = load({"mcpServers": SERVERS, "trunkline": {"defaults": {"timeout": 20}}})
    assert type(settings.servers["stt"].policy.timeout) is float


def test_null_takes_back_what_the_defaults_said() -> None:
    table = {"defaults": {"prefix": "x"}, "servers": {"stt": {"prefix": None}}}
    settings = load({"mcpServers": SERVERS, "trunkline": table})
    assert [server.policy.prefix for server in settings.servers.values()] == ["x", None]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"timeout": "3"}, 'timeout: found "3" (a string), expected a number'),
        ({"timeout": True}, "timeout: found true (a boolean), expected a number"),
        ({"timeout": None}, "timeout: found null, expected a number"),
        ({"timeout": float("nan")}, "timeout: found nan (not a finite number), expected a number"),
        ({"timeout": float("inf")}, "timeout: found inf (not a finite number), expected a number"),
        ({"timeout": 10**400}, "timeout: found a whole number beyond 64 bits, expected a number"),
        ({"timeout": 0}, "timeout: found 0 (a whole number), expected a number greater than 0"),
        ({"era": "2024"}, 'era: found "2024" (a string), expected "auto" or "2025-11-25" or "2026-07-28"'),
        ({"prefix": 3}, "prefix: found 3 (a whole number), expected a string"),
        ({"trust_annotations": 1}, "trust_annotations: found 1 (a whole number), expected true or false"),
        ({"retry": 3}, "retry: found 3 (a whole number), expected a table"),
        ({"retry": [3]}, "retry: found an array, expected a table"),
        ({"retry": {"attempts": "3"}}, 'retry.attempts: found "3" (a string), expected a whole number'),
        ({"retry": {"attempts": 3.0}}, "retry.attempts: found 3.0 (a number), expected a whole number"),
        ({"retry": {"attempts": 0}}, "retry.attempts: found 0 (a whole number), expected 1 or more"),
        ({"retry": {"atempts": 1}}, 'retry.atempts: unknown key; did you mean "attempts"?'),
        ({"attempt-timeout": 1}, 'attempt-timeout: unknown key; did you mean "attempt_timeout"?'),
        ({"prefix": {}}, "prefix: found a table, expected a string"),
        ({"prefix": date(2026, 1, 1)}, "prefix: found a date or time, expected a string"),
        ({"prefix": b""}, "prefix: found an object of type bytes, expected a string"),
    ],
)
def test_what_does_not_fit_is_told_with_what_was_found_and_expected(table: dict[str, Any], problem: str) -> None:
    assert problems_of({"defaults": table}) == [f"defaults.{problem}"]
    assert problems_of({"servers": {"stt": table}}) == [f"servers.stt.{problem}"]


def test_an_unknown_key_without_a_near_one_is_answered_with_all_known_keys() -> None:
    assert problems_of({"tools": {"search_web": {"quux": 1}}}) == [
        "tools.search_web.quux: unknown key; known keys: idempotent, timeout, attempt_timeout, fallback, cache"
    ]


def test_every_refusal_of_one_policy_is_told_not_only_its_first() -> None:
    assert problems_of({"defaults": {"retry": {"attempts": 0, "base": -1, "cap": 0.0, "budget": 5}}}) == [
        "defaults.retry.attempts: found 0 (a whole number), expected 1 or more",
        "defaults.retry.base: found -1 (a whole number), expected a number greater than 0",
        "defaults.retry.cap: found 0.0 (a number), expected a number greater than 0",
    ]


def test_a_mistake_in_the_defaults_is_told_once_however_many_servers_there_are() -> None:
    assert len(problems_of({"defaults": {"timeout": -1}, "servers": {"stt": {}, "search": {}}})) == 1


def test_a_policy_for_no_server_names_the_nearest_or_all_of_them() -> None:
    assert problems_of({"servers": {"serch": {}, "unlike": {}}}) == [
        'servers.serch: no server of that name under mcpServers; did you mean "search"?',
        "servers.unlike: no server of that name under mcpServers; servers: search, stt",
    ]


def test_tools_and_domains_have_policies_by_name() -> None:
    settings = load(
        {
            "mcpServers": SERVERS,
            "trunkline": {
                "tools": {"search_web": {"idempotent": True, "timeout": 4}},
                "domains": {"speech": {"p95": 1, "error_ratio": 0.05}},
            },
        }
    )
    assert settings.tools == {"search_web": ToolPolicy(idempotent=True, timeout=4.0)}
    assert settings.domains == {"speech": DomainPolicy(p95=1.0, error_ratio=0.05)}


def test_an_empty_name_is_a_problem() -> None:
    assert problems_of({"domains": {"": {}}}) == ['domains."": a name is empty, expected at least one character']


@pytest.mark.parametrize("section", ["defaults", "servers", "tools", "domains"])
def test_a_section_that_is_no_table_is_a_problem(section: str) -> None:
    (problem,) = problems_of({section: 3})
    assert problem.startswith(f"{section}: found 3 (a whole number), expected a table")


def test_a_refusal_over_several_fields_is_told_at_their_table() -> None:
    report = Report("here", {"base": {"low": 9}}, {})
    kept = overlay(Bounds(), {"low": 9}, ("base",), report)
    assert kept == Bounds()
    with pytest.raises(ConfigError, match="here: base: high does not fit the rest, expected no less than low"):
        report.raise_problems()


@pytest.mark.parametrize(
    "policy", [ServerPolicy(), ToolPolicy(), DomainPolicy(), CACHE], ids=lambda policy: type(policy).__name__
)
def test_every_field_of_every_policy_can_be_given_in_a_configuration(policy: Any) -> None:
    report = Report("here", {}, {})
    table = spelt_out(policy)
    assert as_written(asdict(overlay(policy, table, (), report))) == table
    report.raise_problems()


def test_a_field_no_configuration_can_express_is_refused_aloud() -> None:
    with pytest.raises(TypeError, match="which no configuration can express"):
        overlay(Inexpressible(), {"anything": 1}, (), Report("here", {}, {}))


def spelt_out(policy: Any) -> dict[str, Any]:
    """A table with every field of a policy, and a value of its type where the default is None."""
    hints = get_type_hints(type(policy))
    table: dict[str, Any] = {}
    for field in fields(policy):
        value = getattr(policy, field.name)
        if value is None:
            kind = get_args(hints[field.name])[0]
            simple = {float: 0.5, int: 1, str: "x", bool: True, tuple[str, ...]: ("x",)}
            value = {"nested": 1} if get_origin(kind) is Mapping else simple[kind]
        table[field.name] = spelt_out(value) if is_dataclass(value) else as_written(value)
    return table


def as_written(value: Any) -> Any:
    """A policy's value as a file would have it."""
    if isinstance(value, dict):
        return {name: as_written(part) for name, part in value.items()}
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Bounds:
    low: int = 0
    high: int = 5

    def __post_init__(self) -> None:
        if self.high < self.low:
            message = f"high = {self.high!r}: expected no less than low"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Inexpressible:
    anything: object = None

"""The table `trunkline.logging`: what is read of it, and what is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.config import load
from trunkline.config.difference import difference
from trunkline.errors import ConfigError
from trunkline.policy import LoggingPolicy, RepeatsPolicy


def logging_of(table: Any) -> LoggingPolicy:
    return load({"mcpServers": {"s": {"command": "run"}}, "trunkline": {"logging": table}}).logging


def test_a_whole_table_is_read() -> None:
    policy = logging_of(
        {
            "level": "WARNING",
            "format": "json",
            "levels": {"trunkline.call": "debug", "app": 15},
            "repeats": {"burst": 3, "interval": 60},
        }
    )
    assert policy == LoggingPolicy(
        "WARNING", "json", {"trunkline.call": "debug", "app": 15}, RepeatsPolicy(burst=3, interval=60.0)
    )
    assert logging_of({}) == LoggingPolicy()


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"level": "loud"}, 'trunkline.logging.level: found "loud" (a string), expected "debug", "info"'),
        ({"level": True}, "trunkline.logging.level: found true (a boolean), expected a string or a whole number"),
        ({"format": "xml"}, 'trunkline.logging.format: found "xml" (a string), expected "console" or "json" or "auto"'),
        ({"levels": {"mcp": "x"}}, 'trunkline.logging.levels.mcp: found "x" (a string), expected "debug", "info"'),
        ({"levels": 1}, "trunkline.logging.levels: found 1 (a whole number), expected a table"),
        ({"repeats": {"burst": 0}}, "trunkline.logging.repeats.burst: found 0 (a whole number), expected a number"),
        ({"lvel": "info"}, 'trunkline.logging.lvel: unknown key; did you mean "level"?'),
        ([], "trunkline.logging: found an array, expected a table"),
    ],
    ids=str,
)
def test_a_mistake_is_told_with_its_place_and_what_would_do(table: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        logging_of(table)
    (told,) = caught.value.problems
    assert problem in told


def test_another_level_is_a_difference() -> None:
    servers = {"mcpServers": {"s": {"command": "run"}}}
    changed = difference(load(servers), load({**servers, "trunkline": {"logging": {"level": "debug"}}}))
    assert changed.logging_changed

"""docs/logging.md: its table of events is complete, its configuration loads."""

from __future__ import annotations

import re
import tomllib

from tests.unit.documentation.guide import ROOT, Guide
from trunkline.config import load
from trunkline.monitoring import logging as ours
from trunkline.monitoring.process_log import _TALKATIVE
from trunkline.policy import LoggingPolicy

GUIDE = Guide("logging")
ROWS = re.findall(r"^\| `trunkline\.([\w.]+)` \| `(\w+)` \| ([^|]+) \| [^|]+ \|$", GUIDE.text, re.MULTILINE)
CONSTANT = {id(ours._DEBUG): "DEBUG", id(ours._INFO): "INFO", id(ours._WARNING): "WARNING"}


def test_the_guide_lists_every_event_that_is_logged_with_its_logger_and_level() -> None:
    told = {event: (logger, level) for logger, event, level in ROWS}
    assert len(told) == len(ROWS)
    for logger, event, level in ours._RECORDS.values():
        known = CONSTANT.get(id(level))
        assert told[event][0] == logger
        assert known is None or told[event][1] == known


def test_the_guide_lists_nothing_else_but_what_is_logged_directly() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "src" / "trunkline").rglob("*.py"))
    direct = set(re.findall(r'(?:\.(?:exception|error|warning|info)\(|_notice\()\s*"([a-z]+(?:_[a-z]+)+)"', sources))
    folded = {event for _, event, _ in ours._RECORDS.values()}
    assert {event for _, event, _ in ROWS} == folded | direct


def test_the_configuration_in_the_guide_loads_as_it_says() -> None:
    (block,) = GUIDE.blocks("toml")
    policy = load(tomllib.loads(block)).logging
    assert policy == LoggingPolicy("info", "auto", {"trunkline.call": "debug", "httpx2": "info"})


def test_the_guide_names_the_loggers_that_stay_quiet() -> None:
    assert all(f"`{name}`" in GUIDE.text for name in _TALKATIVE)

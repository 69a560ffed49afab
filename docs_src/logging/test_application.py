"""A program that has no log yet: JSON lines that say which call they are about, and no credential."""

from __future__ import annotations

import io
import json
import logging

from trunkline import MetricsCollector, configure_logging
from trunkline.config import load
from trunkline.policy import RepeatsPolicy


def test_records_say_what_they_are_about_and_no_credential() -> None:
    sys_stderr = io.StringIO()
    metrics = MetricsCollector()
    server = {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}}
    settings = load({"mcpServers": {"search": server}}, environ={"TOKEN": "not-for-the-log"})

    stop_logging = configure_logging("json", "INFO", sys_stderr, secrets=settings.secrets)
    with metrics.track("research", "question"):
        logging.getLogger("app").info("looking it up with %s", "not-for-the-log")
    stop_logging()

    (line,) = map(json.loads, sys_stderr.getvalue().splitlines())
    assert line["event"] == "looking it up with [redacted]"
    assert line["trunkline_domain"] == "research"


def test_records_alike_are_written_ten_times_and_then_counted() -> None:
    sys_stderr = io.StringIO()
    stop_logging = configure_logging("json", stream=sys_stderr, repeats=RepeatsPolicy(burst=10, interval=10))
    for _ in range(1000):
        logging.getLogger("app").warning("the disk is nearly full")
    stop_logging()

    *written, told = map(json.loads, sys_stderr.getvalue().splitlines())
    assert len(written) == 10
    assert (told["event"], told["trunkline_suppressed"]) == ("log_repeats_suppressed", 990)

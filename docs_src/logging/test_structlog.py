"""An application that logs by structlog, and wants each line to say which call it is about."""

from __future__ import annotations

import json

import structlog

from trunkline.call import CURRENT_CALL, Call
from trunkline.monitoring import Redaction, add_call
from trunkline.secrets import Secrets


def test_two_processors_bind_the_call_and_take_credentials_out() -> None:
    lines: list[str] = []

    class Printer:
        def info(self, line: str) -> None:
            lines.append(line)

    secrets = Secrets(["not-for-the-log"])  # infra.settings.secrets
    log = structlog.wrap_logger(
        Printer(),
        processors=[
            add_call,
            Redaction(secrets),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.BoundLogger,
    )

    CURRENT_CALL.set(Call("8f3a", "tools/call", "search_web", {}, "research", 0.0, 1.0, server="search"))
    log.info("found", pages=3, note="by not-for-the-log")
    CURRENT_CALL.set(None)

    line = json.loads(lines[0])
    assert (line["trunkline_tool"], line["pages"], line["note"]) == ("search_web", 3, "by [redacted]")

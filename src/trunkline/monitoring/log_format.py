"""The form of a log record: without credentials, as JSON or for people."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from trunkline.monitoring.log_context import PREFIX, Redaction

__all__ = ["ConsoleFormatter", "JsonFormatter", "RedactionFilter"]

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _extras(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in vars(record).items() if name not in _STANDARD)


class RedactionFilter(logging.Filter):
    """Takes credentials out of a record's message, extras, traceback and stack. Changes the record it is given."""

    def __init__(self, redaction: Redaction | None = None) -> None:
        super().__init__()
        self.redaction = redaction or Redaction()

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact `record`; always lets it pass."""
        record.msg = self.redaction.text(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            # Or a formatter after us would write it out as it is.
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.redaction.text(record.exc_text)
        if record.stack_info:
            record.stack_info = self.redaction.text(record.stack_info)
        about = vars(record)
        for name, value in list(_extras(record)):
            told = self.redaction.field(name, value)
            if not name.startswith(PREFIX):
                # Of ours the names are constant; somebody else's may be anything.
                del about[name]
                name = self.redaction.text(name)  # noqa: PLW2901 - the same field under the name that may be told
            about[name] = told
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (ISO 8601, UTC), `level`, `logger`, `event`, the extras, and any `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        for name, value in _extras(record):
            line[name if name not in line else f"extra_{name}"] = value
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=str)


class ConsoleFormatter(logging.Formatter):
    """One line for people: time, level, logger, event, and the extras as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`, with a traceback below it if there is one."""
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extras = "".join(f" {name.removeprefix(PREFIX)}={self._value(value)}" for name, value in _extras(record))
        # A line break would let whoever wrote the message forge lines, an escape sequence the terminal.
        event = _escaped(record.getMessage())
        line = f"{when}.{int(record.msecs):03d} {record.levelname:<8} {record.name:<20} {event}{extras}"
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        below = (part.splitlines() for part in (record.exc_text, record.stack_info) if part)
        return "\n".join([line, *(_escaped(told) for lines in below for told in lines)])

    def _value(self, value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.6g}"
        text = str(value)
        return text if text and text.isprintable() and " " not in text else json.dumps(text)


def _escaped(line: str) -> str:
    return line if line.isprintable() else json.dumps(line)[1:-1]

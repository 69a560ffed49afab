"""The way of a log record in an application: redacted, put into a queue, written by a thread as JSON or for people.

Used by `configure_logging` only; a library must not take records anywhere.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from typing import Any, Final, TextIO

from trunkline.monitoring.redaction import REDACTED, is_secret_name, redact, redact_value

__all__ = ["ConsoleFormatter", "JsonFormatter", "Output", "QueuedOutput", "RedactionFilter"]

_GRACE: Final = 5.0
"""Seconds the thread may take to write what is left."""

_PREFIX: Final = "trunkline_"
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _extras(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in vars(record).items() if name not in _STANDARD)


class RedactionFilter(logging.Filter):
    """Takes credentials out of a record's message, extras and traceback. Changes the record it is given."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact `record`; always lets it pass."""
        record.msg = redact(record.getMessage())
        record.args = None
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for name, value in list(_extras(record)):
            setattr(record, name, REDACTED if is_secret_name(name) else redact_value(value))
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
        extras = "".join(f" {name.removeprefix(_PREFIX)}={self._value(value)}" for name, value in _extras(record))
        event = record.getMessage()
        if not event.isprintable():
            # A line break would let whoever wrote the message forge lines, an escape sequence the terminal.
            event = json.dumps(event)[1:-1]
        line = f"{when}.{int(record.msecs):03d} {record.levelname:<8} {record.name:<20} {event}{extras}"
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        return "\n".join(part for part in (line, record.exc_text, record.stack_info) if part)

    def _value(self, value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.6g}"
        text = str(value)
        return text if text and text.isprintable() and " " not in text else json.dumps(text)


class Output(logging.StreamHandler[TextIO]):
    """Writes records; what cannot be written (a full disk, a closed pipe) is counted, and told once there is room."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.lost = 0
        """Records that could not be written since the log was last told."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, after one that says how many could not be written before it."""
        if self.lost:
            lost, self.lost = self.lost, 0
            super().emit(log_records_lost(lost))
            if self.lost:
                self.lost = lost  # still no room; the notice itself is none of those lost
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name the standard library calls
        """Count it: a traceback for each would go where there may be no room either."""
        self.lost += 1


class QueuedOutput(QueueHandler):
    """Hands records to a thread that writes them. Never waits: with the queue full, records are dropped and counted."""

    queue: Queue[Any]

    def __init__(self, sink: logging.Handler, *, level_before: int = logging.NOTSET, waiting: int = 10_000) -> None:
        """Start the thread that writes to `sink`.

        Args:
            sink: Does the writing, in that thread only.
            level_before: The root logger's level before this output was put there, to be restored after it.
            waiting: Records that may wait to be written.
        """
        super().__init__(Queue(waiting))
        self.level_before = level_before
        self.dropped = 0
        """Records dropped since the log was last told."""
        self._writer = _Writer(self.queue, sink)
        self._writer.start()

    def __repr__(self) -> str:
        return f"<QueuedOutput [{self.queue.qsize()} of {self.queue.maxsize} waiting, {self.dropped} dropped]>"

    def close(self) -> None:
        """Write what is waiting and end the thread, within seconds even if the sink hangs. Also done at exit."""
        self._writer.stop_within(_GRACE)
        super().close()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a copy whose message and traceback are text: what they refer to may change or die meanwhile."""
        ready = copy(record)
        ready.msg = record.getMessage()
        ready.args = None
        if record.exc_info and not ready.exc_text:
            ready.exc_text = (self.formatter or logging.Formatter()).formatException(record.exc_info)
        ready.exc_info = None
        return ready

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put `record` into the queue if there is room, after a record that says how many found none."""
        try:
            if self.dropped:
                self.queue.put_nowait(log_records_lost(self.dropped))
                self.dropped = 0
            self.queue.put_nowait(record)
        except Full:
            self.dropped += 1


def log_records_lost(count: int) -> logging.LogRecord:
    """What the log says of records it does not have."""
    fields = {"name": "trunkline.logging", "msg": "log_records_dropped", f"{_PREFIX}dropped": count}
    return logging.makeLogRecord({**fields, "levelno": logging.WARNING, "levelname": "WARNING"})


class _Writer(QueueListener):
    """Takes records off the queue and writes them; stopping it takes a bounded time."""

    queue: Queue[Any]

    def stop_within(self, seconds: float) -> None:
        # The thread is a daemon: one that hangs in its sink is left behind, and does not keep the process alive.
        thread, self._thread = self._thread, None
        if thread is not None:
            with suppress(Full):
                self.queue.put(None, timeout=seconds)
                thread.join(seconds)

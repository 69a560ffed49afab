"""The way of a log record in an application: bound to its call, put into a queue, redacted and written by a thread.

Used by `ProcessLog` only; a library must not take records anywhere.
"""

from __future__ import annotations

import logging
import time
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TextIO

from trunkline.monitoring.log_context import PREFIX, call_context
from trunkline.monitoring.log_repeats import Kind, Repeats
from trunkline.policy import RepeatsPolicy

__all__ = ["Output", "QueuedOutput"]

_GRACE: Final = 5.0
"""Seconds the thread may take to write what is left."""
_LOOK: Final = 1.0
"""Seconds between looks for repeats that have ended, while there are any."""
_LINGER: Final = 0.02
"""Seconds the thread rests once it has written all there is. Records that come meanwhile wake nobody: to wake it for
each was an eighth of what the gateway computes for a call."""
_AUDIT: Final = "trunkline.audit"
"""The logger whose records are all written, however alike: who used what."""
_TEMPLATE: Final = 200
"""Characters of a message by which it is told from others."""


def _notice(message: str, **fields: Any) -> logging.LogRecord:
    """What the log says of itself."""
    said = {"name": "trunkline.logging", "msg": message, "levelno": logging.WARNING, "levelname": "WARNING"}
    return logging.makeLogRecord({**said, **{f"{PREFIX}{name}": value for name, value in fields.items()}})


class Output(logging.StreamHandler[TextIO]):
    """Writes records; what cannot be written (a full disk, a closed pipe) is counted, and told once there is room."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.lost = 0
        """Records that could not be written since the log was last told."""
        self.total_lost = 0
        """Records that could not be written since the start."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, after one that says how many could not be written before it."""
        if self.lost:
            lost, self.lost = self.lost, 0
            super().emit(_notice("log_records_dropped", dropped=lost))
            if self.lost:
                # Still no room; the notice itself is none of those lost.
                self.lost, self.total_lost = lost, self.total_lost - 1
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name the standard library calls
        """Count it: a traceback for each would go where there may be no room either."""
        self.lost += 1
        self.total_lost += 1


class QueuedOutput(logging.Handler):
    """Hands records to a thread that writes them. Never waits: with the queue full, records are dropped and counted."""

    def __init__(
        self,
        sink: logging.Handler,
        *,
        waiting: int = 10_000,
        repeats: RepeatsPolicy | None = None,
    ) -> None:
        """Start the thread that writes to `sink`.

        Args:
            sink: Does the writing, in that thread only.
            waiting: Records that may wait to be written.
            repeats: How many records alike are written.
        """
        super().__init__()
        self.repeats = Repeats(repeats or RepeatsPolicy())
        self.dropped = 0
        """Records dropped since the log was last told."""
        self.total_dropped = 0
        """Records dropped since the start."""
        self.unreadable = 0
        """Records whose message or fields could not be made out."""
        self.written = 0
        """Records handed to the sink."""
        self._sink = sink
        self._waiting = waiting
        # Without a bound of its own, and a tenth of the price of one that has: `emit` looks for room.
        self._queue: SimpleQueue[logging.LogRecord | None] = SimpleQueue()
        # A daemon: one that hangs in its sink is left behind, and does not keep the process alive.
        self._thread = Thread(target=self._write, name="trunkline-log", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<QueuedOutput [{self._queue.qsize()} of {self._waiting} waiting, {self.total_dropped} dropped]>"

    def close(self) -> None:
        """Write what is waiting and end the thread, within seconds even if the sink hangs. Also done at exit."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(_GRACE)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the queue, if there is room and it is not one of too many alike."""
        before = 0
        if record.levelno > logging.DEBUG and record.name != _AUDIT:
            admitted = self.repeats.admit(_kind(record), time.monotonic())
            if admitted is None:
                return
            before = admitted
        try:
            ready = _ready(record)
        except Exception as error:  # boundary: a message that does not fit its arguments must not harm who logs
            self.unreadable += 1
            ready = _notice("log_record_unreadable", logger=record.name, error=type(error).__name__)
        if before:
            vars(ready)[f"{PREFIX}suppressed"] = before
        self._enqueue(ready)

    def _enqueue(self, record: logging.LogRecord) -> None:
        """Under the handler's lock, so that nobody takes the room in between."""
        if self.dropped and self._has_room:
            self._queue.put(_notice("log_records_dropped", dropped=self.dropped))
            self.dropped = 0
        if self._has_room:
            self._queue.put(record)
        else:
            self.dropped += 1
            self.total_dropped += 1

    @property
    def _has_room(self) -> bool:
        return self._queue.qsize() < self._waiting

    def _write(self) -> None:
        while True:
            try:
                record = self._queue.get(timeout=None if self.repeats.is_idle else _LOOK)
            except Empty:
                record = None
            else:
                if record is None:
                    self._tell_repeats(float("inf"))
                    return
                self._sink.handle(record)
                self.written += 1
                if self._queue.empty():
                    time.sleep(_LINGER)
            self._tell_repeats(time.monotonic())

    def _tell_repeats(self, now: float) -> None:
        if not self.repeats.is_idle:
            self.acquire()
            try:
                ended = self.repeats.ended(now)
            finally:
                self.release()
            for kind, count in ended:
                self._sink.handle(_told(kind, count))


def _kind(record: logging.LogRecord) -> Kind:
    about = vars(record)
    server, replica = about.get(f"{PREFIX}server"), about.get(f"{PREFIX}replica")
    return Kind(record.name, record.levelname, str(record.msg)[:_TEMPLATE], str(server or ""), str(replica or ""))


def _told(kind: Kind, count: int) -> logging.LogRecord:
    about = {name: text for name, text in kind._asdict().items() if text}
    return _notice("log_repeats_suppressed", suppressed=count, **about)


def _ready(record: logging.LogRecord) -> logging.LogRecord:
    """A copy whose message and traceback are text, bound to its call: what they refer to may change meanwhile."""
    # By hand: `copy` asks how a record would be pickled, which takes longer than all the rest.
    ready = type(record).__new__(type(record))
    about = vars(ready)
    about.update(vars(record))
    ready.msg = record.getMessage()
    ready.args = None
    if record.exc_info and not ready.exc_text:
        ready.exc_text = logging.Formatter().formatException(record.exc_info)
    ready.exc_info = None
    for name, value in call_context().items():
        about.setdefault(name, value)
    return ready

"""The log of a process that is ours: every logger's records, from the root to one stream. Never used by the library."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Final, TextIO

from trunkline.monitoring.log_context import Redaction
from trunkline.monitoring.log_format import ConsoleFormatter, JsonFormatter, RedactionFilter
from trunkline.monitoring.log_output import Output, QueuedOutput
from trunkline.monitoring.readings import Reading, counted_by
from trunkline.policy import LogFormat, LoggingPolicy, RepeatsPolicy
from trunkline.secrets import Secrets

__all__ = ["ProcessLog", "configure_logging"]

_TALKATIVE: Final = ("mcp", "httpx2", "httpcore2", "sse_starlette", "urllib3", "uvicorn")
"""Loggers of what Trunkline stands on: below WARNING they tell every request, with its arguments and its answer."""


class ProcessLog:
    """A configured log. Call it to write what is left and have the root logger as it was before; again is harmless.

    Records are redacted and written by a thread, so that a slow stream holds nobody.
    """

    def __init__(
        self,
        policy: LoggingPolicy,
        *,
        stream: TextIO | None = None,
        secrets: Secrets | None = None,
        waiting: int = 10_000,
    ) -> None:
        """Take the root logger's records; an earlier log of this kind is ended, and its place taken.

        Args:
            policy: What is logged, and in which form.
            stream: Where to write; standard error when None, since standard output may carry the protocol.
            secrets: What must not be written, besides what looks like a credential.
            waiting: Records that may wait to be written; more are dropped and counted.
        """
        self._stream = stream if stream is not None else sys.stderr
        self._before: dict[str, int] = {}
        self._known = (Secrets(), secrets or Secrets())
        self._redaction = Redaction(self._known[-1])
        self._sink = Output(self._stream)
        self._sink.addFilter(RedactionFilter(self._redaction))
        root = logging.getLogger()
        for earlier in [handler for handler in root.handlers if isinstance(handler, _ProcessOutput)]:
            earlier.log()
        self._output = _ProcessOutput(self._sink, self, waiting=waiting, repeats=policy.repeats)
        self.apply(policy)
        root.addHandler(self._output)

    def __repr__(self) -> str:
        return f"<ProcessLog {self.policy.format} {self._output!r}>"

    def __call__(self) -> None:
        """Write what is left, within seconds even if the stream hangs, and undo everything."""
        root = logging.getLogger()
        if self._output in root.handlers:
            root.removeHandler(self._output)
            self._set_levels({})
            self._output.close()

    @property
    def is_json(self) -> bool:
        """Whether records are written as JSON."""
        is_terminal = self.policy.format == "auto" and self._stream.isatty()
        return self.policy.format != "console" and not is_terminal

    def apply(self, policy: LoggingPolicy, secrets: Secrets | None = None) -> None:
        """Put another policy in force; with `secrets`, these must not be written either."""
        self.policy = policy
        """What is in force."""
        if secrets is not None:
            # What was a secret before may still be on its way.
            self._known = (self._known[-1], secrets)
            self._redaction.secrets = Secrets.union(self._known)
        self._sink.setFormatter(JsonFormatter() if self.is_json else ConsoleFormatter())
        self._output.repeats.policy = policy.repeats
        talkative = dict.fromkeys(_TALKATIVE, max(logging.WARNING, _number(policy.level)))
        self._set_levels({"": policy.level, **talkative, **policy.levels})

    def _set_levels(self, wanted: Mapping[str, str | int]) -> None:
        """Give loggers these levels, and those that had one of us before their own again."""
        for name in [name for name in self._before if name not in wanted]:
            logging.getLogger(name).setLevel(self._before.pop(name))
        for name, level in wanted.items():
            logger = logging.getLogger(name)
            self._before.setdefault(name, logger.level)
            logger.setLevel(_number(level))

    def readings(self) -> Iterator[Reading]:
        """What became of records, as a metric: for `MetricsCollector.read_also`."""
        output = self._output
        results = {
            "written": output.written - self._sink.total_lost,
            "lost": self._sink.total_lost,
            "dropped": output.total_dropped,
            "suppressed": output.repeats.total,
            "unreadable": output.unreadable,
        }
        yield counted_by("result", "trunkline_log_records", "Log records, by what became of them.", results)


class _ProcessOutput(QueuedOutput):
    """Knows the log it belongs to, so that a later one can end that."""

    def __init__(self, sink: logging.Handler, log: ProcessLog, *, waiting: int, repeats: RepeatsPolicy) -> None:
        super().__init__(sink, waiting=waiting, repeats=repeats)
        self.log = log


def _number(level: str | int) -> int:
    return logging.getLevelNamesMapping()[level.upper()] if isinstance(level, str) else level


def configure_logging(
    format: LogFormat = "json",  # noqa: A002 - the word every user looks for
    level: str | int = "INFO",
    stream: TextIO | None = None,
    *,
    levels: Mapping[str, str | int] | None = None,
    repeats: RepeatsPolicy | None = None,
    secrets: Secrets | None = None,
) -> ProcessLog:
    """Send the whole process's log to `stream`; call what is returned to write what is left and undo it.

    Credentials are taken out, and every record written during a call says which one. Records are written by a thread,
    so a slow sink holds nobody: when 10,000 wait, more are dropped and counted in the log. Called again, it replaces
    its earlier self. At exit it stops by itself.

    Args:
        format: `json` for one object a line, `console` for people, `auto` for people on a terminal and else JSON.
        level: Name or number; what is less severe is not logged.
        stream: Where to write; standard error by default, since standard output may carry the protocol.
        levels: Levels of single loggers by name. Those of libraries that tell arguments and answers below WARNING
            (`mcp`, `httpx2` and others) are not lowered by `level`, only here.
        repeats: How many records alike are written.
        secrets: What must not be written besides what looks like a credential: `infra.settings.secrets`.

    Raises:
        ValueError: there is no such format or level.
    """
    policy = LoggingPolicy(level=level, format=format, levels=levels or {}, repeats=repeats or RepeatsPolicy())
    return ProcessLog(policy, stream=stream, secrets=secrets)

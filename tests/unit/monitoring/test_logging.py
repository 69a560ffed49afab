from __future__ import annotations

import io
import json
import logging
import sys
import threading
from typing import Any

import pytest

from trunkline.events import (
    AnswerAbandoned,
    CacheInvalidated,
    CallFinished,
    CircuitChanged,
    CircuitState,
    ConfigRejected,
    ConfigReloaded,
    ConnectFailed,
    Event,
    ObserverFailed,
    RequestRefused,
    ServerProbed,
    SharedCacheFound,
    SharedCacheLost,
    ToolsChanged,
)
from trunkline.monitoring.log_format import ConsoleFormatter, JsonFormatter
from trunkline.monitoring.log_output import QueuedOutput
from trunkline.monitoring.logging import LogObserver
from trunkline.monitoring.process_log import configure_logging


def call(name: str = "stt_run", method: str = "tools/call") -> CallFinished:
    return CallFinished(
        0.0,
        "1",
        method,  # type: ignore[arg-type]
        name,
        "speech",
        "stt",
        "ok",
        0.25,
        1,
        "miss",
        None,
        may_have_run=True,
        tracked=False,
    )


def circuit(new: CircuitState) -> CircuitChanged:
    return CircuitChanged(0.0, "stt", None, "closed", new, "5 failures in a row")


@pytest.mark.requirement("SEED-MON-2")
@pytest.mark.parametrize(
    ("event", "logger", "message", "level"),
    [
        (call(), "trunkline.call", "call_finished", logging.DEBUG),
        (circuit("open"), "trunkline.circuit", "circuit_changed", logging.WARNING),
        (circuit("half_open"), "trunkline.circuit", "circuit_changed", logging.INFO),
        (SharedCacheLost(0.0, "gone"), "trunkline.cache", "shared_cache_lost", logging.WARNING),
        (SharedCacheFound(0.0, 1.5), "trunkline.cache", "shared_cache_found", logging.INFO),
        (CacheInvalidated(0.0, "tool", "stt_hear"), "trunkline.cache", "cache_invalidated", logging.INFO),
        (ConfigReloaded(0.0, "a.toml", (), (), ()), "trunkline.config", "config_reloaded", logging.INFO),
        (
            ConfigReloaded(0.0, "a.toml", (), (), (), "trunkline.cache.namespace"),
            "trunkline.config",
            "config_reloaded",
            logging.WARNING,
        ),
        (
            ConnectFailed(0.0, "stt", None, "refused", 1, 0.1, 0),
            "trunkline.connection",
            "connect_failed",
            logging.WARNING,
        ),
        (
            ConnectFailed(0.0, "stt", None, "refused", 2, 0.1, 0),
            "trunkline.connection",
            "connect_failed",
            logging.DEBUG,
        ),
        (ConfigRejected(0.0, "a.toml", ("bad",)), "trunkline.config", "config_rejected", logging.WARNING),
        (AnswerAbandoned(0.0, "/metrics", "left"), "trunkline.gateway", "answer_abandoned", logging.DEBUG),
        (RequestRefused(0.0, "too_slow"), "trunkline.gateway", "request_refused", logging.DEBUG),
        (
            AnswerAbandoned(0.0, "/metrics", "stopped reading"),
            "trunkline.gateway",
            "answer_abandoned",
            logging.WARNING,
        ),
        (ObserverFailed(0.0, "Broken", "ValueError"), "trunkline.observer", "observer_failed", logging.WARNING),
        (ServerProbed(0.0, "stt", None, True, 0.1, ""), "trunkline.health", "server_probed", logging.DEBUG),
    ],
)
def test_each_event_has_its_logger_its_constant_name_and_its_level(
    event: Event, logger: str, message: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trunkline")
    LogObserver()(event)
    assert [(record.name, record.getMessage(), record.levelno) for record in caplog.records] == [
        (logger, message, level)
    ]


def test_facts_are_prefixed_extras(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "trunkline")
    LogObserver()(call())
    extras = {name: value for name, value in vars(caplog.records[0]).items() if name.startswith("trunkline_")}
    assert (extras["trunkline_server"], extras["trunkline_duration"]) == ("stt", 0.25)
    assert "trunkline_at" not in extras


def test_no_address_no_credential_and_no_forged_line_gets_into_a_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "trunkline")
    observe = LogObserver()
    observe(ConnectFailed(0.0, "stt", None, "no route to https://u:hunter2@h/x?token=abc\nfake line", 1, 0.1, 0))
    observe(call(name="file:///srv/diary", method="resources/read"))
    observe(ToolsChanged(0.0, "stt", ("one", "two"), (), 2))
    reason = vars(caplog.records[0])["trunkline_reason"]
    assert reason == "no route to [address] line" or reason == "no route to [address]"
    assert "diary" not in str(vars(caplog.records[1]))
    assert vars(caplog.records[2])["trunkline_added"] == 2


def test_observing_touches_no_handler_and_no_level_but_adds_one_null_handler(root: logging.Logger) -> None:
    name = "trunkline_under_test"
    handlers, level = list(root.handlers), root.level
    for _ in range(3):
        LogObserver(name)(circuit("open"))
    top = logging.getLogger(name)
    assert [type(handler) for handler in top.handlers] == [logging.NullHandler]
    assert (top.level, top.propagate) == (logging.NOTSET, True)
    assert (root.handlers, root.level) == (handlers, level)


def test_json_lines_carry_the_extras_and_no_secret(root: logging.Logger) -> None:
    sink = io.StringIO()
    stop = configure_logging("json", "DEBUG", sink)
    LogObserver()(circuit("open"))
    log = logging.getLogger("app")
    try:
        int("password=hunter2")
    except ValueError:
        log.exception("failed with %s", "api_key=hunter2", extra={"api_token": "hunter2", "event": "mine", "n": {1, 2}})
    stop()
    lines = [json.loads(line) for line in sink.getvalue().splitlines()]
    assert "hunter2" not in sink.getvalue()
    assert (lines[0]["event"], lines[0]["level"], lines[0]["trunkline_new"]) == ("circuit_changed", "warning", "open")
    assert (lines[1]["event"], lines[1]["extra_event"]) == ("failed with api_key=[redacted]", "mine")
    assert (lines[1]["api_token"], lines[1]["n"]) == ("[redacted]", [1, 2])
    assert "ValueError: invalid literal" in lines[1]["exception"]
    assert lines[0]["time"].endswith("+00:00")


def test_a_stack_that_was_asked_for_is_written_in_either_format(root: logging.Logger) -> None:
    for choice in ("json", "console"):
        sink = io.StringIO()
        stop = configure_logging(choice, stream=sink)
        logging.getLogger("app").info("where", stack_info=True)
        stop()
        assert "test_a_stack_that_was_asked_for" in sink.getvalue()


@pytest.mark.parametrize("formatter", [JsonFormatter(), ConsoleFormatter()])
def test_the_formatters_also_serve_without_the_queue(formatter: logging.Formatter) -> None:
    try:
        int("x")
    except ValueError:
        record = logging.LogRecord("app", logging.ERROR, "", 0, "failed", None, sys.exc_info())
    assert "ValueError: invalid literal" in formatter.format(record)


def test_events_of_unknown_kinds_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "trunkline")
    LogObserver()(Event(0.0))
    assert caplog.records == []


def test_console_lines_are_readable_and_cannot_be_forged(root: logging.Logger) -> None:
    sink = io.StringIO()
    stop = configure_logging("console", "info", sink)
    LogObserver()(circuit("open"))
    logging.getLogger("app").info("first\nforged \x1b[2J", extra={"trunkline_note": "two words", "ratio": 0.123456789})
    logging.getLogger("app").debug("unheard")
    stop()
    first, second = sink.getvalue().splitlines()
    assert "WARNING  trunkline.circuit    circuit_changed server=stt" in first
    assert second.endswith('first\\nforged \\u001b[2J note="two words" ratio=0.123457')


def test_stopping_restores_the_root_logger_and_may_be_repeated(root: logging.Logger) -> None:
    handlers, level = list(root.handlers), root.level
    stop = configure_logging(level="ERROR", stream=io.StringIO())
    assert root.level == logging.ERROR
    stop()
    stop()
    assert (root.handlers, root.level) == (handlers, level)


def test_a_second_configuration_replaces_the_first(root: logging.Logger) -> None:
    level = root.level
    first, second = io.StringIO(), io.StringIO()
    stop_first = configure_logging(level="DEBUG", stream=first)
    stop_second = configure_logging(level="INFO", stream=second)
    logging.getLogger("app").info("hello")
    stop_first()
    logging.getLogger("app").info("again")
    stop_second()
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 2
    assert root.level == level


@pytest.mark.requirement("INV-4")
def test_a_sink_that_hangs_holds_no_caller_and_what_was_dropped_is_told() -> None:
    entered, released, done = threading.Event(), threading.Event(), threading.Semaphore(0)
    written: list[str] = []

    class Stuck(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            entered.set()
            assert released.wait(timeout=30)
            written.append(record.getMessage())
            done.release()

    output = QueuedOutput(Stuck(), waiting=3)
    log = logging.Logger("app")  # noqa: LOG001 - a logger of this test alone
    log.addHandler(output)
    log.info("record 0")
    assert entered.wait(timeout=30)
    for number in range(1, 50):
        log.debug("record %d", number)
    assert repr(output) == "<QueuedOutput [3 of 3 waiting, 46 dropped]>"
    released.set()
    for _ in range(4):
        assert done.acquire(timeout=30)
    log.info("the last")
    output.close()
    assert written[-2:] == ["log_records_dropped", "the last"]


def test_what_a_record_refers_to_may_change_after_the_call() -> None:
    written: list[str] = []

    class Sink(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.getMessage())

    output = QueuedOutput(Sink())
    log = logging.Logger("app")  # noqa: LOG001 - a logger that no other test can see
    log.addHandler(output)
    mutable = [1]
    log.info("saw %s", mutable)
    mutable.append(2)
    output.close()
    assert written == ["saw [1]"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"format": "xml"}, "format = 'xml': expected \"console\""),
        ({"level": "loud"}, "level = 'loud': expected \"debug\""),
        ({"levels": {"mcp": "loud"}}, "expected for each logger one of"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(choices: dict[str, Any], message: str, root: logging.Logger) -> None:
    handlers = list(root.handlers)
    with pytest.raises(ValueError, match=message):
        configure_logging(**choices)
    assert root.handlers == handlers

"""A process's own log: bound to calls, without secrets, bounded in what it says again, and undone without a trace."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

import pytest
import structlog

from trunkline.call import CURRENT_CALL, CURRENT_DOMAIN, Call
from trunkline.monitoring.log_context import Redaction, add_call
from trunkline.monitoring.log_output import Output, QueuedOutput
from trunkline.monitoring.process_log import ProcessLog, configure_logging
from trunkline.policy import LoggingPolicy, RepeatsPolicy
from trunkline.secrets import Secrets

PLANTED = "hunter2planted"
SECRETS = Secrets([PLANTED])


class Span:
    """A trace's."""

    trace_id = "0af7651916cd43dd8448eb211c80319c"


def call(method: str = "tools/call", span: Any = None) -> Call:
    return Call("c1", method, "stt_run", {}, "speech", 0.0, 1.0, server="stt", span=span)  # type: ignore[arg-type]


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def counts(log: ProcessLog) -> Mapping[tuple[str, ...], float]:
    (reading,) = log.readings()
    assert (reading.name, reading.labels) == ("trunkline_log_records", ("result",))
    return reading.samples


@pytest.mark.requirement("LOG-CONTEXT")
def test_a_record_says_which_call_it_was_written_in_whoever_wrote_it(root: logging.Logger) -> None:
    stream = io.StringIO()
    log = configure_logging(stream=stream)
    bound = CURRENT_CALL.set(call(span=Span()))
    logging.getLogger("somebody.elses").info("half-way", extra={"trunkline_server": "another"})
    CURRENT_CALL.reset(bound)
    tracked = CURRENT_DOMAIN.set("speech")
    logging.getLogger("app").info("between calls")
    CURRENT_DOMAIN.reset(tracked)
    logging.getLogger("app").info("outside")
    log()
    inside, between, outside = lines(stream)
    about = {name: value for name, value in inside.items() if name.startswith("trunkline_")}
    assert about == {
        "trunkline_call_id": "c1",
        "trunkline_domain": "speech",
        "trunkline_server": "another",
        "trunkline_tool": "stt_run",
        "trunkline_trace_id": Span.trace_id,
    }
    assert between["trunkline_domain"] == "speech"
    assert not [name for name in outside if name.startswith("trunkline_")]


@pytest.mark.requirement("LOG-CONTEXT")
def test_the_address_of_a_resource_is_not_bound_to_records(root: logging.Logger) -> None:
    stream = io.StringIO()
    log = configure_logging(stream=stream)
    bound = CURRENT_CALL.set(call("resources/read"))
    logging.getLogger("app").info("reading")
    CURRENT_CALL.reset(bound)
    log()
    assert "reading" in stream.getvalue()
    assert "stt_run" not in stream.getvalue()


@pytest.mark.requirement("SECRETS")
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_known_secret_is_written_on_no_path_into_the_log(form: str, root: logging.Logger) -> None:
    stream = io.StringIO()
    log = configure_logging(form, "DEBUG", stream, secrets=SECRETS)  # type: ignore[arg-type]
    app = logging.getLogger("app")
    try:
        try:
            vars()[PLANTED]
        except KeyError as error:
            raise ExceptionGroup(f"several {PLANTED}", [ValueError(PLANTED)]) from error
    except ExceptionGroup:
        app.exception(f"failed with {PLANTED}")
    app.info("with %s and %r", PLANTED, {"a": PLANTED}, extra={"note": PLANTED, "deep": [{"b": (PLANTED,)}]})
    app.info("of an object", extra={"it": type(PLANTED, (), {})(), PLANTED: 1}, stack_info=True)
    log()
    assert stream.getvalue().count("[redacted]") >= 8
    assert len(stream.getvalue().splitlines()) >= 3
    assert PLANTED not in stream.getvalue()


@pytest.mark.requirement("LOG-QUEUE")
def test_repeats_are_counted_and_the_count_is_told_in_the_end(root: logging.Logger) -> None:
    stream = io.StringIO()
    log = configure_logging(stream=stream, level="DEBUG", repeats=RepeatsPolicy(burst=2, interval=600.0))
    for number in range(7):
        logging.getLogger("app").warning("still broken: %d", number, extra={"trunkline_server": "stt"})
        logging.getLogger("app").debug("detail %d", number)
        logging.getLogger("trunkline.audit").info("tool_used")
    logging.getLogger("app").warning("still broken: %d", 0, extra={"trunkline_server": "tts"})
    log()
    told = lines(stream)
    assert [line["event"] for line in told if line["event"].startswith("still")] == [
        "still broken: 0",
        "still broken: 1",
        "still broken: 0",
    ]
    assert sum(line["event"].startswith("detail") for line in told) == 7
    assert sum(line["event"] == "tool_used" for line in told) == 7, "an audit has no gaps"
    last = told[-1]
    assert (last["event"], last["trunkline_suppressed"], last["trunkline_event"], last["trunkline_server"]) == (
        "log_repeats_suppressed",
        5,
        "still broken: %d",
        "stt",
    )
    assert counts(log)["suppressed",] == 5


@pytest.mark.requirement("LOG-QUEUE")
def test_repeats_that_have_ended_are_told_although_nothing_follows(root: logging.Logger) -> None:
    stream, written = io.StringIO(), threading.Event()

    class Told(io.StringIO):
        def write(self, text: str) -> int:
            if "log_repeats_suppressed" in text:
                written.set()
            return stream.write(text)

    log = configure_logging(stream=Told(), repeats=RepeatsPolicy(burst=1, interval=0.05))
    for _ in range(3):
        logging.getLogger("app").warning("broken")
    # Nothing follows: the thread that writes tells it by itself.
    assert written.wait(30)
    log()
    assert [line.get("trunkline_suppressed") for line in lines(stream)] == [None, 2]


def test_a_message_that_does_not_fit_its_arguments_is_counted_and_harms_nobody() -> None:
    class Nameless:
        def __str__(self) -> str:
            raise ZeroDivisionError

    stream = io.StringIO()
    output = QueuedOutput(Output(stream))
    log = logging.Logger("app")  # noqa: LOG001 - one that the handlers of pytest do not see
    log.addHandler(output)
    log.info("one %s", Nameless())
    output.close()
    assert stream.getvalue() == "log_record_unreadable\n"
    assert output.unreadable == 1


def test_libraries_that_tell_arguments_stay_quiet_unless_named(root: logging.Logger) -> None:
    log = configure_logging(level="DEBUG", levels={"httpx2": "INFO"}, stream=io.StringIO())
    levels = {name: logging.getLogger(name).getEffectiveLevel() for name in ("mcp.client", "httpx2", "app")}
    assert levels == {"mcp.client": logging.WARNING, "httpx2": logging.INFO, "app": logging.DEBUG}
    log()
    assert {logging.getLogger(name).level for name in ("mcp", "httpx2")} == {logging.NOTSET}


def test_another_policy_takes_effect_at_once_and_everything_is_undone(root: logging.Logger) -> None:
    before = root.level
    stream, app = io.StringIO(), logging.getLogger("app.reloaded")
    log = ProcessLog(LoggingPolicy(levels={"app.reloaded": "error"}), stream=stream)
    app.warning("unheard")
    log.apply(LoggingPolicy(format="json", level="error", levels={"app": "debug"}), SECRETS)
    app.debug("heard with %s", PLANTED)
    logging.getLogger("other").warning("unheard")
    assert log.is_json
    assert repr(log).startswith("<ProcessLog json <QueuedOutput [")
    log()
    assert [line["event"] for line in lines(stream)] == ["heard with [redacted]"]
    assert (root.level, app.level, logging.getLogger("app").level) == (before, logging.NOTSET, logging.NOTSET)


def test_secrets_of_the_configuration_before_are_still_kept_and_older_ones_are_forgotten(root: logging.Logger) -> None:
    stream = io.StringIO()
    log = ProcessLog(LoggingPolicy(), stream=stream, secrets=Secrets(["the-first-one"]))
    log.apply(LoggingPolicy(), Secrets(["the-second-one"]))
    logging.getLogger("app").info("the-first-one the-second-one")
    log()
    assert stream.getvalue().rstrip().endswith("[redacted] [redacted]")


@pytest.mark.parametrize(("is_terminal", "is_json"), [(True, False), (False, True)])
def test_auto_is_for_people_on_a_terminal_and_json_elsewhere(
    is_terminal: bool, is_json: bool, root: logging.Logger
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return is_terminal

    log = configure_logging("auto", stream=Stream())
    assert log.is_json is is_json
    log()


@pytest.mark.requirement("LOG-QUEUE")
def test_what_cannot_be_written_or_finds_no_room_is_counted(root: logging.Logger) -> None:
    entered, released = threading.Event(), threading.Event()

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            entered.set()
            assert released.wait(30)
            raise OSError(28, "No space left on device")

    log = ProcessLog(LoggingPolicy(level="debug"), stream=Broken(), waiting=2)
    app = logging.getLogger("app")
    app.debug("the first")
    assert entered.wait(30)
    for _ in range(5):
        app.debug("more")
    assert counts(log)["dropped",] == 3
    released.set()
    log()
    assert counts(log)["lost",] == 3
    assert counts(log)["written",] == 0


def test_structlog_writes_through_the_same_log(root: logging.Logger) -> None:
    stream = io.StringIO()
    log = configure_logging(stream=stream, secrets=SECRETS)
    logger = structlog.wrap_logger(
        logging.getLogger("app"),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logger.info("transcribed", seconds=1.5, note=PLANTED)
    log()
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["seconds"], line["note"]) == ("transcribed", "app", 1.5, "[redacted]")


@pytest.mark.requirement("LOG-CONTEXT")
def test_structlogs_own_chain_can_bind_the_call_and_redact() -> None:
    rendered: list[str] = []

    class Sink:
        def info(self, text: str) -> None:
            rendered.append(text)

    logger = structlog.wrap_logger(
        Sink(),
        processors=[add_call, Redaction(SECRETS), structlog.processors.JSONRenderer()],
        wrapper_class=structlog.BoundLogger,
    )
    bound = CURRENT_CALL.set(call())
    logger.info("heard", note=PLANTED, api_key="x", trunkline_server="mine")
    CURRENT_CALL.reset(bound)
    (line,) = map(json.loads, rendered)
    assert line == {
        "event": "heard",
        "note": "[redacted]",
        "api_key": "[redacted]",
        "trunkline_call_id": "c1",
        "trunkline_domain": "speech",
        "trunkline_server": "mine",
        "trunkline_tool": "stt_run",
    }


def test_a_log_that_hangs_at_the_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, released = threading.Event(), threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            entered.set()
            assert released.wait(30)
            return len(text)

    monkeypatch.setattr("trunkline.monitoring.log_output._GRACE", 0.01)
    output = QueuedOutput(Output(Stuck()))
    output.handle(logging.makeLogRecord({"msg": "never written", "levelno": logging.INFO}))
    assert entered.wait(30)
    output.close()
    released.set()

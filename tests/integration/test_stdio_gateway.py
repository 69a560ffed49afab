"""The gateway on standard input and output, as a process, spoken to line by line by a host that does what it likes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from anyio.abc import Process

from trunkline.testing.processes import stdio_command

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

MODERN, LEGACY = "2026-07-28", "2025-11-25"
ERAS: Final = pytest.mark.parametrize("era", [MODERN, LEGACY])
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Host:
    """Starts the gateway, and talks to it."""

    def __init__(self, process: Process, era: str) -> None:
        self.process = process
        self._era = era
        self._rest = b""
        self._next = 0

    async def write(self, line: bytes) -> None:
        """Send bytes as they are."""
        assert self.process.stdin is not None
        await self.process.stdin.send(line)

    async def say(self, message: Any) -> None:
        """Send one message."""
        await self.write(json.dumps(message).encode() + b"\n")

    async def hear(self) -> Any:
        """The next message, or None where there is none to come. That listings change is of no interest."""
        while (found := await self._hear()) is not None and found.get("method", "").endswith("/list_changed"):
            pass
        return found

    async def _hear(self) -> Any:
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            try:
                self._rest += await self.process.stdout.receive(65536)
            except anyio.EndOfStream:
                assert self._rest == b"", "a line without end"
                return None
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    async def ask(self, method: str, request_id: Any = None, **params: Any) -> Any:
        """Send one request; its id."""
        self._next += 1
        asked = self._next if request_id is None else request_id
        if self._era == MODERN:
            params = {**params, "_meta": {**ENVELOPE, **params.get("_meta", {})}}
        await self.say({"jsonrpc": "2.0", "id": asked, "method": method, "params": params})
        return asked

    async def call(self, tool: str, request_id: Any = None, _meta: Any = None, **arguments: Any) -> Any:
        """Begin a call of a tool; the request's id."""
        meta = {} if _meta is None else {"_meta": _meta}
        return await self.ask("tools/call", request_id, name=f"s_{tool}", arguments=arguments, **meta)

    async def answer(self, asked: Any) -> Any:
        """What comes next, which answers this."""
        found = await self.hear()
        assert found["id"] == asked, found
        return found

    async def shake_hands(self) -> None:
        """Begin a session of the handshake era, or find out who is there."""
        if self._era == MODERN:
            await self.answer(await self.ask("server/discover"))
        else:
            client = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
            assert (await self.answer(await self.ask("initialize", **client)))["result"]["protocolVersion"] == LEGACY
            await self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        # Not before this is the handshake known to be over.
        while not (await self.answer(await self.ask("tools/list")))["result"]["tools"]:  # noqa: ASYNC110 - another process
            await anyio.sleep(0.05)


def serving(folder: Path) -> list[str]:
    """The command that starts a gateway in front of one server."""
    program, arguments = stdio_command(journal=folder / "journal")
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"s": {"command": program, "args": arguments}}}), "utf-8")
    return [sys.executable, "-m", "trunkline", "serve", str(config), "--stdio"]


@asynccontextmanager
async def hosting(folder: Path, era: str) -> AsyncIterator[Host]:
    with (folder / "log").open("wb") as log, anyio.fail_after(60):
        process = await anyio.open_process(serving(folder), stderr=log)
        try:
            yield Host(process, era)
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.aclose()


def log_of(folder: Path) -> str:
    return (folder / "log").read_text("utf-8")


@ERAS
async def test_calls_are_answered_as_they_end_each_with_its_id(tmp_path: Path, era: str) -> None:
    async with hosting(tmp_path, era) as host:
        await host.shake_hands()
        slow = await host.call("sleep", "slow", seconds=0.3)
        await host.call("echo", 7, text="caf\u00e9 \U0001f600")
        quick = await host.answer(7)
        assert quick["result"]["content"] == [{"type": "text", "text": "caf\u00e9 \U0001f600"}]
        assert quick["result"]["_meta"]["trunkline/provenance"]["server"] == "s"
        assert (await host.answer(slow))["result"]["content"][0]["text"] == "slept 0.3 s"
        failed = await host.answer(await host.call("nothing-of-the-kind"))
        assert failed["error"]["code"] == -32602
        assert (await host.answer(await host.call("add", a="x", b=1)))["result"]["isError"]
    assert "Traceback" not in log_of(tmp_path)


@ERAS
async def test_progress_comes_before_the_answer_under_the_callers_token(tmp_path: Path, era: str) -> None:
    async with hosting(tmp_path, era) as host:
        await host.shake_hands()
        asked = await host.call("progress", _meta={"progressToken": "mine"}, steps=3, delay_ms=20)
        heard = [await host.hear() for _ in range(3)]
        assert [told["method"] for told in heard] == ["notifications/progress"] * 3
        assert [told["params"] for told in heard] == [
            {"progressToken": "mine", "progress": step, "total": 3} for step in (1, 2, 3)
        ]
        assert (await host.answer(asked))["result"]["content"][0]["text"] == "3 steps"


@ERAS
@pytest.mark.parametrize("cancelled", [5, "5"], ids=["number", "text"])
async def test_a_call_that_is_cancelled_ends_at_the_server_and_has_no_answer(
    tmp_path: Path, era: str, cancelled: Any
) -> None:
    async with hosting(tmp_path, era) as host:
        await host.shake_hands()
        await host.call("sleep", 5, seconds=30)
        await host.call("lookup", op="meanwhile")
        await host.hear()
        await host.say(
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": cancelled, "reason": "x"}}
        )
        await host.answer(await host.call("echo", text="after"))
        with anyio.fail_after(10):
            while '"cancel' not in (tmp_path / "journal").read_text("utf-8"):  # noqa: ASYNC110 - another process
                await anyio.sleep(0.05)
        # Unknown ones, and those that have been answered, harm nobody.
        for gone in (5, 6, "never", None, True):
            params = {"requestId": gone}
            await host.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
        await host.answer(await host.call("echo", text="still there"))


@ERAS
@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGINT"])
async def test_who_still_waits_when_it_ends_is_told_that_the_call_may_have_run(
    tmp_path: Path, era: str, how: str
) -> None:
    async with hosting(tmp_path, era) as host:
        await host.shake_hands()
        asked = await host.call("sleep", seconds=30)
        await host.answer(await host.call("echo", text="x"))
        if how == "end of input":
            assert host.process.stdin is not None
            await host.process.stdin.aclose()
        else:
            host.process.send_signal(signal.Signals[how])
        told = (await host.answer(asked))["error"]
        assert (told["code"], told["data"]["may_have_run"]) == (31007, True)
        assert await host.hear() is None
        with anyio.fail_after(5):
            assert await host.process.wait() == 0
    assert "Traceback" not in log_of(tmp_path)


@ERAS
async def test_a_host_that_does_not_read_gets_everything_whole_once_it_does(tmp_path: Path, era: str) -> None:
    text = "".join(map(chr, range(32, 127))) * 4000
    async with hosting(tmp_path, era) as host:
        await host.shake_hands()
        asked = [await host.call("echo", text=f"{number} {text}") for number in range(8)]
        await anyio.sleep(0.5)
        found = [await host.hear() for _ in asked]
        assert sorted(answer["id"] for answer in found) == asked
        for answer in found:
            assert answer["result"]["content"][0]["text"].partition(" ")[2] == text
        await host.answer(await host.call("echo", text="after"))


@ERAS
async def test_a_host_that_never_reads_keeps_nobody_from_ending_it(tmp_path: Path, era: str) -> None:
    async with hosting(tmp_path, era) as host:
        await host.shake_hands()
        for _ in range(4):
            await host.call("echo", text="x" * 300_000)
        await anyio.sleep(1)
        host.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(8):
            await host.process.wait()


def test_a_host_that_has_left_is_not_spoken_to_for_ever(tmp_path: Path) -> None:
    def said(request_id: int, method: str, **params: Any) -> bytes:
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": ENVELOPE}}
        return json.dumps(message).encode() + b"\n"

    pipe = subprocess.PIPE
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(serving(tmp_path), stdin=pipe, stdout=pipe, stderr=log)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(said(1, "server/discover"))
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write(said(2, "tools/list"))
        process.stdin.flush()
        assert process.wait(20) == 0
    assert "Traceback" not in log_of(tmp_path)


NO_REQUESTS = (
    b"",
    b"{",
    b"[]",
    b"nothing",
    b"\xff\xfe",
    b'{"jsonrpc":"2.0","id":true,"method":"tools/call","params":{"name":"s_echo"}}',
    b'{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"s_echo"}}',
    b'{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"s_echo"}}',
    b'{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"s_echo"}}',
    b'{"jsonrpc":"2.0","id":99,"method":"tools/call","params":[]}',
    b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"s_echo","arguments":{"text":"x"}}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}',
    b'{"jsonrpc":"2.0","id":98,"result":{}}',
    b'{"a":' * 100_000,
)


@ERAS
async def test_a_line_that_is_no_request_harms_none_that_is(tmp_path: Path, era: str) -> None:
    async with hosting(tmp_path, era) as host:
        await host.shake_hands()
        for line in NO_REQUESTS:
            await host.write(line + b"\n")
            asked = await host.call("echo", text="x")
            found = await host.hear()
            while found["id"] != asked:
                assert "error" in found
                found = await host.hear()
            assert found["result"]["content"][0]["text"] == "x"
    assert "Traceback" not in log_of(tmp_path)


@ERAS
async def test_parameters_that_do_not_fit_are_refused_in_the_protocols_words(tmp_path: Path, era: str) -> None:
    async with hosting(tmp_path, era) as host:
        await host.shake_hands()
        for params in ({}, {"name": 5}, {"name": "s_echo", "arguments": 5}):
            refused = await host.answer(await host.ask("tools/call", **params))
            assert refused["error"]["code"] == -32602


async def test_the_first_request_says_of_which_era_a_connection_is(tmp_path: Path) -> None:
    async with hosting(tmp_path, MODERN) as host:
        # A call may be the first of all requests.
        with anyio.fail_after(20):
            while "result" not in await host.answer(await host.call("echo", text="x")):  # noqa: ASYNC110 - another process
                await anyio.sleep(0.1)
        refused = await host.answer(await host.ask("initialize", protocolVersion=LEGACY, capabilities={}))
        assert refused["error"]["code"] == -32022
        host._era = LEGACY
        without = await host.answer(await host.call("echo", text="x"))
        assert without["error"]["code"] == -32602, "no request of that era goes without saying so"


async def test_a_request_of_another_era_is_refused_in_a_session(tmp_path: Path) -> None:
    async with hosting(tmp_path, LEGACY) as host:
        early = await host.answer(await host.call("echo", text="x"))
        assert early["error"]["code"] == -32602, "nothing comes before the handshake"
        await host.shake_hands()
        refused = await host.answer(await host.call("echo", _meta=ENVELOPE, text="x"))
        assert refused["error"]["code"] == -32600


async def test_a_session_that_wants_to_hear_of_logs_has_its_calls_answered_too(tmp_path: Path) -> None:
    async with hosting(tmp_path, LEGACY) as host:
        await host.shake_hands()
        assert (await host.answer(await host.ask("logging/setLevel", level="warning")))["result"] == {}
        assert (await host.answer(await host.call("echo", text="x")))["result"]["content"][0]["text"] == "x"


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_without_input_or_output_it_says_so(tmp_path: Path, closed: str) -> None:
    command = " ".join([*serving(tmp_path), closed])
    done = subprocess.run(["sh", "-c", command], check=False, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert "standard input and output are both needed" in done.stderr
    assert "Traceback" not in done.stderr

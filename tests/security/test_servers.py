"""Attacks by servers behind the gateway: each is tried on a gateway that runs, and harms nobody else."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.sync_api import sync_playwright

from tests.integration.test_dashboard import CHROMIUM, FLAGS
from tests.resilience.gateways import RunningGateway, running_gateway
from tests.security.callers import Caller, message_of, result_of
from tests.servers import hostile

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("GATEWAY-ATTACKS")]

MEBIBYTE = 1024 * 1024
CREDENTIAL = "Bearer meant-for-one-server"
STEERING = set("\x07\x00\x08\x1b\x9b\u202e\u2066\u2069")
"""What moves a cursor, rings, hides or turns text around."""
FLOODS = ("unpack", "endless", "fail", "stream")
FLOODING = {"name": "floods", "version": "1"}
REDIRECTS = {
    "elsewhere": "http://127.0.0.1:{trap}/mcp",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "shorthand": "http://2130706433:{trap}/mcp",
    "other_name": "http://localhost:{port}/trap",
    "with_user": "http://user:word@127.0.0.1:{port}/trap",
    "file": "file:///etc/passwd",
}
"""Where a server sends those who call it, by the last part of its path."""


class Elsewhere(BaseHTTPRequestHandler):
    """A server that redirects, or answers without end, as its path says; under `/trap` nobody may come."""

    protocol_version = "HTTP/1.1"
    port: int
    trap: int
    visits: list[str]

    def do_GET(self) -> None:
        self.visits.append(f"{self.path} {self.headers}")
        self.send_error(405)

    def do_DELETE(self) -> None:
        self.send_error(405)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind = self.path.rpartition("/")[2]
        if kind in REDIRECTS:
            self.answer(307, b"", location=REDIRECTS[kind].format(trap=self.trap, port=self.port))
        elif kind == "floods":
            self.flood(message)
        else:
            self.visits.append(f"{self.path} {self.headers}")
            self.answer(404, b"")

    def flood(self, message: dict[str, Any]) -> None:
        tools = [{"name": each, "inputSchema": {"type": "object"}} for each in FLOODS]
        about = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": FLOODING}
        known = {"initialize": about, "tools/list": {"tools": tools}, "ping": {}}
        method, head = message["method"], {"jsonrpc": "2.0", "id": message.get("id")}
        if method == "tools/call":
            self.pour(message["params"]["name"])
        elif "id" not in message:
            self.answer(202, b"")
        elif method in known:
            self.answer(200, json.dumps({**head, "result": known[method]}).encode())
        else:
            self.answer(200, json.dumps({**head, "error": {"code": -32601, "message": "unknown"}}).encode())

    def pour(self, kind: str) -> None:
        """Answer with more than anybody can hold; `unpack` sends a little that becomes so much."""
        body = gzip.compress(b" " * (400 * MEBIBYTE), 1) if kind == "unpack" else b""
        self.send_response(500 if kind == "fail" else 200)
        self.send_header("content-type", "text/event-stream" if kind == "stream" else "application/json")
        self.send_header("content-encoding", "gzip" if body else "identity")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            self.wfile.write(body)
            for _ in range(0 if body else 400):
                self.wfile.write(b"data: " + b" " * MEBIBYTE)
        except OSError:
            # The other side has had enough.
            pass

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing in the test's own output."""


@contextmanager
def listening(trap: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Serve it in threads of this process: its port, and who came where nobody may."""
    visits: list[str] = []

    class Here(Elsewhere):
        pass

    Here.trap, Here.visits = trap, visits
    server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    Here.port = port = server.server_address[1]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield port, visits
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def trap() -> Iterator[tuple[int, list[str]]]:
    """Where servers lure the gateway to."""
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, trap: tuple[int, list[str]]) -> Iterator[RunningGateway]:
    """In front of a hostile server, one that floods its callers, and one that is left alone."""
    folder = tmp_path_factory.mktemp("behind")
    with listening() as (port, _):
        others = {
            "hostile": {"command": sys.executable, "args": [hostile.__file__, f"http://127.0.0.1:{trap[0]}/trap"]},
            "floods": {"url": f"http://127.0.0.1:{port}/floods"},
        }
        ours: dict[str, Any] = {"defaults": {"timeout": 5.0}, "logging": {"format": "json", "level": "debug"}}
        with running_gateway(folder, "good", others=others, **ours) as running:
            yield running


def outcome(caller: Caller, name: str) -> str:
    """What a call gave: ok, a tool's error, or the error's class."""
    # Not by the SDK's client: some of these schemas are made to hold up whoever checks results by them.
    message = message_of(caller.call(name, {"text": hostile.VICTIM}))
    if "error" in message:
        return str(message["error"]["data"]["error"])
    return "tool_error" if message["result"].get("isError") else "ok"


def while_others_call(gateway: RunningGateway, *names: str) -> dict[str, str]:
    """The outcome of calls to hostile tools, while somebody else goes on calling a good one."""
    outcomes: dict[str, str] = {}
    with ThreadPoolExecutor(1) as pool:
        for name in names:
            pending = pool.submit(outcome, Caller(gateway.port), name)
            while not pending.done():
                assert outcome(Caller(gateway.port), "good_echo") == "ok"
            outcomes[name] = pending.result()
            assert outcome(Caller(gateway.port), "good_echo") == "ok"
    return outcomes


# ------------------------------------------------------------------------------------------------------------- schemas


@pytest.mark.parametrize("kind", hostile.SCHEMAS)
def test_no_schema_of_arguments_or_of_results_holds_anybody_up(kind: str, gateway: RunningGateway) -> None:
    outcomes = while_others_call(gateway, f"hostile_in_{kind}", f"hostile_out_{kind}")
    # None can be enforced in bounded work, and none is: what is given is taken, and so is what comes.
    assert outcomes == {f"hostile_in_{kind}": "ok", f"hostile_out_{kind}": "ok"}


def test_nothing_that_a_server_names_is_fetched(gateway: RunningGateway, trap: tuple[int, list[str]]) -> None:
    port, visits = trap
    caller = Caller(gateway.port)
    for name in ("hostile_in_remote", "hostile_out_remote"):
        outcome(caller, name)
    assert f":{port}/trap" in json.dumps(result_of(caller.ask("resources/list")))
    for uri in (f"http://127.0.0.1:{port}/trap", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"):
        assert "error" in message_of(caller.ask("resources/read", uri=uri))
    assert visits == []


# ------------------------------------------------------------------------------------------------------------- answers


def test_an_answer_nested_without_measure_harms_its_own_call_only(gateway: RunningGateway) -> None:
    opened = "trunkline_connections_opened_total"
    before = [line for line in gateway.page("/metrics").text.splitlines() if line.startswith(opened)]
    outcomes = while_others_call(gateway, *(f"hostile_{name}" for name in ("nest", "nest_error", "say")))
    assert outcomes.pop("hostile_say") == "ok"
    assert "ok" not in outcomes.values()
    # Nobody else on that connection has lost a call with it.
    assert [line for line in gateway.page("/metrics").text.splitlines() if line.startswith(opened)] == before


@pytest.mark.parametrize("kind", FLOODS)
def test_an_answer_without_end_or_one_that_unpacks_to_it_takes_little_memory(
    kind: str, gateway: RunningGateway
) -> None:
    before = gateway.peak()
    outcomes = while_others_call(gateway, f"floods_{kind}")
    assert "ok" not in outcomes.values()
    # 64 MiB of a message are held, and held again while it is put together.
    assert gateway.peak() - before < 300 * MEBIBYTE


# ----------------------------------------------------------------------------------------------------------- redirects


async def test_a_redirect_leads_to_no_other_place_and_takes_no_credential_there(tmp_path: Path) -> None:
    with listening() as (trap, visits), listening(trap) as (port, own):
        headers = {"Authorization": CREDENTIAL}
        servers = {kind: {"url": f"http://127.0.0.1:{port}/{kind}", "headers": headers} for kind in REDIRECTS}
        config = tmp_path / "mcp.json"
        config.write_text(json.dumps({"mcpServers": servers}), "utf-8")
        command = [sys.executable, "-m", "trunkline", "check", "--json", str(config)]
        done = await anyio.run_process(command, check=False)
    told = json.loads(done.stdout)["servers"]
    assert {server["server"]: server["ok"] for server in told} == dict.fromkeys(REDIRECTS, False)
    assert all(server["reason"] for server in told)
    assert (visits, own) == ([], [])
    assert b"meant-for-one-server" not in done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------------ names and texts


def in_terminal(*words: str) -> str:
    """What a command writes where it believes that a person reads it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "trunkline", *words], stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65536):
            written += piece
    except OSError:
        # How a terminal says that nobody writes there any more.
        pass
    os.close(ours)
    process.wait(30)
    return written.decode("utf-8", "replace")


def test_the_commands_of_a_terminal_are_the_persons_not_the_servers(tmp_path: Path) -> None:
    config = tmp_path / "mcp.json"
    command = {"command": sys.executable, "args": [hostile.__file__, "http://127.0.0.1:9/"]}
    config.write_text(json.dumps({"mcpServers": {"hostile": command}}), "utf-8")
    commands = (
        ("check",),
        ("tools",),
        ("call", "hostile_say", "{}"),
        ("call", "hostile_refuse", "{}"),
    )
    with ThreadPoolExecutor(len(commands)) as pool:
        pending = {words: pool.submit(in_terminal, words[0], str(config), *words[1:]) for words in commands}
        said = {" ".join(words[:2]): written.result() for words, written in pending.items()}
    assert all(said.values())
    assert "owned" in said["call hostile_say"] + said["call hostile_refuse"]
    assert {name: text for name, text in said.items() if STEERING & set(text)} == {}


def test_what_a_server_says_forges_nothing_in_logs_metrics_or_the_json_api(gateway: RunningGateway) -> None:
    caller = Caller(gateway.port)
    listed = [tool["name"] for tool in result_of(caller.ask("tools/list"))["tools"]]
    tools = [name for name in listed if name.startswith("hostile_")]
    for name in tools:
        if not name.startswith(("hostile_in", "hostile_out", "hostile_nest")):
            outcome(caller, name)
    assert [name for name in tools if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", name)] == []
    lines = gateway.log.read_text("utf-8").splitlines()[2:]
    assert [line for line in lines if json.loads(line)["event"] == "forged_line"] == []
    pages = {path: gateway.page(path) for path in ("/metrics", "/api/v1/view", "/api/v1/tools", "/api/v1/details")}
    pages["server"] = gateway.page("/api/v1/server?name=hostile")
    assert [name for name, page in pages.items() if STEERING & set(page.text)] == []
    assert "\nforged_metric" not in pages["/metrics"].text
    assert all(page.headers["x-content-type-options"] == "nosniff" for page in pages.values())


def test_the_dashboard_shows_markup_as_text(gateway: RunningGateway) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        tried: list[str] = []
        page.on("console", lambda message: tried.append(message.text))
        page.on("dialog", lambda dialog: tried.append(dialog.message))
        page.goto(f"{gateway.url}/")
        page.get_by_text("hostile").first.click()
        page.wait_for_function("document.body.innerText.includes('hostile_say')")
        title = page.title()
        found = page.evaluate("document.querySelectorAll('script:not([src]), img[onerror]').length")
        browser.close()
    assert "owned" not in title
    assert found == 0
    assert tried == []

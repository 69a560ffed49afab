"""Secrets are planted wherever a configuration can hold one, and said again by servers wherever they can.

Calls go well and wrong in every way, and nothing that Trunkline writes or serves has one of them, or an argument.
"""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError

from tests.servers import telltale
from tests.servers.watching import eventually
from trunkline import CallError, EnhancedMCPClient, HttpEndpoint, StdioEndpoint
from trunkline.testing.processes import free_port, stdio_command

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

STARTUP = 40.0
"""Seconds until every server behind is connected: cold starts on a shared core are slow."""
MARK = "Pl4nted"
"""In everything that must not be seen; each has a name besides, to be found by."""
PLACES = (
    "bearer",
    "key",
    "cookie",
    "custom",
    "user-word",
    "query",
    "flag",
    "pair",
    "env",
    "odd",
    "redis",
    "otlp",
    "hook",
)
SECRETS = {place: f"{MARK}-{place}-7f3a" for place in PLACES}
ARGUMENT = f"{MARK}-argument-91c2"
BASIC = base64.b64encode(f"ada:{SECRETS['user-word']}".encode()).decode()
ENVIRON = {"PLANTED_BEARER": SECRETS["bearer"], "ODDLY_NAMED": SECRETS["odd"]}
SCRIPT = str(Path(telltale.__file__))
CALLS = [f"{server}_{tool}" for server in ("told", "sent", "user") for tool in telltale.TOOLS]


class Collector(BaseHTTPRequestHandler):
    """Takes what is pushed: telemetry, and notifications of alerts."""

    taken: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.taken.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing in the test's own output."""


@contextmanager
def collecting() -> Iterator[tuple[int, list[bytes]]]:
    taken: list[bytes] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Collector,), {"taken": taken}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1], taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configure(folder: Path, port: int, collector: int) -> Path:
    """A configuration with a secret in every place that can hold one."""
    program, arguments = stdio_command()
    flags = ["--token", SECRETS["flag"], f"--api-key={SECRETS['pair']}"]
    environment = {"TELL_SECRET": SECRETS["env"], "ODDLY": "${ODDLY_NAMED}"}
    told = {"command": sys.executable, "args": [SCRIPT, *flags], "env": environment}
    address = f"127.0.0.1:{port}/mcp"
    headers = {
        "Authorization": "Bearer ${PLANTED_BEARER}",
        "X-Api-Key": SECRETS["key"],
        "Cookie": f"theme=dark; sid={SECRETS['cookie']}",
        "X-Custom": SECRETS["custom"],
    }
    servers = {
        "told": told,
        "refusing": {**told, "args": [SCRIPT, "--refuse", *flags]},
        "sent": {"url": f"http://{address}?key={SECRETS['query']}", "headers": headers},
        "user": {"url": f"http://ada:{SECRETS['user-word']}@{address}"},
        "gone": {"url": f"http://ada:{SECRETS['user-word']}@127.0.0.1:{free_port()}/x?key={SECRETS['query']}"},
        "faulty": {"command": program, "args": arguments},
    }
    pushed = f"http://127.0.0.1:{collector}"
    ours = {
        "defaults": {"timeout": 1.0, "trust_annotations": True, "breaker": {"enabled": False}},
        "cache": {"redis": {"url": f"redis://:{SECRETS['redis']}@127.0.0.1:{free_port()}/0"}},
        "telemetry": {"otlp": {"endpoint": pushed, "headers": {"X-Key": SECRETS["otlp"]}, "interval": 0.5}},
        "alerts": {"sinks": {"hook": {"url": f"{pushed}/{SECRETS['hook']}"}}},
        "logging": {"level": "debug", "format": "json", "repeats": {"enabled": False}},
    }
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": servers, "trunkline": ours}), "utf-8")
    return config


def start(config: Path, port: int, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
    return subprocess.Popen(command, stderr=stderr, stdin=subprocess.DEVNULL, env=ENVIRON)


async def connected(url: str, process: subprocess.Popen[bytes]) -> None:
    with anyio.fail_after(STARTUP):
        async with httpx2.AsyncClient() as client:
            while True:
                assert process.poll() is None, "it ended by itself"
                try:
                    told = (await client.get(f"{url}/api/v1/status")).json()
                except httpx2.TransportError:
                    told = {"servers": []}
                states = {part["name"]: part["state"] for part in told["servers"]}
                if {states.get(name) for name in ("told", "sent", "user", "faulty")} == {"healthy"}:
                    return
                await anyio.sleep(0.1)


async def call_everything(url: str, kept: dict[str, str]) -> dict[str, str]:
    """Make every call; what each gave its caller, and errors also into `kept`."""
    answers: dict[str, str] = {}
    faulty: list[tuple[str, dict[str, Any]]] = [
        ("faulty_rpc_error", {"code": -32050, "message": ARGUMENT}),
        ("faulty_fail", {"message": ARGUMENT}),
    ]
    faulty += [("faulty_fault", {"kind": kind, "op": ARGUMENT}) for kind in ("garbage", "crash_after", "big")]
    calls: list[tuple[str, dict[str, Any]]] = [(name, {"text": ARGUMENT}) for name in CALLS]
    calls += [*faulty, ("faulty_echo", {"text": {"not": ARGUMENT}}), ("told_nothing", {"text": ARGUMENT})]

    async with Client(f"{url}/mcp", mode="2026-07-28") as client, anyio.create_task_group() as tasks:

        async def call(name: str, arguments: dict[str, Any]) -> None:
            try:
                result = await client.call_tool(name, arguments)
            except MCPError as error:
                answers[name] = f"{error!r} {error.message} {error.data}"
                # What a server says of an argument is the answer to who gave it.
                kept[f"error of {name}"] = answers[name].replace(ARGUMENT, "")
            else:
                answers[name] = result.model_dump_json()

        # A server that dies takes the calls with it that it has: one after the other.
        for name, arguments in calls:
            if name.endswith("_hang"):
                tasks.start_soon(call, name, arguments)
            else:
                await call(name, arguments)
        kept["tools/list"] = (await client.list_tools()).model_dump_json()
    return answers


async def read_pages(url: str, kept: dict[str, str]) -> None:
    """Everything that can be asked for, by the gateway's own description."""
    async with httpx2.AsyncClient(base_url=url, timeout=10.0) as client:
        described = (await client.get("/openapi.json")).json()["paths"]
        names = {"/api/v1/server": "told", "/api/v1/domain": "gateway"}
        for path, methods in described.items():
            if "get" in methods and path not in ("/api/v1/events", "/mcp"):
                answer = await client.get(path, params={"name": names[path]} if path in names else {})
                kept[path] = f"{answer.headers} {answer.text}"
        for server in ("sent", "user", "gone", "refusing", "faulty"):
            kept[f"server {server}"] = (await client.get("/api/v1/server", params={"name": server})).text
        for accept in ("application/openmetrics-text", "application/vnd.google.protobuf", "text/plain"):
            answer = await client.get("/metrics", headers={"accept": accept})
            kept[f"metrics as {accept}"] = answer.content.decode("utf-8", "replace")
        for path in ("/", "/openapi.json", "/nothing"):
            kept[path] = (await client.get(path)).text


async def listen(url: str, kept: dict[str, str], listening: anyio.Event) -> None:
    async with httpx2.AsyncClient(timeout=30.0) as client, client.stream("GET", f"{url}/api/v1/events") as stream:
        async for piece in stream.aiter_text():
            kept["events"] = kept.get("events", "") + piece
            listening.set()


async def run_commands(config: Path, kept: dict[str, str]) -> None:
    async def run(*words: str) -> None:
        command = [sys.executable, "-m", "trunkline", words[0], str(config), *words[1:]]
        done = await anyio.run_process(command, check=False, env=ENVIRON)
        kept[f"trunkline {' '.join(words[:2])}"] = (done.stdout + done.stderr).decode().replace(ARGUMENT, "")
        assert b"Traceback" not in done.stderr

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, "check", "--json")
        tasks.start_soon(run, "call", "sent_refuse", json.dumps({"text": ARGUMENT}))


def found_in(kept: dict[str, str]) -> list[str]:
    """Where something planted is found, with what stands around it."""
    found = []
    for name, text in kept.items():
        for planted in (MARK, BASIC):
            at = text.find(planted)
            if at >= 0:
                found.append(f"{name}: …{text[max(0, at - 80) : at + 60]}…")
    return found


@pytest.mark.requirement("SECRETS")
async def test_nothing_that_the_gateway_writes_or_serves_has_a_planted_secret(tmp_path: Path) -> None:
    kept: dict[str, str] = {}
    log = tmp_path / "log"
    with telltale.serving() as port, collecting() as (collector, pushed), log.open("wb") as stderr:
        config, gateway = configure(tmp_path, port, collector), free_port()
        process, url = start(config, gateway, stderr), f"http://127.0.0.1:{gateway}"
        try:
            await connected(url, process)
            async with anyio.create_task_group() as tasks:
                listening = anyio.Event()
                tasks.start_soon(listen, url, kept, listening)
                await listening.wait()
                with anyio.fail_after(90):
                    async with anyio.create_task_group() as asking:
                        asking.start_soon(run_commands, config, kept)
                        answers = await call_everything(url, kept)
                    await read_pages(url, kept)
                    # The same again, in the log's other form.
                    config.write_text(
                        config.read_text("utf-8").replace('"format": "json"', '"format": "console"'), "utf-8"
                    )
                    await eventually(lambda: "config_reloaded" in log.read_text("utf-8"))
                    await call_everything(url, kept)
                tasks.cancel_scope.cancel()
        finally:
            process.terminate()
            process.wait(20)
    as_json, _, as_console = log.read_text("utf-8", "replace").partition("config_reloaded")
    kept |= {"log": as_json, "log for people": as_console, "pushed": b"".join(pushed).decode("utf-8", "replace")}
    assert_planted(answers)
    for part in (as_json, as_console):
        assert part.count("call_finished") >= len(CALLS)
        assert part.count("attempt_finished") >= len(CALLS)
    assert all(json.loads(line)["event"] for line in as_json.splitlines()[:-1])
    assert all("[redacted]" in kept[f"error of {server}_refuse"] for server in ("told", "sent", "user"))
    assert "[redacted]" in kept["tools/list"]
    assert found_in(kept) == []


def assert_planted(answers: dict[str, str]) -> None:
    """What is not to be seen was really given to the servers, and they said it."""
    places = {"told": ("flag", "pair", "env", "odd"), "sent": ("bearer", "key", "cookie", "custom", "query")}
    for server, given in places.items():
        assert [place for place in given if SECRETS[place] not in answers[f"{server}_tell"]] == []
    assert BASIC in answers["user_tell"]
    assert ARGUMENT in answers["told_tell"]


@pytest.mark.requirement("SECRETS")
async def test_errors_of_the_library_and_their_causes_have_no_planted_secret() -> None:
    with telltale.serving() as port:
        endpoints: dict[str, HttpEndpoint | StdioEndpoint] = {
            "told": StdioEndpoint(
                sys.executable, (SCRIPT, "--token", SECRETS["flag"]), {"TELL_SECRET": SECRETS["env"]}
            ),
            "sent": HttpEndpoint(f"http://127.0.0.1:{port}/mcp", {"Authorization": f"Bearer {SECRETS['bearer']}"}),
            "user": HttpEndpoint(f"http://ada:{SECRETS['user-word']}@127.0.0.1:{port}/mcp?key={SECRETS['query']}"),
        }
        kept: dict[str, str] = {}
        async with EnhancedMCPClient(endpoints) as client:
            for name in CALLS:
                try:
                    await client.call_tool(name, {"text": "x"}, timeout=0.3 if name.endswith("hang") else 10.0)
                except CallError as error:
                    whole = "".join(traceback.format_exception(error))
                    kept[name] = f"{error} {error!r} {vars(error)} {whole}"
            kept["client"] = f"{client!r} {client.health()} {client.registry.tools()}"
    failed = {name.partition("_")[2] for name in kept if "_" in name}
    assert failed == {"refuse", "misanswer", "hang", "status", "die"}
    assert found_in(kept) == []

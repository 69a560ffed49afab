"""The command line as its users run it: what it prints where, and with which status it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.servers.redis_servers import redis_server
from trunkline.testing.processes import free_port, stdio_command

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

Done = subprocess.CompletedProcess[str]


def trunkline(*arguments: str, folder: Path, text: str | None = None) -> Done:
    """Run the command in `folder`; nothing may ever print a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", *arguments],
        cwd=folder,
        input=text,
        stdin=None if text is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose mcp.json names one server that works."""
    program, arguments = stdio_command()
    document = {"mcpServers": {"lab": {"command": program, "args": arguments}}}
    (tmp_path / "mcp.json").write_text(json.dumps(document), "utf-8")
    return tmp_path


@pytest.fixture
def half(folder: Path) -> Path:
    """The same with a second server that cannot be started."""
    document = json.loads((folder / "mcp.json").read_text())
    document["mcpServers"]["gone"] = {"command": str(folder / "no-such-program")}
    (folder / "mcp.json").write_text(json.dumps(document), "utf-8")
    return folder


def test_a_call_prints_its_result_and_says_on_stderr_where_it_came_from(folder: Path) -> None:
    done = trunkline("call", "lab_add", '{"a": 1, "b": 2}', folder=folder)
    assert (done.returncode, done.stdout) == (0, "3\n")
    assert done.stderr.startswith("server lab; 1 attempt; ")


def test_a_call_takes_its_arguments_from_stdin_and_prints_json_for_programs(folder: Path) -> None:
    done = trunkline(
        "call", "mcp.json", "lab_add", "-", "--json", "--timeout", "20", folder=folder, text='{"a":1,"b":2}'
    )
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert told["result"]["structuredContent"] == {"sum": 3}
    assert told["provenance"]["server"] == "lab"


def test_a_tools_own_error_is_printed_and_is_status_three(folder: Path) -> None:
    done = trunkline("call", "lab_fail", '{"message": "no"}', folder=folder)
    assert (done.returncode, done.stdout) == (3, "no\n")


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        pytest.param("lab_add", '{"a": 1, "c": 2}', "lab_add: arguments.b", id="arguments"),
        pytest.param("lab_ad", "{}", '"lab_add"', id="name"),
        pytest.param("lab_rpc_error", '{"code": -32603, "message": "x"}', "the tool may have run", id="server"),
    ],
)
def test_a_call_that_fails_is_status_one_and_says_why(folder: Path, tool: str, arguments: str, words: str) -> None:
    done = trunkline("call", tool, arguments, folder=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trunkline: ")
    assert words in done.stderr


def test_tools_are_a_table_or_json_and_a_server_without_any_is_named(half: Path) -> None:
    done = trunkline("tools", folder=half)
    heads, first, *_ = done.stdout.splitlines()
    assert done.returncode == 1
    assert heads.split() == ["NAME", "SERVER", "AVAILABILITY", "HINTS", "CACHE", "DESCRIPTION"]
    assert first.split()[:3] == ["lab_echo", "lab", "available"]
    assert done.stderr.startswith("trunkline: gone: gave no tools: program or folder not found")
    told = json.loads(trunkline("tools", "--json", folder=half).stdout)
    assert told["tools"][0]["definition"]["inputSchema"]["required"] == ["text"]
    assert told["failed"][0]["server"] == "gone"


def test_tools_say_how_long_their_answers_are_kept_and_a_call_says_how_to_use_them(folder: Path) -> None:
    document = json.loads((folder / "mcp.json").read_text())
    document["trunkline"] = {"tools": {"lab_*": {"cache": {"ttl": 90}}}}
    (folder / "mcp.json").write_text(json.dumps(document), "utf-8")
    told = json.loads(trunkline("tools", "--json", folder=folder).stdout)["tools"]
    ttls = {tool["name"]: tool["cache_ttl"] for tool in told}
    # The second says that it writes.
    assert (ttls["lab_lookup"], ttls["lab_append"]) == (90.0, None)
    table = trunkline("tools", folder=folder).stdout
    assert re.search(r"^lab_lookup .* 90 s ", table, re.MULTILINE)
    for mode, words in (("use", "cache miss"), ("refresh", "cache miss"), ("bypass", "")):
        done = trunkline("call", "--cache", mode, "lab_lookup", '{"op": "a"}', folder=folder)
        assert (done.returncode, done.stdout) == (0, "a\n")
        assert words in done.stderr
        assert ("cache" in done.stderr) == bool(words)
    done = trunkline("call", "--cache", "skip", "lab_lookup", '{"op": "a"}', folder=folder)
    assert (done.returncode, "invalid choice: 'skip'" in done.stderr) == (2, True)


def test_the_cache_of_a_running_gateway_is_shown_and_steered(folder: Path) -> None:
    document = json.loads((folder / "mcp.json").read_text())
    document["trunkline"] = {"tools": {"lab_lookup": {"cache": {"ttl": 90, "tags": ["found"]}}}}
    (folder / "mcp.json").write_text(json.dumps(document), "utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "trunkline", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as gateway:
        try:
            assert gateway.stderr is not None
            assert "listens on" in gateway.stderr.readline()
            anyio.run(_looked_up_twice, url)
            shown = trunkline("cache", "stats", url, folder=folder).stdout
            assert "hit ratio  50.0 % (hits 1, stale 0, coalesced 0, misses 1)" in shown
            assert "redis      none is configured" in shown
            assert re.search(r"^lab_lookup +50.0 % +1 +0 +0 +1 +0$", shown, re.MULTILINE)
            told = json.loads(trunkline("cache", "stats", url, "--json", folder=folder).stdout)
            assert told["stats"]["entries"] == 1
            arguments = ("--tool", "lab_lookup", "--arguments", '{"op": "a"}')
            done = trunkline("cache", "invalidate", url, *arguments, folder=folder)
            assert done.stdout == 'invalidated: tool "lab_lookup", arguments {"op": "a"}\n'
            done = trunkline("cache", "invalidate", url, "--tag", "fund", folder=folder)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == 'trunkline: no tag is named "fund"; did you mean "found"?\n'
            assert trunkline("cache", "clear", url, folder=folder).stdout == "cleared\n"
            assert json.loads(trunkline("cache", "stats", url, "--json", folder=folder).stdout)["stats"]["entries"] == 0
        finally:
            gateway.kill()


async def _looked_up_twice(url: str) -> None:
    async with Client(f"{url}/mcp") as client:
        for _ in range(2):
            assert not (await client.call_tool("lab_lookup", {"op": "a"})).is_error


def test_check_reports_each_server_and_its_status_says_it(half: Path) -> None:
    done = trunkline("check", "--json", folder=half)
    lab, gone = json.loads(done.stdout)["servers"]
    assert done.returncode == 1
    assert (lab["ok"], lab["era"], lab["tools"]) == (True, "2026-07-28", 10)
    assert (gone["ok"], "not found" in gone["reason"]) == (False, True)


def test_check_of_a_sound_configuration_is_fine(folder: Path) -> None:
    done = trunkline("check", "mcp.json", folder=folder)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split()[:2] == ["lab", "ok"]


def test_check_asks_a_redis_that_is_configured_and_its_status_says_it(folder: Path) -> None:
    document = json.loads((folder / "mcp.json").read_text())
    redis = {"url": f"redis://:hunter2@127.0.0.1:{free_port()}"}
    document["trunkline"] = {"cache": {"partition": "all", "redis": redis}}
    (folder / "mcp.json").write_text(json.dumps(document), "utf-8")
    done = trunkline("check", folder=folder)
    assert done.returncode == 1
    assert done.stdout.splitlines()[2].split()[:2] == ["(redis)", "failed"]
    assert done.stderr == (
        "trunkline: (redis): the shared cache is not used: it cannot be reached; calls are served without it, and "
        "nothing is shared\n"
    )
    told = json.loads(trunkline("check", "--json", folder=folder).stdout)
    assert (told["servers"][0]["ok"], told["redis"]["ok"]) == (True, False)


async def test_check_of_a_redis_that_answers_is_fine(folder: Path) -> None:
    document = json.loads((folder / "mcp.json").read_text())
    async with redis_server() as redis:
        document["trunkline"] = {"cache": {"partition": "all", "redis": {"url": redis.url, "deadline": 5.0}}}
        (folder / "mcp.json").write_text(json.dumps(document), "utf-8")
        done = await anyio.to_thread.run_sync(lambda: trunkline("check", folder=folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[2].split()[:2] == ["(redis)", "ok"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["tools", "absent.toml"], "absent.toml: no such file", id="missing file"),
        pytest.param(["check", "broken.json"], "broken.json", id="broken file"),
        pytest.param(["call", "lab_add", "{nope}"], "line 1 column 2", id="not json"),
        pytest.param(["call", "lab_add", "[1]"], "must be a JSON object", id="not an object"),
        pytest.param(["call", "lab_add"], "takes [CONFIG] TOOL JSON", id="too few words"),
        pytest.param(["call", "lab_add", "{}", "--timeout", "-1"], "greater than 0", id="timeout"),
        pytest.param(["fly"], "trunkline --help", id="no such command"),
        pytest.param([], "trunkline --help", id="no command"),
        pytest.param(["serve", "--host", "0.0.0.0"], "--host 127.0.0.1", id="open host"),
        pytest.param(["serve", "--host", "example.org"], "--host 127.0.0.1", id="host name"),
        pytest.param(["serve", "broken.json", "--port", "0"], "broken.json", id="serve broken file"),
    ],
)
def test_a_users_mistake_is_status_two_and_one_line_that_says_what_to_do(
    folder: Path, arguments: list[str], words: str
) -> None:
    (folder / "broken.json").write_text('{"mcpServers": [}', "utf-8")
    done = trunkline(*arguments, folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("trunkline: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_without_any_configuration_a_command_says_what_to_create(tmp_path: Path) -> None:
    done = trunkline("tools", folder=tmp_path)
    assert done.returncode == 2
    assert "trunkline.toml, trunkline.json, mcp.json, .mcp.json" in done.stderr


def test_a_port_in_use_is_status_one_before_any_server_is_started(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = trunkline("serve", "--port", port, folder=folder)
    assert done.returncode == 1
    assert done.stderr == (
        f"trunkline: port {port} on 127.0.0.1 is in use; "
        "stop what uses it, or choose another with --port (0 takes any)\n"
    )


def test_serving_without_a_configuration_says_so_aloud_and_runs(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "trunkline", "serve", "absent.json", "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert "absent.json: no such file; the built-in configuration" in process.stderr.readline()
            assert f"listens on http://127.0.0.1:{port} in front of no server" in process.stderr.readline()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.mark.parametrize("command", ["serve", "tools", "call", "check"])
def test_help_has_an_example_and_the_exit_codes(tmp_path: Path, command: str) -> None:
    done = trunkline(command, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert f"example:\n  trunkline {command} " in done.stdout
    assert "130 interrupted" in done.stdout


def test_a_reader_that_leaves_early_causes_no_traceback(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", "tools"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_an_interrupted_command_is_status_130(tmp_path: Path) -> None:
    program, arguments = stdio_command(hang_at_start=True)
    document = {"mcpServers": {"mute": {"command": program, "args": arguments}}}
    (tmp_path / "mcp.json").write_text(json.dumps(document), "utf-8")
    command = [sys.executable, "-m", "trunkline", "check"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")

"""Clients that other projects ship, each from an environment of its own, through a gateway that is a process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.resilience.gateways import RunningGateway, running_gateway

pytestmark = [pytest.mark.integration, pytest.mark.requirement("HOSTS")]

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests" / "hosts"
HOSTS = ROOT / ".hosts"
NPM = HOSTS / "npm"
INSPECTOR = NPM / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"

LEGACY, MODERN = "2025-11-25", "2026-07-28"
VISITORS: dict[str, tuple[Path, str, tuple[str, ...], list[str]]] = {
    "python-1": (HOSTS / "sdk1/bin/python", "sdk1.py", (), [LEGACY]),
    "python-2": (Path(sys.executable), "sdk2.py", ("legacy", MODERN), [LEGACY, MODERN]),
    "fastmcp": (HOSTS / "fastmcp/bin/python", "fastmcp_client.py", ("legacy", "auto"), [LEGACY, MODERN]),
    "typescript-1": (NPM / "node", "typescript.mjs", ("1", "legacy"), [LEGACY]),
    "typescript-2": (NPM / "node", "typescript.mjs", ("2", "legacy", MODERN), [LEGACY, MODERN]),
}
"""By name: what runs which script, with which arguments after the address, and the versions that are spoken then."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    everything = {"command": str(ROOT / ".servers/bin/mcp-server-everything"), "args": ["stdio"]}
    with running_gateway(tmp_path_factory.mktemp("hosts"), "faulty", others={"everything": everything}) as running:
        yield running
        assert running.complaints() == []


def run(
    program: Path | str, *arguments: str, home: Path, script: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a client of another project to its end; `script` is given to it as its standard input."""
    assert Path(program).exists(), f"{program} is missing: run make hosts"
    return subprocess.run(
        [str(program), *arguments],
        cwd=NPM,
        # What it remembers goes where it is thrown away.
        env={**os.environ, "HOME": str(home)},
        input=None if script is None else script.read_text("utf-8"),
        stdin=subprocess.DEVNULL if script is None else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("visitor", VISITORS)
def test_a_client_lists_calls_reads_and_learns_what_went_wrong(
    gateway: RunningGateway, tmp_path: Path, visitor: str
) -> None:
    program, script, arguments, versions = VISITORS[visitor]
    url = f"{gateway.url}/mcp"
    if script.endswith(".mjs"):
        # On standard input a module finds the packages of the folder that it is run in.
        done = run(program, "--input-type=module", "-", url, *arguments, home=tmp_path, script=SCRIPTS / script)
    else:
        done = run(program, str(SCRIPTS / script), url, *arguments, home=tmp_path)
    assert done.returncode == 0, done.stderr
    visits = [json.loads(line) for line in done.stdout.splitlines()]
    assert [visit.pop("version") for visit in visits] == versions
    for seen in visits:
        tools = seen.pop("tools")
        assert {"faulty_add", "everything_echo"} <= set(tools)
        assert tools == [tool["name"] for tool in gateway.get("/api/v1/tools")["tools"]]
        assert seen == {
            "sum": 5,
            "provenance": "faulty",
            "failed": [True, "as tools do"],
            "refused": {"code": 31014, "may_have_run": True},
            "resource": True,
        }


def inspect(gateway: RunningGateway, home: Path, *arguments: str) -> tuple[int, Any, str]:
    """Exit status, JSON and complaints of the Inspector's command line."""
    done = run(NPM / "node", str(INSPECTOR), "--cli", f"{gateway.url}/mcp", *arguments, home=home)
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


def test_the_inspector_lists_calls_and_reads(gateway: RunningGateway, tmp_path: Path) -> None:
    status, listed, said = inspect(gateway, tmp_path, "--method", "tools/list")
    assert status == 0, said
    assert {"faulty_add", "everything_echo"} <= {tool["name"] for tool in listed["tools"]}
    # It looks for schemas that some model would refuse; ours are the servers' own.
    assert re.search(r"\b0 errors", said)

    call = ("--method", "tools/call", "--tool-name")
    status, called, said = inspect(gateway, tmp_path, *call, "faulty_add", "--tool-arg", "a=2", "--tool-arg", "b=3")
    assert (status, called["structuredContent"]) == (0, {"sum": 5}), said

    status, failed, said = inspect(gateway, tmp_path, *call, "faulty_fail", "--tool-arg", "message=as tools do")
    assert (failed["isError"], failed["content"][0]["text"]) == (True, "as tools do")
    assert (status, "tool_is_error" in said) == (5, True)

    uri = "demo://resource/static/document/features.md"
    status, read, said = inspect(gateway, tmp_path, "--method", "resources/read", "--uri", uri)
    assert (status, read["contents"][0]["uri"]) == (0, uri), said

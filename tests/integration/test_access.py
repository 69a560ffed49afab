"""A gateway that asks who calls, as a process, and the commands that talk to it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from trunkline.testing.processes import free_port

pytestmark = [pytest.mark.integration, pytest.mark.requirement("GATEWAY-AUTH")]

TOKEN = "a-token-of-the-test"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    olga = {"token_sha256": [hashlib.sha256(TOKEN.encode()).hexdigest()], "watch": True}
    alice = {"token_sha256": [hashlib.sha256(b"of-alice").hexdigest()]}
    config = tmp_path_factory.mktemp("access") / "mcp.json"
    ours = {"gateway": {"principals": {"olga": olga, "alice": alice}}}
    config.write_text(json.dumps({"mcpServers": {}, "trunkline": ours}), "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "listens on" in line:
                break
        with urlopen(f"http://127.0.0.1:{port}/health/live", timeout=20) as answer:
            assert answer.status == 200
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def trunkline(*words: str, token: str | None) -> tuple[int, str]:
    """Run a command with that token in its environment; its status, and all that it printed."""
    environ = {name: value for name, value in os.environ.items() if name != "TRUNKLINE_TOKEN"}
    if token is not None:
        environ["TRUNKLINE_TOKEN"] = token
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", *words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("words", [("cache", "stats"), ("top", "--once")], ids=["cache", "top"])
def test_commands_come_with_the_token_of_their_environment_and_say_what_they_lack(
    words: tuple[str, ...], url: str
) -> None:
    status, told = trunkline(*words, url, token=None)
    assert status == 1
    assert "TRUNKLINE_TOKEN" in told
    status, told = trunkline(*words, url, token="of-alice")
    assert status == 1
    assert "watch" in told
    status, told = trunkline(*words, url, token=TOKEN)
    assert status == 0, told
    assert TOKEN not in told


def test_any_other_address_than_loopback_takes_principals(tmp_path: Path) -> None:
    config = tmp_path / "mcp.json"
    config.write_text('{"mcpServers": {}}', "utf-8")
    status, told = trunkline("serve", str(config), "--host", "0.0.0.0", "--port", "0", token=None)
    assert status == 2
    assert "trunkline token" in told
    assert "Traceback" not in told

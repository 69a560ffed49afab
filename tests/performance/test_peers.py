"""Other gateways that are measured beside ours: one that does not run is named, and the others are measured."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from benchmarks.peers.gateways import Peer, Upstream
from benchmarks.peers.starting import started

LISTENING = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), None).serve_forever()"


def peer(name: str, program: str) -> Peer:
    return Peer(name, "1.0", lambda _, port: [sys.executable, "-c", program, str(port)], {("HTTP", "auto"): "/mcp"})


@pytest.mark.requirement("P7")
def test_a_gateway_that_does_not_start_is_named_with_its_last_words_and_the_others_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peers = [peer("lively", LISTENING), peer("broken", "import sys; print('first'); sys.exit('no such key')")]

    async def names() -> list[str]:
        upstream = Upstream("http://127.0.0.1:9/mcp", ["nobody"], tmp_path / "mcp.json", tmp_path)
        async with started(peers, upstream) as addresses:
            return [found.name for found in addresses]

    assert anyio.run(names) == ["lively"]
    printed = capsys.readouterr().out
    assert printed.count("NOT MEASURED") == 1
    assert "NOT MEASURED: broken: RuntimeError('it ended with status 1: no such key')" in printed

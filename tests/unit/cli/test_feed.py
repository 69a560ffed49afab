"""What the feed tells of a gateway, and of what is none: by a small real server that says what it is told to."""

from __future__ import annotations

import json
import queue
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.unit.cli.views import view
from trunkline.cli.gateway_requests import GatewayAddress
from trunkline.cli.terminal.feed import Feed, News
from trunkline.cli.terminal.shown import Away
from trunkline.testing.processes import free_port

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def event(kind: str, data: Any) -> bytes:
    return f"id: 1\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


@contextmanager
def following(*answers: bytes) -> Iterator[queue.SimpleQueue[News]]:
    """A feed before a server that gives each connection the next answer and hangs up; the last one stays."""
    left = list(answers)

    class Answering(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(left.pop(0) if len(left) > 1 else left[0])

    told: queue.SimpleQueue[News] = queue.SimpleQueue()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        feed = Feed(GatewayAddress.of(f"http://127.0.0.1:{server.server_address[1]}"), told.put)
        feed.start()
        try:
            yield told
        finally:
            feed.stop()
            server.shutdown()


def test_a_patch_changes_the_view_before_it_and_the_end_of_the_stream_is_told_and_not_final() -> None:
    patch = {"totals": {"rate": 7.5, "error_ratio": None}, "domains": {"new": {"badness": 0}}}
    stream = STREAM + b": hello\n\n" + event("view", view()) + event("patch", patch)
    with following(stream, STREAM + event("view", view(servers=1))) as told:
        first, second, away, third = (told.get(timeout=20) for _ in range(4))
    assert first == view()
    assert not isinstance(second, Away)
    assert second["totals"] == {**{k: v for k, v in view()["totals"].items() if k != "error_ratio"}, "rate": 7.5}
    assert second["domains"].keys() == {"checkout", "catalogue", "new"}
    assert isinstance(away, Away)
    assert away.reason == "it has ended the stream"
    assert third == view(servers=1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "it answers with status 404: no gateway of this version",
        ),
        (STREAM + event("view", {"hello": 1}), "what answers is no gateway of this version"),
        (STREAM + event("view", [1]), "what answers is no gateway of this version"),
        (STREAM + b"event: view\ndata: {\n\n", "Expecting property name"),
        (STREAM + event("patch", {"at": 1}), "what answers is no gateway of this version"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
    ],
    ids=["404", "other", "no-object", "no-json", "patch-first", "no-http"],
)
def test_what_is_no_gateway_is_away_with_the_reason(answer: bytes, reason: str) -> None:
    with following(answer) as told:
        away = told.get(timeout=20)
    assert isinstance(away, Away)
    assert away.reason.startswith(reason)


def test_a_gateway_that_is_not_there_is_said_in_words() -> None:
    told: queue.SimpleQueue[News] = queue.SimpleQueue()
    feed = Feed(GatewayAddress.of(f"http://127.0.0.1:{free_port()}"), told.put)
    feed.start()
    away = told.get(timeout=20)
    feed.stop()
    assert isinstance(away, Away)
    assert away.reason == "Connection refused"


def test_away_is_told_with_since_when_and_not_anew_with_each_try() -> None:
    with following(b"") as told:
        first, second = told.get(timeout=20), told.get(timeout=20)
    assert isinstance(first, Away)
    assert first == second

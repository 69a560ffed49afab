"""Requests that there is nothing special about: what they are, and that nobody can tell h11 is not in it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import anyio
import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gateway.raw_connections import LIMITS, Server, posted, said, serving
from trunkline.gateway.plain_exchange import PlainRequest, plain_request
from trunkline.gateway.plain_protocol import PlainProtocol

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("GATEWAY-ATTACKS")]

LENGTH = b"Content-Length: 5"
PLAIN = posted(b"/mcp", b"X-A:  b c \t\r\n" + LENGTH + b"\r\nConnection: Keep-Alive", b"abcde")


def test_a_plain_request_is_read() -> None:
    found = plain_request(PLAIN + b"GET")
    headers = [(b"host", b"x"), (b"x-a", b"b c"), (b"content-length", b"5"), (b"connection", b"Keep-Alive")]
    assert found == PlainRequest(b"/mcp", headers, len(PLAIN) - 5, 5)


@pytest.mark.parametrize(
    "sent",
    [
        PLAIN[: PLAIN.index(b"abcde") - 1],
        PLAIN.replace(b"POST", b"GET"),
        PLAIN.replace(b"POST", b"post"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"/mcp", b"/m%63p"),
        PLAIN.replace(b"/mcp", b"/mcp?a"),
        PLAIN.replace(b"/mcp", b"mcp"),
        PLAIN.replace(b"/mcp ", b"/mcp  "),
        PLAIN.replace(b"Host: x\r\n", b""),
        PLAIN.replace(b"Host: x\r\n", b"Host: x\r\nHost: x\r\n"),
        PLAIN.replace(LENGTH, b"X: y"),
        PLAIN.replace(LENGTH, LENGTH + b"\r\n" + LENGTH),
        PLAIN.replace(LENGTH, b"Content-Length: +5"),
        PLAIN.replace(LENGTH, b"Content-Length: 5, 5"),
        PLAIN.replace(LENGTH, b"Content-Length: \xb2"),
        PLAIN.replace(LENGTH, b"Content-Length: " + b"0" * 20 + b"5"),
        PLAIN.replace(LENGTH, LENGTH + b"\r\nTransfer-Encoding: chunked"),
        PLAIN.replace(LENGTH, LENGTH + b"\r\nExpect: 100-continue"),
        PLAIN.replace(LENGTH, LENGTH + b"\r\nUpgrade: h2c"),
        PLAIN.replace(LENGTH, LENGTH + b"\r\nTrailer: x"),
        PLAIN.replace(LENGTH, LENGTH + b"\r\nTE: trailers"),
        PLAIN.replace(b"Keep-Alive", b"close"),
        PLAIN.replace(b"Keep-Alive", b"keep-alive, X-A"),
        PLAIN.replace(b"X-A", b"X A"),
        PLAIN.replace(b"X-A:", b"X-A :"),
        PLAIN.replace(b"X-A:", b""),
        PLAIN.replace(b"b c", b"b\x01c"),
        PLAIN.replace(b"b c", b"b\xe9c"),
        PLAIN.replace(b"b c", b"b\rc"),
        PLAIN.replace(b"b c", b"b\nc"),
        PLAIN.replace(b"b c", b"b\r\n c"),
        b"\r\n" + PLAIN,
        b"",
    ],
)
def test_what_is_not_quite_that_is_left_alone(sent: bytes) -> None:
    assert plain_request(sent) is None


@pytest.mark.timeout(30)
def test_a_long_row_of_spaces_takes_no_longer_than_other_letters() -> None:
    # A pattern that goes over the rest of the row from each space of it takes two minutes, and the loop with it.
    spaces = b" " * 250_000
    found = plain_request(PLAIN.replace(b"b c", b"b" + spaces + b"c"))
    assert found is not None
    assert found.headers[1] == (b"x-a", b"b" + spaces + b"c")


@given(st.binary(max_size=80), st.integers(0, len(PLAIN)), st.integers(0, 30))
def test_whatever_is_read_as_plain_means_the_same_to_h11(noise: bytes, at: int, cut: int) -> None:
    sent = PLAIN[:at] + noise + PLAIN[at + cut :]
    found = plain_request(sent)
    if found is None:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(sent)
    event = other.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target, list(event.headers)) == (b"POST", found.target, found.headers)
    body = other.next_event()
    assert (bytes(body.data) if isinstance(body, h11.Data) else b"") == sent[found.begins :][: found.length]


def comparable(answers: bytes) -> list[bytes]:
    """What a client can tell apart: the date is as it comes."""
    return sorted(re.sub(rb"\r\ndate: [^\r]*", b"", answers).lower().split(b"\r\n"))


def started(status: int = 200, **headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def went_on(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


ANSWERS = {
    "/stream": [
        started(x="y"),
        *(went_on(piece, more=True) for piece in (b"abcde", b"", b"x" * 300)),
        went_on(b"|end|"),
    ],
    "/pieces": [started(content_length="9"), went_on(b"abcd", more=True), went_on(b"|end|")],
    "/chunks": [started(transfer_encoding="chunked"), went_on(b"abcde", more=True), went_on(b"|end|")],
    "/nothing": [started(204), went_on(b"")],
    "/hang-up": [started(403, connection="close", content_length="2"), went_on(b"no")],
    "/split": [started(x="y\r\nz: a"), went_on(b"")],
    "/too-long": [started(content_length="2"), went_on(b"abc")],
    "/too-short": [started(content_length="2"), went_on(b"a")],
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    body, is_whole = b"", False
    while not is_whole:
        message = await receive()
        body, is_whole = body + message.get("body", b""), not message.get("more_body", False)
    if scope["path"] == "/break":
        raise RuntimeError
    if scope["path"] not in ANSWERS:
        await said(send, repr(sorted(scope["headers"])).encode() + scope["path"].encode() + body)
    for message in ANSWERS.get(scope["path"], []):
        await send(message)


@pytest.mark.parametrize(
    ("path", "ends"),
    [
        ("/a", 2),
        ("/stream", 2),
        ("/pieces", 2),
        ("/chunks", 2),
        ("/hang-up", 0),
        ("/break", 0),
        ("/split", 0),
    ],
)
async def test_an_answer_is_what_it_would_be_by_h11(monkeypatch: pytest.MonkeyPatch, path: str, ends: int) -> None:
    sent = posted(path.encode(), b"X-A: b\r\nContent-Length: 5", b"abcde")
    async with serving(app) as server:
        ours = await server.answers(sent + sent, ends=ends)
    monkeypatch.setattr(PlainProtocol, "_take", lambda *_: False)
    async with serving(app) as server:
        theirs = await server.answers(sent + sent, ends=ends)
    assert comparable(ours) == comparable(theirs)
    assert b"z: a" not in ours


async def test_nothing_but_a_head_goes_out_where_there_is_no_body() -> None:
    async with serving(app) as server:
        answers = await server.answers(
            posted(b"/nothing", LENGTH, b"abcde"), posted(b"/a", LENGTH + b"\r\nConnection: close", b"abcde")
        )
    assert answers.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"chunked" not in answers
    assert answers.count(b"HTTP/1.1 ") == 2


@pytest.mark.parametrize("path", [b"/too-long", b"/too-short"])
async def test_an_answer_of_another_length_than_it_says_ends_the_connection(path: bytes) -> None:
    async with serving(app) as server:
        answers = await server.answers(posted(path, LENGTH, b"abcde"))
    assert answers == b"", "nothing is better than an answer whose end nobody can find"


async def test_answers_out_of_their_order_are_mistakes() -> None:
    mistakes: list[str] = []

    async def confused(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
        body = {"type": "http.response.body", "body": b"|end|"}
        for message in (body, start, start, body, body):
            try:
                await send(message)
            except RuntimeError as error:
                mistakes.append(str(error))

    async with serving(confused) as server:
        answers = await server.answers(posted(b"/a", LENGTH, b"abcde"), ends=1)
    assert answers.endswith(b"\r\n\r\n|end|")
    assert mistakes == [f"http.response.{kind} is out of its order" for kind in ("body", "start", "body")]


async def test_whether_h11_has_a_part_in_it_is_decided_by_what_comes_and_by_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain: list[bytes] = []
    serve = PlainProtocol._serve

    def noting(self: PlainProtocol, request: PlainRequest, body: bytes) -> None:
        plain.append(body)
        serve(self, request, body)

    monkeypatch.setattr(PlainProtocol, "_serve", noting)
    # A machine that is busy with other things must not make any piece a late one.
    monkeypatch.setattr("trunkline.gateway.plain_protocol._LATE", 10.0)

    async def answered(server: Server, *pieces: bytes, ends: int = 1) -> int:
        plain.clear()
        answers = await server.answers(*pieces, ends=ends, pause=0.01)
        assert answers.count(b"HTTP/1.1 200 ") == ends
        return len(plain)

    sent = posted(b"/a", LENGTH, b"abcde")
    other = b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving() as server:
        assert await answered(server, sent) == 1
        assert await answered(server, sent[:-5], sent[-5:]) == 1
        assert await answered(server, sent[:-5], sent[-5:-2], sent[-2:]) == 1
        assert await answered(server, sent[:30], sent[30:]) == 0, "a head in two pieces is h11's"
        assert await answered(server, sent + sent, ends=2) == 0, "what comes in one piece is h11's as a whole"
        assert await answered(server, other + sent, ends=2) == 0
        assert await answered(server, other, sent, sent, other, sent, ends=5) == 3
        assert await answered(server, sent[:-5] + b"abcde" + other, ends=2) == 0
        large = LIMITS.body - 1
        body = b"x" * large
        assert await answered(server, posted(b"/a", b"Content-Length: %d" % large, body)) == 1
        over = LIMITS.body + 1
        assert await answered(server, posted(b"/refuse", b"Content-Length: %d" % over)) == 0, "it would wait for it"


async def test_what_comes_while_a_request_is_answered_waits_and_is_served_then() -> None:
    begun, go_on = anyio.Event(), anyio.Event()
    served: list[str] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        served.append(scope["path"])
        if scope["path"] == "/first":
            begun.set()
            await go_on.wait()
        await said(send, scope["path"].encode())

    async with serving(slow) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with anyio.fail_after(10):
            writer.write(posted(b"/first", LENGTH, b"abcde"))
            await begun.wait()
            writer.write(posted(b"/second", LENGTH, b"abcde") + posted(b"/third", LENGTH, b"abc"))
            await anyio.sleep(0.1)
            assert served == ["/first"]
            go_on.set()
            writer.write(b"de")
            found = b""
            while found.count(b"|end|") < 3:
                found += await reader.read(65536)
        writer.close()
    assert served == ["/first", "/second", "/third"]


async def test_a_body_that_does_not_come_is_the_applications_to_wait_for() -> None:
    begun = anyio.Event()
    left = anyio.Event()

    async def waiting(_scope: Any, receive: Any, _send: Any) -> None:
        begun.set()
        while (message := await receive())["type"] != "http.disconnect":
            assert message["more_body"]
        left.set()

    async with serving(waiting) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(posted(b"/a", LENGTH, b"ab"))
        with anyio.fail_after(10):
            await begun.wait()
            writer.close()
            await left.wait()
        assert server.refused == []


async def test_who_leaves_before_the_body_has_come_leaves_nothing_behind() -> None:
    async with serving() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(posted(b"/a", LENGTH, b"ab"))
        await anyio.sleep(0.02)
        writer.close()
        with anyio.fail_after(10):
            while server.state.connections:  # noqa: ASYNC110 - the web server's own set, which tells nobody
                await anyio.sleep(0.01)
        await anyio.sleep(0.1)
        assert server.served == []


async def test_a_server_that_ends_does_not_forget_what_has_come_of_a_request() -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        sent = posted(b"/a", LENGTH, b"abcde")
        writer.write(sent[:-2])
        with anyio.fail_after(10):
            connections: Any = server.state.connections
            while not any(connection.is_holding for connection in connections):  # noqa: ASYNC110 - as above
                await anyio.sleep(0.001)
            for connection in list(connections):
                connection.shutdown()
            writer.write(sent[-2:])
            assert (await reader.read()).endswith(b"POST /a abcde|end|")
        writer.close()
    assert server.served == [("POST", "/a", b"abcde")]

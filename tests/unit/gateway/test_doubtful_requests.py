"""What comes over a connection has one meaning, or is refused: nothing gets the benefit of a doubt."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.unit.gateway.raw_connections import HOST, posted, said, serving

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("GATEWAY-ATTACKS")]

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "no host": b"GET /a HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /a HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "lengths that differ": posted(b"/a", b"Content-Length: 5\r\nContent-Length: 6", b"abcde"),
    "a length with a sign": posted(b"/a", b"Content-Length: +5", b"abcde"),
    "a length below nothing": posted(b"/a", b"Content-Length: -5", b"abcde"),
    "a length in another base": posted(b"/a", b"Content-Length: 0x5", b"abcde"),
    "an empty length": posted(b"/a", b"Content-Length: ", b"abcde"),
    "a length of two words": posted(b"/a", b"Content-Length: 5 6", b"abcde"),
    "a length without measure": posted(b"/a", b"Content-Length: " + b"9" * 40, b"abcde"),
    "another coding": posted(b"/a", b"Transfer-Encoding: xchunked", b"0\r\n\r\n"),
    "two codings": posted(b"/a", b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"),
    "chunked, and not": posted(b"/a", b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n"),
    "a coding said twice": posted(b"/a", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    "a coding behind a tabulator": posted(b"/a", b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n"),
    "a space before the colon": posted(b"/a", b"Content-Length : 5", b"abcde"),
    "no colon": posted(b"/a", b"X"),
    "no name": posted(b"/a", b": a"),
    "NUL in a value": posted(b"/a", b"X: a\x00b"),
    "NUL in a name": posted(b"/a", b"X\x00: a"),
    "a carriage return in a value": posted(b"/a", b"X: a\rY: b"),
    "a folded first line": b"GET /a HTTP/1.1\r\n X: a\r\n" + HOST + b"\r\n",
    "two spaces": b"GET  /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path of other letters": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "a line before the first": b"\r\nGET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "a chunk without a size": CHUNKED + b"zz\r\nab\r\n0\r\n\r\n",
    "a chunk's size in C's words": CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n",
    "a chunk's size with a sign": CHUNKED + b"+2\r\nab\r\n0\r\n\r\n",
    "a chunk's size without measure": CHUNKED + b"f" * 40 + b"\r\nab\r\n0\r\n\r\n",
    "a chunk that is longer": CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
    "a chunk that does not end": CHUNKED + b"2\r\nabXX0\r\n\r\n",
    "a line feed in a chunk's extension": CHUNKED + b"2;a\nb\r\nab\r\n0\r\n\r\n",
    "a line feed after a chunk's size": CHUNKED + b"2\nab\r\n0\r\n\r\n",
}
"""With status 400."""

DOUBTFUL = {
    "a length said twice": (posted(b"/a", b"Content-Length: 5\r\nContent-Length: 5", b"abcde"), b"abcde"),
    "a list of lengths": (posted(b"/a", b"Content-Length: 5, 5", b"abcde"), b"abcde"),
    "a folded value": (posted(b"/a", b"X: a\r\n b"), b""),
    "a folded coding": (posted(b"/a", b"Transfer-Encoding:\r\n chunked", b"0\r\n\r\n"), b""),
    "line feeds alone": (b"POST /a HTTP/1.1\nHost: x\n\n", b""),
    "one line feed alone": (b"POST /a HTTP/1.1\r\nHost: x\nX: a\r\n\r\n", b""),
    "a line feed at the end": (b"POST /a HTTP/1.1\r\nHost: x\r\n\n", b""),
    "a control character": (posted(b"/a", b"X: a\x01b"), b""),
    "a space behind a chunk's size": (CHUNKED + b"2 \r\nab\r\n0\r\n\r\n", b"ab"),
}
"""What not everybody would take, and is one request with this body here."""


@pytest.mark.parametrize("case", REFUSED)
async def test_what_may_mean_two_things_is_refused_and_what_is_hidden_in_it_never_served(case: str) -> None:
    async with serving() as server:
        answers = await server.answers(REFUSED[case] + HIDDEN)
    assert answers.startswith(b"HTTP/1.1 400 "), answers
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answers.lower()
    assert server.refused == ["malformed"]
    assert not [path for _, path, _ in server.served if path == "/hidden"]


@pytest.mark.parametrize("case", DOUBTFUL)
async def test_what_is_not_quite_right_is_one_request(case: str) -> None:
    sent, body = DOUBTFUL[case]
    async with serving() as server:
        answers = await server.answers(sent, ends=1)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert server.served == [("POST", "/a", body)]


@pytest.mark.parametrize("target", [b"http://x/a", b"*", b"x:443", b"/a#b", b"//x/a"])
async def test_a_target_that_is_no_path_is_never_the_path_in_it(target: bytes) -> None:
    method = b"CONNECT" if b":443" in target else b"OPTIONS"
    async with serving() as server:
        await server.answers(method + b" " + target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert [path for _, path, _ in server.served if path == "/a"] == []


async def test_a_length_and_chunks_are_left_to_those_who_refuse_it_or_refused() -> None:
    async with serving() as server:
        both = posted(b"/a", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close", b"0\r\n\r\n")
        answers = await server.answers(both + HIDDEN)
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"hidden" not in answers


async def test_requests_in_one_piece_are_answered_in_their_order_one_at_a_time() -> None:
    sent = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(2000)]
    sent.insert(1, posted(b"/body", b"Content-Length: 3", b"\r\n\r"))
    async with serving() as server:
        answers = await server.answers(b"".join(sent), ends=len(sent))
    paths = [path for _, path, _ in server.served]
    assert paths == ["/0", "/body", *(f"/{number}" for number in range(1, 2000))]
    assert server.served[1] == ("POST", "/body", b"\r\n\r")
    assert answers.count(b"HTTP/1.1 200 ") == len(sent)
    assert server.most_at_once == 1


async def test_where_a_piece_ends_means_nothing() -> None:
    sent = posted(b"/a%20b?c", b"Content-Length: 5\r\nUpgrade: h2c\r\nConnection: Upgrade", b"a\r\n\r\n") + HIDDEN
    async with serving() as server:
        for cut in range(1, len(sent)):
            await server.answers(sent[:cut], sent[cut:], ends=2)
        await server.answers(*(sent[at : at + 1] for at in range(len(sent))), ends=2)
    assert server.served == [("POST", "/a b", b"a\r\n\r\n"), ("GET", "/hidden", b"")] * len(sent)


async def test_who_asks_for_another_protocol_is_answered_in_this_one() -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEA\r\n"
    async with serving() as server:
        await server.answers(posted(b"/a", upgrade + b"Content-Length: 33", HIDDEN) + HIDDEN, ends=2)
        await server.answers(posted(b"/b", upgrade + b"Transfer-Encoding: chunked", b"2\r\nab\r\n0\r\n\r\n"), ends=1)
    assert server.served == [("POST", "/a", HIDDEN), ("GET", "/hidden", b""), ("POST", "/b", b"ab")]


async def test_what_follows_the_last_chunk_is_served_in_its_turn_or_not_at_all() -> None:
    async with serving() as server:
        answers = await server.answers(CHUNKED + b"2\r\nab\r\n0\r\n\r\n" + HIDDEN, ends=1)
        apart = await server.answers(CHUNKED + b"2\r\nab\r\n0\r\nX: y\r\n\r\n", ends=1)
        refused = await server.answers(CHUNKED.replace(b"/a", b"/refuse") + b"2\r\nab\r\n", ends=1)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert b"POST /a ab" in answers
    assert b"POST /a ab" in apart
    assert b"POST /refuse" in refused


async def test_a_head_without_end_is_refused_in_whichever_pieces_it_comes() -> None:
    async with serving() as server:
        for pieces in (1, 50):
            answers = await server.answers(b"GET /a HTTP/1.1\r\nX: ", *[b"x" * (2500 // pieces)] * pieces)
            assert answers.startswith(b"HTTP/1.1 431 ") or answers == b""
        assert server.refused == ["head_too_large"] * 2
        slow = await server.answers(b"GET /a HT")
        assert slow.startswith(b"HTTP/1.1 408 ")
        assert await server.answers(b"") == b""
    assert server.refused[2:] == ["too_slow"]


async def test_what_is_no_http_is_refused_at_once() -> None:
    async with serving() as server:
        answers = await server.answers(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert server.refused == ["malformed"]


@pytest.mark.parametrize("endless", [b"2;", b"0\r\nX: ", b"0\r\n" + b"X: yyyyyyyyyyyyyy\r\n" * 100])
async def test_what_stands_around_chunks_is_bounded_and_is_no_header(endless: bytes) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        while (await receive()).get("more_body", False):
            pass

    async with serving(app) as server:
        answers = await server.answers(CHUNKED + endless, *[b"x" * 1000] * 5)
    assert answers.startswith(b"HTTP/1.1 4") or answers == b""
    assert server.refused in (["head_too_large"], ["malformed"])
    assert [name for name, _ in seen[0]["headers"]] == [b"host", b"transfer-encoding"]


async def test_a_body_that_nobody_wants_any_more_is_not_read_for_ever() -> None:
    async with serving() as server:
        head = posted(b"/refuse", b"Content-Length: 1000000")
        answers = await server.answers(head, *[b"x" * 1000] * 20)
        assert answers.startswith(b"HTTP/1.1 200 ") or answers == b""
        # A shorter one is read to its end, and what follows is served.
        rest = [b"x" * 1000, b"x" * 1000 + HIDDEN]
        answers = await server.answers(posted(b"/refuse", b"Content-Length: 2000"), *rest, ends=2)
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert server.served[-1] == ("GET", "/hidden", b"")


async def test_a_small_answer_comes_in_one_piece_and_an_event_at_once() -> None:
    go_on = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/small":
            await said(send, b"small")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"last|end|"})

    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with anyio.fail_after(10):
            writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.read(65536)).endswith(b"small|end|")
            assert [piece.count(b"HTTP/1.1") for piece in server.written] == [1], "head and body went out apart"
            writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"first" in await reader.read(65536)
            go_on.set()
            assert b"last|end|" in await reader.read(65536)
        writer.close()

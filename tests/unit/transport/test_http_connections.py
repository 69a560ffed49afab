"""What our connections make of what servers do on them, by a server that says byte for byte what it is told to."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import ByteStream, Listener, SocketAttribute
from anyio.streams.tls import TLSListener

from tests.servers.certificates import Certificates, certificates
from trunkline.call import Delivery
from trunkline.transport.http_connections import HttpConnections
from trunkline.transport.wire import WIRE_EXTENSION, Wire

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Behaviour = Callable[[ByteStream], Awaitable[None]]


class Server:
    """Behaves towards each connection as it is told, and counts them."""

    def __init__(self, behave: Behaviour, certificates: Certificates | None = None) -> None:
        self._behave = behave
        self._certificates = certificates
        self.connections = 0
        self.url = ""

    @asynccontextmanager
    async def listening(self, trusted: ssl.SSLContext | None = None) -> AsyncIterator[HttpConnections]:
        """Yield connections to it, which are closed at the end."""
        connections = HttpConnections(trusted or ssl.create_default_context())
        listener: Listener[Any] = await anyio.create_tcp_listener(local_host="127.0.0.1")
        scheme, port = "http", listener.extra(SocketAttribute.local_port)
        if self._certificates is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self._certificates.certificate, self._certificates.key)
            scheme, listener = "https", TLSListener(listener, context, standard_compatible=False)
        self.url = f"{scheme}://127.0.0.1:{port}/mcp"
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._serve)
            yield connections
            await connections.aclose()
            tasks.cancel_scope.cancel()

    async def _serve(self, stream: ByteStream) -> None:
        self.connections += 1
        async with stream:
            try:
                await self._behave(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def ask(self, connections: HttpConnections, wire: Wire | None = None, **timeout: float) -> httpx2.Response:
        """Its answer to one request, read as a whole."""
        extensions = {"timeout": timeout, WIRE_EXTENSION: wire or Wire()}
        request = httpx2.Request("POST", self.url, content=b"what?", extensions=extensions)
        response = await connections.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response


async def request_on(stream: ByteStream) -> bytes:
    """One request, as it comes."""
    received = b""
    while not received.endswith(b"what?"):
        received += await stream.receive()
    return received


def saying(*answers: bytes) -> Behaviour:
    """Answer one request after the other, then hang up."""

    async def behave(stream: ByteStream) -> None:
        for answer in answers:
            await request_on(stream)
            await stream.send(answer)

    return behave


async def test_requests_follow_one_another_on_one_connection() -> None:
    server = Server(saying(OK, OK))
    async with server.listening() as connections:
        answers = [(await server.ask(connections)).content for _ in range(2)]

    assert (answers, server.connections) == ([b"ok", b"ok"], 1)


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    both = anyio.Event()

    async def behave(stream: ByteStream) -> None:
        await request_on(stream)
        if server.connections == 2:
            both.set()
        await both.wait()
        await stream.send(OK)

    server = Server(behave)
    async with server.listening() as connections, anyio.create_task_group() as tasks:
        tasks.start_soon(server.ask, connections)
        tasks.start_soon(server.ask, connections)

    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    ids=["a plain answer", "in chunks"],
)
async def test_what_comes_together_with_an_answer_is_not_the_next_ones(answer: bytes) -> None:
    server = Server(saying(answer + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden"))
    async with server.listening() as connections:
        answers = [(await server.ask(connections)).content for _ in range(2)]

    assert (answers, server.connections) == ([b"ok", b"ok"], 2)


@pytest.mark.parametrize(
    "ending",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ids=["the server hangs up", "the server answers twice"],
)
async def test_a_connection_on_which_something_came_meanwhile_is_not_used_again(ending: bytes) -> None:
    has_ended = anyio.Event()

    async def behave(stream: ByteStream) -> None:
        await request_on(stream)
        await stream.send(OK)
        if server.connections > 1:
            return
        if ending:
            await stream.send(ending)
        else:
            await stream.aclose()
        has_ended.set()

    server = Server(behave)
    async with server.listening() as connections:
        await server.ask(connections)
        await has_ended.wait()
        await anyio.sleep(0.05)
        answer = await server.ask(connections)

    assert (answer.content, server.connections) == (b"ok", 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
    ],
    ids=["close", "1.0"],
)
async def test_a_server_that_wants_a_new_connection_gets_one(answer: bytes) -> None:
    server = Server(saying(answer))
    async with server.listening() as connections:
        answers = [(await server.ask(connections)).content for _ in range(2)]

    assert (answers, server.connections) == ([b"ok", b"ok"], 2)


async def test_what_comes_in_pieces_and_after_a_first_word_is_one_answer() -> None:
    async def behave(stream: ByteStream) -> None:
        await request_on(stream)
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"
        for byte in b"HTTP/1.1 103 Early Hints\r\n\r\n" + chunked:
            await stream.send(bytes([byte]))

    server = Server(behave)
    async with server.listening() as connections:
        assert (await server.ask(connections)).content == b"ok"


async def test_a_plain_answer_may_come_in_pieces_too() -> None:
    async def behave(stream: ByteStream) -> None:
        for _ in range(2):
            await request_on(stream)
            for byte in b"HTTP/1.1 200 \r\nconnection: Keep-Alive\r\ncontent-length:2 \r\n\r\nok":
                await stream.send(bytes([byte]))

    server = Server(behave)
    async with server.listening() as connections:
        answers = [await server.ask(connections) for _ in range(2)]

    assert [(each.status_code, each.content) for each in answers] == [(200, b"ok")] * 2
    assert server.connections == 1


@pytest.mark.parametrize(
    ("said", "content"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No\r\n\r\n", b""),
    ],
    ids=["a length twice", "length and chunks", "no length", "a folded header", "bare newlines", "500", "204"],
)
async def test_an_answer_that_is_not_plain_is_read_as_h11_reads_it(said: bytes, content: bytes) -> None:
    server = Server(saying(said))
    async with server.listening() as connections:
        assert (await server.ask(connections)).content == content


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1e2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nok",
    ],
    ids=["two lengths", "less than nothing", "no number", "a blank in a name", "a null", "an unknown encoding"],
)
async def test_an_answer_that_may_be_read_in_two_ways_is_none(said: bytes) -> None:
    server = Server(saying(said))
    async with server.listening() as connections:
        with pytest.raises(httpx2.RemoteProtocolError):
            await server.ask(connections)


async def test_a_question_about_an_answers_head_has_no_body() -> None:
    async def behave(stream: ByteStream) -> None:
        for _ in range(2):
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")

    server = Server(behave)
    async with server.listening() as connections:
        for _ in range(2):
            answer = await connections.handle_async_request(httpx2.Request("HEAD", server.url))
            assert await answer.aread() == b""

    assert server.connections == 1


async def test_where_nobody_listens_nothing_was_sent() -> None:
    server, wire = Server(saying()), Wire()
    async with server.listening():
        pass
    with pytest.raises(httpx2.ConnectError):
        await server.ask(HttpConnections(ssl.create_default_context()), wire)

    assert wire.delivery is Delivery.NOT_SENT


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok", httpx2.RemoteProtocolError),
        (b"\x00\x01garbage\r\n\r\n", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, httpx2.RemoteProtocolError),
    ],
    ids=["nothing", "half a head", "half a body", "garbage", "another protocol", "a head without end"],
)
async def test_an_answer_that_is_none_is_this_requests_fault_and_it_may_have_run(
    said: bytes, error: type[Exception]
) -> None:
    server, wire = Server(saying(said)), Wire()
    async with server.listening() as connections:
        with pytest.raises(error):
            await server.ask(connections, wire)
        assert repr(connections) == "<HttpConnections [0 open, 0 idle]>"

    assert wire.delivery is Delivery.UNKNOWN


async def test_a_server_that_says_nothing_is_waited_for_as_long_as_agreed() -> None:
    async def behave(stream: ByteStream) -> None:
        await request_on(stream)
        await anyio.sleep_forever()

    server = Server(behave)
    async with server.listening() as connections:
        with pytest.raises(httpx2.ReadTimeout):
            await server.ask(connections, read=0.05)
        assert repr(connections) == "<HttpConnections [0 open, 0 idle]>"


async def test_a_request_that_is_cancelled_takes_its_connection_along() -> None:
    has_come, has_ended = anyio.Event(), anyio.Event()

    async def behave(stream: ByteStream) -> None:
        await request_on(stream)
        has_come.set()
        try:
            await stream.receive()
        finally:
            has_ended.set()

    server = Server(behave)
    async with server.listening() as connections:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.ask, connections)
            await has_come.wait()
            tasks.cancel_scope.cancel()
        await has_ended.wait()
        assert repr(connections) == "<HttpConnections [0 open, 0 idle]>"


async def test_closing_ends_requests_under_way() -> None:
    has_come, failures = anyio.Event(), []

    async def behave(stream: ByteStream) -> None:
        await request_on(stream)
        has_come.set()
        await stream.receive()

    server = Server(behave)
    async with server.listening() as connections:

        async def ask() -> None:
            try:
                await server.ask(connections)
            except httpx2.TransportError as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await has_come.wait()
            await connections.aclose()

    assert len(failures) == 1


@pytest.mark.parametrize(
    "header",
    [(b"x", b"1\r\ny: 2"), (b"x", b"1\n"), (b"x: 1\r\ny", b"2"), (b"x y", b"1"), (b"", b"1"), (b"x", b"\x00")],
    ids=repr,
)
async def test_a_header_that_would_be_two_or_none_is_not_sent(header: tuple[bytes, bytes]) -> None:
    server, wire = Server(saying(OK)), Wire()
    async with server.listening() as connections:
        headers = [header]
        request = httpx2.Request("POST", server.url, headers=headers, extensions={WIRE_EXTENSION: wire})
        with pytest.raises(httpx2.LocalProtocolError):
            await connections.handle_async_request(request)

    assert wire.delivery is Delivery.NOT_SENT


async def test_a_server_on_https_is_spoken_to_where_its_authority_is_trusted(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    server = Server(saying(OK, OK), made)
    async with server.listening(ssl.create_default_context(cafile=made.authority)) as connections:
        answers = [(await server.ask(connections)).content for _ in range(2)]

    assert (answers, server.connections) == ([b"ok", b"ok"], 1)


async def test_a_server_that_nobody_vouches_for_is_sent_nothing(tmp_path: Path) -> None:
    server, wire = Server(saying(OK), certificates(tmp_path)), Wire()
    async with server.listening() as connections:
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await server.ask(connections, wire)

    assert wire.delivery is Delivery.NOT_SENT


async def test_a_connection_that_is_opened_too_late_is_closed_again_and_nothing_is_sent() -> None:
    server, wire = Server(saying(OK)), Wire()
    async with server.listening() as connections:
        await connections.aclose()
        with pytest.raises(httpx2.WriteError):
            await server.ask(connections, wire)
        assert repr(connections) == "<HttpConnections [0 open, 0 idle]>"

    assert wire.delivery is Delivery.NOT_SENT


async def test_connections_that_servers_have_closed_are_let_go_with_the_next_request() -> None:
    all_asked = anyio.Event()

    async def behave(stream: ByteStream) -> None:
        number = server.connections
        await request_on(stream)
        if number == 3:
            all_asked.set()
        await all_asked.wait()
        await stream.send(OK)
        if number == 3:
            await request_on(stream)
            await stream.send(OK)

    server = Server(behave)
    async with server.listening() as connections:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(server.ask, connections)
        assert repr(connections) == "<HttpConnections [3 open, 3 idle]>"
        await anyio.sleep(0.05)
        await server.ask(connections)
        assert repr(connections) == "<HttpConnections [1 open, 1 idle]>"


async def test_a_request_that_does_not_go_out_at_once_arrives_whole() -> None:
    content = bytes(range(256)) * 40_000
    received = bytearray()

    async def behave(stream: ByteStream) -> None:
        await anyio.sleep(0.1)
        while not received.endswith(content[-512:]) or len(received) < len(content):
            received.extend(await stream.receive())
        await stream.send(OK)

    server = Server(behave)
    async with server.listening() as connections:
        request = httpx2.Request("POST", server.url, content=content)
        response = await connections.handle_async_request(request)
        assert await response.aread() == b"ok"
    assert received.partition(b"\r\n\r\n")[2] == content


async def test_a_connection_that_a_server_is_about_to_close_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.transport.http_connection._EXPIRY", 0.05)
    server = Server(saying(OK, OK, OK))
    async with server.listening() as connections:
        await server.ask(connections)
        await server.ask(connections)
        assert server.connections == 1
        await anyio.sleep(0.1)
        await server.ask(connections)
        assert repr(connections) == "<HttpConnections [1 open, 1 idle]>"
    assert server.connections == 2

"""Where discovery may lead: what is refused here is refused before anything is connected to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.servers.certificates import certificates
from trunkline.transport.authorities import authorities
from trunkline.transport.authorization.failure import AuthorizationFailed, place, quoted
from trunkline.transport.authorization.fetching import Fetcher

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("UPSTREAM-AUTH")]

PUBLIC = "https://93.184.216.34/mcp"
PRIVATE = "https://10.1.2.3/mcp"
LOCAL = "http://127.0.0.1:9/mcp"


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (PUBLIC, "https://10.0.0.1/token"),
        (PUBLIC, "https://127.0.0.1/token"),
        (PUBLIC, "https://localhost/token"),
        (PUBLIC, "https://[::1]/token"),
        (PUBLIC, "https://169.254.169.254/latest/meta-data"),
        (PUBLIC, "https://[fd00:ec2::254]/latest/meta-data"),
        (PUBLIC, "https://[::ffff:169.254.169.254]/"),
        (PUBLIC, "https://2852039166/"),  # 169.254.169.254 as one number
        (PRIVATE, "https://127.0.0.1/token"),
        (PRIVATE, "https://169.254.169.254/"),
        (LOCAL, "https://169.254.169.254/"),
        (LOCAL, "https://0.0.0.0/"),
    ],
)
async def test_no_server_leads_further_inside_than_it_is(server: str, url: str) -> None:
    with pytest.raises(AuthorizationFailed, match="further inside the network") as refused:
        await Fetcher(server).get(url)
    assert str(refused.value).startswith("no access token (discovery): ")
    assert not refused.value.may_pass


@pytest.mark.parametrize("url", ["http://93.184.216.34/x", "http://10.0.0.1/x", "ftp://127.0.0.1/x"])
async def test_what_is_not_encrypted_is_not_asked_but_on_this_machine(url: str) -> None:
    with pytest.raises(AuthorizationFailed, match="neither https nor on this machine"):
        await Fetcher(PUBLIC).get(url)
    with pytest.raises(AuthorizationFailed, match="neither https nor on this machine"):
        await Fetcher("http://10.0.0.1/mcp").post(url, {}, {}, step="token")


@pytest.mark.parametrize(
    "url", ["", "/x", "https://[", "https://", "https://host:port/", "https://no.such.host.invalid/"]
)
async def test_what_leads_nowhere_is_an_error_like_any_other(url: str) -> None:
    with pytest.raises(AuthorizationFailed, match=r"cannot be reached|neither https"):
        await Fetcher(PUBLIC).get(url)


async def test_what_the_configuration_names_may_be_anywhere() -> None:
    for named in ("https://127.0.0.1:9/token", "http://localhost:9/token"):
        with pytest.raises(AuthorizationFailed, match="ConnectError: Connection refused") as refused:
            await Fetcher(PUBLIC, [named]).get(named)
        assert refused.value.may_pass
        assert not refused.value.at_server


async def test_that_the_server_itself_is_not_there_is_told_apart() -> None:
    with pytest.raises(AuthorizationFailed, match="ConnectError: Connection refused") as refused:
        await Fetcher(LOCAL).get(LOCAL)
    assert refused.value.at_server
    assert refused.value.after(1.0).at_server


def test_an_address_is_shown_without_what_may_be_secret_in_it() -> None:
    assert place("https://user:word@host:1/path?key=word#part") == "https://host:1/path"
    assert place("https://[") == "an address that is none"
    assert place("https://host/\nfake") == "https://host/fake"
    assert len(place("https://host/" + "x" * 1000)) <= 120
    assert quoted("a\x1b[31mb") == "'a?[31mb'"
    assert repr(Fetcher("https://user:word@host/mcp")) == "<Fetcher for https://host/mcp>"


class Telling(BaseHTTPRequestHandler):
    """Answers with the Host it was asked for; from `/large` with more than anybody needs."""

    def do_GET(self) -> None:
        body = b"[" + b"0," * 200_000 + b"0]" if self.path == "/large" else f'"{self.headers["host"]}"'.encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing in the test's own output."""


@contextmanager
def telling(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Telling)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # of handshakes that clients end
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """What a server for `localhost` needs, whose authority is trusted for as long as the test runs."""
    made = certificates(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    authorities.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    yield context
    authorities.cache_clear()


async def test_a_name_is_connected_to_by_number_and_still_vouched_for_as_a_name(trusting: ssl.SSLContext) -> None:
    with telling(trusting) as port:
        answer = await Fetcher(f"https://localhost:{port}/mcp").get(f"https://localhost:{port}/metadata")
        assert answer.value == f"localhost:{port}"
        with pytest.raises(AuthorizationFailed, match=r"cannot be reached \(ConnectError"):
            await Fetcher(f"https://127.0.0.1:{port}/mcp").get(f"https://127.0.0.1:{port}/metadata")


async def test_an_answer_without_end_is_no_answer() -> None:
    with telling() as port:
        server = f"http://127.0.0.1:{port}"
        assert (await Fetcher(server).get(f"{server}/small")).value == f"127.0.0.1:{port}"
        assert (await Fetcher(server).get(f"{server}/large")).value is None

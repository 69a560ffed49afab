"""A webhook as a real HTTP server in a thread: it keeps what it was told, and answers as the test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hook:
    """What one webhook heard."""

    def __init__(self, port: int, answers: list[int]) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.answers = answers
        """Status codes of the next answers; then 200. 0 is no answer at all."""
        self.heard: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.released = threading.Event()


@contextmanager
def webhook(*answers: int) -> Iterator[Hook]:
    """Run a webhook while the block lasts."""

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.headers.append(dict(self.headers.items()))
            hook.heard.append(json.loads(body))
            answer = hook.answers.pop(0) if hook.answers else 200
            if not answer:
                hook.released.wait(30)
                return
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the method overridden
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    server.daemon_threads = True
    hook = Hook(server.server_address[1], list(answers))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hook
    finally:
        hook.released.set()
        server.shutdown()
        thread.join()
        server.server_close()

"""A careless MCP server: it says again all that it was given, in descriptions, answers, errors and on its stderr.

Standard library only. As a script it speaks over stdio, and was given its arguments and environment; `serving` speaks
HTTP in a thread, and is given a request's headers and address. Of the handshake era.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOOLS = ("tell", "fail", "refuse", "misanswer", "hang", "status", "die")
"""What they come to: an answer, an error of the tool, of the protocol, no result, no answer, HTTP 500, an exit."""


def answered(message: dict[str, Any], given: str) -> dict[str, Any] | None:
    """The answer to a message; None where there is none."""
    if "id" not in message:
        return None
    method, params = message.get("method"), message.get("params", {})
    said = f"I was given {given} and {json.dumps(params.get('arguments'))}"
    match method, params.get("name"):
        case "initialize", _:
            info = {"name": "telltale", "version": "1", "title": given}
            told: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
            return _result(message, {**told, "instructions": given})
        case "tools/list", _:
            schema = {"type": "object", "properties": {"text": {"type": "string", "description": f"not {given}"}}}
            hints = {"readOnlyHint": True, "title": given}
            tools = [
                {"name": name, "description": f"Knows {given}", "inputSchema": schema, "annotations": hints}
                for name in TOOLS
            ]
            return _result(message, {"tools": tools})
        case "tools/call", "tell" | "fail" as name:
            return _result(message, {"content": [{"type": "text", "text": said}], "isError": name == "fail"})
        case "tools/call", "misanswer":
            return _result(message, {"content": said})
        case "tools/call", "hang":
            return None
        case "tools/call", _:
            return _error(message, -32050, said)
        case "ping", _:
            return _result(message, {})
        case _:
            return _error(message, -32601, f"no {method}: {given}")


def _result(message: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _error(message: dict[str, Any], code: int, words: str) -> dict[str, Any]:
    error = {"code": code, "message": words, "data": {"deep": [words]}}
    return {"jsonrpc": "2.0", "id": message["id"], "error": error}


class _Careless(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        given = f"{dict(self.headers)} {self.path}"
        answer = answered(message, given)
        name = message.get("params", {}).get("name")
        if name == "hang":
            # As long as its caller has patience.
            self.connection.recv(1)
            self.close_connection = True
            return
        self.send_response(202 if answer is None else 500 if name == "status" else 200, given[:200])
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_error(405)

    def do_DELETE(self) -> None:
        self.send_error(405)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing in the test's own output."""


@contextmanager
def serving() -> Iterator[int]:
    """Serve over HTTP in threads of this process; the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Careless)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    """Speak over standard input and output; with `--refuse`, say everything on stderr and exit."""
    given = " ".join([*sys.argv[1:], *(f"{name}={value}" for name, value in os.environ.items())])
    sys.stderr.write(f"I start with {given}\n")
    sys.stderr.flush()
    if "--refuse" in sys.argv:
        sys.exit(3)
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("params", {}).get("name") == "die":
            sys.stderr.write(f"{json.dumps(message)} is too much for me, who has {given}\n")
            sys.stderr.flush()
            sys.exit(4)
        answer = answered(message, given)
        if answer is not None:
            sys.stdout.write(f"{json.dumps(answer)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""A stdio MCP server whose tools are whatever a file says when it is asked: between two starts it becomes another one.

Standard library only, of the handshake era. It writes every call that reaches it into a journal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


class Shifting:
    """What a test holds of it: the file it reads, the journal it writes, and how it is started."""

    def __init__(self, folder: Path) -> None:
        self.file, self.journal, self.gate = folder / "tools.json", folder / "journal", folder / "gate"
        self.journal.write_text("", "utf-8")

    def __repr__(self) -> str:
        return f"<Shifting {self.file}>"

    @property
    def entry(self) -> dict[str, Any]:
        """It, as it stands under `mcpServers`."""
        return {"command": sys.executable, "args": [__file__, str(self.file), str(self.journal), str(self.gate)]}

    def kill(self) -> None:
        """Kill it; who keeps it starts it again, and then it says nothing until `let_in`."""
        os.mkfifo(self.gate)
        os.kill(int(self.file.with_name("pid").read_text("utf-8")), signal.SIGKILL)

    def let_in(self) -> None:
        """Let it begin, once it has started: blocks until then."""
        self.gate.write_bytes(b"")
        self.gate.unlink()

    @property
    def calls(self) -> list[str]:
        """The names of the tools that were called, in order."""
        return self.journal.read_text("utf-8").splitlines()

    def has(self, **descriptions: str) -> None:
        """Have these tools from now on, each with its description."""
        schema = {"type": "object", "properties": {"path": {"type": "string"}}}
        tools = [
            {"name": name, "description": description, "inputSchema": schema}
            for name, description in descriptions.items()
        ]
        self.file.write_text(json.dumps(tools), "utf-8")


def main(tools: Path, journal: Path, gate: Path) -> None:
    """Speak over standard input and output."""
    tools.with_name("pid").write_text(str(os.getpid()), "utf-8")
    if gate.exists():
        gate.read_bytes()  # blocks until somebody writes
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        method, params = message["method"], message.get("params", {})
        result: dict[str, Any] = {}
        if method == "initialize":
            info = {"name": "shifting", "version": "1"}
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        elif method == "tools/list":
            result = {"tools": json.loads(tools.read_text("utf-8"))}
        elif method == "tools/call":
            with journal.open("a", encoding="utf-8") as called:
                called.write(f"{params['name']}\n")
            result = {"content": [{"type": "text", "text": f"{params['name']} ran"}]}
        elif method != "ping":
            error = {"code": -32601, "message": f"no {method}"}
            sys.stdout.write(f"{json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'error': error})}\n")
            sys.stdout.flush()
            continue
        sys.stdout.write(f"{json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': result})}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

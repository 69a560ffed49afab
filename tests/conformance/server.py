"""The gateway as the harnesses see it: one MCP server, with a server behind it that has all they ask for.

Both are processes of their own. The names of the server's tools and prompts stay as they are, which is what `prefix =
""` is for; each harness speaks to the gateway in the era of its suite, and the gateway to the server in the same.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from tests.conformance.suites import NEXT, ROOT, STABLE, Suite
from trunkline.testing.processes import free_port

__all__ = ["configured", "everything", "gateway", "gateway_of", "suites"]

_STARTUP = 60.0
"""Seconds until both processes are there."""

_PENDING = {
    "2025-11-25": ("server-session-lifecycle", "json-schema-2020-12", "server-sse-polling"),
    "2026-07-28": ("json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation"),
}
"""What the revisions do not require because it came later, or because the harness's own server cannot do it yet."""
_CONFIG = """
[mcpServers.everything]
url = "http://127.0.0.1:{port}/mcp"

[trunkline.servers.everything]
prefix = ""
"""


@contextmanager
def suites() -> Iterator[Sequence[Suite]]:
    """Start the server and the gateway before it; yields what is run against the gateway."""
    with gateway() as url:
        target = ("--url", url)
        yield (
            Suite("0.1.16", STABLE, "server", target),
            Suite("0.2.0-alpha.12, 2025-11-25", NEXT, "server", target, "2025-11-25", _PENDING["2025-11-25"]),
            Suite("0.2.0-alpha.12, 2026-07-28", NEXT, "server", target, "2026-07-28", _PENDING["2026-07-28"]),
        )


@contextmanager
def gateway(more: str = "") -> Iterator[str]:
    """The address of a gateway in front of the server that has everything; `more` is added to its configuration."""
    with TemporaryDirectory() as folder:
        config, port = configured(Path(folder), more)
        with everything(port, Path(folder)), gateway_of(config) as url:
            yield url


def configured(folder: Path, more: str = "") -> tuple[Path, int]:
    """A configuration of the server that has everything, and the port where it is to be."""
    config, port = folder / "trunkline.toml", free_port()
    config.write_text((_CONFIG + more).format(port=port), "utf-8")
    return config, port


@contextmanager
def everything(port: int, folder: Path) -> Iterator[None]:
    """The server that has everything; its log goes into `folder`."""
    log = folder / "everything.log"
    with _running([sys.executable, "-m", "tests.conformance.everything", str(port)], log) as process:
        _until(process, f"http://127.0.0.1:{port}/mcp", log)
        yield


@contextmanager
def gateway_of(config: Path) -> Iterator[str]:
    """The address of a gateway that has this configuration."""
    port, log = free_port(), config.with_name("gateway.log")
    with _running([sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)], log) as process:
        _until(process, f"http://127.0.0.1:{port}/health/ready", log, status=200)
        # "localhost" is what the harnesses' check of Host and Origin starts from.
        yield f"http://localhost:{port}/mcp"


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True
        )
    try:
        yield process
    finally:
        process.kill()  # a server would wait for its open streams, and nothing is lost with it
        process.wait(10)


def _until(process: subprocess.Popen[str], url: str, log: Path, *, status: int | None = None) -> None:
    """Wait until the address answers, with `status` if one is given."""
    end = time.monotonic() + _STARTUP
    while True:
        assert time.monotonic() < end, log.read_text("utf-8")
        try:
            answer = httpx2.get(url, timeout=5.0)
        except httpx2.TransportError:
            answer = None
        if answer is not None and status in (None, answer.status_code):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            raise AssertionError(log.read_text("utf-8"))

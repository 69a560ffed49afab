"""The gateways of other projects that `benchmarks/gateway.py` measures beside ours, each started at its best.

`make peers` installs them. What was chosen, and what is not measured, has its reasons in `docs/benchmarks.md`.
"""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.request import Request, urlopen

from mcp import StdioServerParameters, stdio_client
from mcp.client.sse import sse_client

Kind: TypeAlias = Literal["HTTP", "stdio"]
Era: TypeAlias = Literal["legacy", "auto"]

BUILD = Path(__file__).parents[2] / "build"
NODE = str(BUILD / "peers" / "npm" / "node")
PACKAGES = BUILD / "peers" / "npm" / "node_modules"


@dataclass(frozen=True)
class Upstream:
    """The server that is called, as gateways are told of it."""

    url: str
    program: Sequence[str]
    """The same on stdio: a command and its arguments."""
    mcp_json: Path
    """Both of them, as `web` and `pipe`, in the form that hosts have."""
    folder: Path
    """For what a gateway writes."""


@dataclass(frozen=True, eq=False)
class Peer:
    """A gateway, how it is started, and how it is asked."""

    name: str
    version: str | None
    """None where it is not installed."""
    command: Callable[[Upstream, int], Sequence[str]]
    """Writes its configuration; the number is the port it shall listen on."""
    ways: Mapping[tuple[Kind, Era], str]
    """In front of which server, and asked in which era, it is measured; the path it is then asked at."""
    but: str = ""
    """What is not measured, and why."""
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Upstream, str], None] | None = None
    """Tells what it cannot be told before it listens; the text is its address."""
    is_sse: bool = False
    """Whether it is asked over HTTP with server-sent events instead of the streamable one."""
    is_started_by_host: bool = False
    """Whether it is asked on stdio by who has started it, as hosts do; the port is none then."""

    def target(self, address: str, kind: Kind, era: Era, upstream: Upstream) -> Any:
        """What the SDK's client takes for the way to it."""
        if self.is_started_by_host:
            command, *arguments = self.command(upstream, 0)
            return stdio_client(StdioServerParameters(command=command, args=arguments))
        url = address + self.ways[kind, era]
        return sse_client(url) if self.is_sse else url


def wheel(environment: str, package: str) -> str | None:
    """The version that pip installed, in an environment of its own."""
    for place in (BUILD / environment).glob(f"lib/python*/site-packages/{package}-*.dist-info"):
        return place.name.removesuffix(".dist-info").removeprefix(f"{package}-")
    return None


def npm(package: str) -> str | None:
    """The version that npm installed."""
    place = PACKAGES / package / "package.json"
    return str(json.loads(place.read_text("utf-8"))["version"]) if place.exists() else None


def fastmcp(port: int, *target: str) -> Sequence[str]:
    script = str(Path(__file__).with_name("fastmcp_proxy.py"))
    return [str(BUILD / "peers" / "bin" / "python"), script, str(port), *target]


def mcp_hub(upstream: Upstream, port: int) -> Sequence[str]:
    script = str(PACKAGES / "mcp-hub" / "dist" / "cli.js")
    return [NODE, script, "--port", str(port), "--config", str(upstream.mcp_json)]


def supergateway(upstream: Upstream, port: int) -> Sequence[str]:
    script = str(PACKAGES / "supergateway" / "dist" / "index.js")
    # Without sessions it starts the server anew for each request.
    how = ["--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none"]
    return [NODE, script, "--port", str(port), "--stdio", shlex.join(upstream.program), *how]


def mcp_proxy(upstream: Upstream, port: int) -> Sequence[str]:
    program = str(BUILD / "peers-mcp-proxy" / "bin" / "mcp-proxy")
    # Without sessions it sets up a transport for each request, and is slower.
    return [program, "--port", str(port), "--log-level", "ERROR", "--no-stateless", "--", *upstream.program]


LITELLM_VERSIONS: Mapping[Era, str] = {"legacy": "2025-11-25", "auto": "2026-07-28"}
LITELLM_ENVIRONMENT = {
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # ours asks nobody who they are here, either
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it looks for a list of prices on the internet
    "LITELLM_LOG": "ERROR",
}


def litellm(upstream: Upstream, port: int) -> Sequence[str]:
    # Quickest when it speaks to the server as it is spoken to: one session for one, none for none.
    web = {"url": upstream.url, "transport": "http", "allow_all_keys": True}
    servers = {f"web_{era}": {**web, "protocol_version": version} for era, version in LITELLM_VERSIONS.items()}
    settings = {"mcp_advertised_versions": list(LITELLM_VERSIONS.values())}  # or it does not speak the newer era
    config = upstream.folder / "litellm.yaml"
    config.write_text(json.dumps({"mcp_servers": servers, "general_settings": settings}), "utf-8")  # JSON is YAML
    program = str(BUILD / "peers-litellm" / "bin" / "litellm")
    return [program, "--host", "127.0.0.1", "--port", str(port), "--config", str(config), "--telemetry", "False"]


CONTEXTFORGE_ENVIRONMENT = {
    "USE_STATEFUL_SESSIONS": "true",  # or it opens a session with the server for each call
    "AUTH_REQUIRED": "false",
    "ALLOW_UNAUTHENTICATED_ADMIN": "true",
    "RATE_LIMITING_ENABLED": "false",
    "PLUGINS_ENABLED": "false",
    "SSRF_ALLOW_LOCALHOST": "true",
    "CACHE_TYPE": "memory",
    "DATABASE_URL": "sqlite:///./contextforge.db",
    "LOG_LEVEL": "ERROR",
} | {
    # It does not start without them, and nobody is asked for them.
    name: f"Aa1-{secrets.token_urlsafe(32)}"
    for name in (
        "JWT_SECRET_KEY",
        "AUTH_ENCRYPTION_SECRET",
        "BASIC_AUTH_PASSWORD",
        "PLATFORM_ADMIN_PASSWORD",
        "DEFAULT_USER_PASSWORD",
    )
}


def contextforge(upstream: Upstream, port: int) -> Sequence[str]:
    program = str(BUILD / "peers-contextforge" / "bin" / "mcpgateway")
    return [program, "--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--no-access-log"]


def told_to_contextforge(upstream: Upstream, address: str) -> None:
    server = {"name": "web", "url": upstream.url, "transport": "STREAMABLEHTTP"}
    request = Request(f"{address}/gateways", json.dumps(server).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=60):
        pass


PEERS = (
    Peer(
        "FastMCP, HTTP",
        wheel("peers", "fastmcp"),
        lambda upstream, port: fastmcp(port, upstream.url),
        {("HTTP", "legacy"): "/mcp", ("HTTP", "auto"): "/mcp"},
    ),
    Peer(
        "FastMCP, stdio",
        wheel("peers", "fastmcp"),
        lambda upstream, port: fastmcp(port, *upstream.program),
        {("stdio", "legacy"): "/mcp", ("stdio", "auto"): "/mcp"},
    ),
    Peer(
        "FastMCP on stdio",
        wheel("peers", "fastmcp"),
        lambda upstream, port: fastmcp(port, *upstream.program),
        {("stdio", "legacy"): "", ("stdio", "auto"): ""},
        is_started_by_host=True,
    ),
    Peer(
        "mcp-hub",
        npm("mcp-hub"),
        mcp_hub,
        {("HTTP", "legacy"): "/mcp", ("stdio", "legacy"): "/mcp"},
        but="in 2026-07-28, which it does not speak",
        is_sse=True,
    ),
    Peer(
        "LiteLLM",
        wheel("peers-litellm", "litellm"),
        litellm,
        {("HTTP", era): f"/web_{era}/mcp" for era in LITELLM_VERSIONS},
        but="in front of stdio, where it starts the server anew for each call",
        environment=LITELLM_ENVIRONMENT,
    ),
    Peer(
        "ContextForge",
        wheel("peers-contextforge", "mcp_contextforge_gateway"),
        contextforge,
        {("HTTP", "legacy"): "/mcp", ("HTTP", "auto"): "/mcp"},
        but="in front of stdio, which takes another process that makes HTTP of it",
        environment=CONTEXTFORGE_ENVIRONMENT,
        prepare=told_to_contextforge,
    ),
    Peer(
        "mcp-proxy",
        wheel("peers-mcp-proxy", "mcp_proxy"),
        mcp_proxy,
        {("stdio", "legacy"): "/mcp"},
        but="in front of HTTP, from which it makes stdio, and in 2026-07-28, which it does not speak",
    ),
    Peer(
        "supergateway",
        npm("supergateway"),
        supergateway,
        {("stdio", "legacy"): "/mcp"},
        but="in front of HTTP, from which it makes stdio, and in 2026-07-28, where it starts the server for each call",
    ),
)

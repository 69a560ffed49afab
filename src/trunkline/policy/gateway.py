"""Who may use the gateway, and for what. No token stands here: only hashes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Final

from trunkline.policy.checks import ALGORITHMS, not_negative, positive, require

__all__ = ["DrainPolicy", "GatewaySettings", "JwtPolicy", "LimitsPolicy", "PrincipalPolicy"]

_HASH: Final = re.compile(r"[0-9a-f]{64}")
"""Signatures by a key pair: with a shared secret (HS256) whoever can check a token can make one."""


@dataclass(frozen=True, slots=True)
class PrincipalPolicy:
    """What one caller of the gateway may do. In patterns, `*` stands for any characters."""

    token_sha256: tuple[str, ...] = ()
    """The SHA-256 of each token that is this principal's, 64 hexadecimal digits: `trunkline token` makes both. Several
    while one replaces another; none for who comes with a JWT."""
    tools: tuple[str, ...] = ("*",)
    """Patterns of tools it may see and call, by the names shown to callers."""
    prompts: tuple[str, ...] = ("*",)
    """Patterns of prompts it may see and get, by the names shown to callers."""
    resources: tuple[str, ...] = ("*",)
    """Patterns of resources it may see and read, by their URIs or URI templates."""
    domains: tuple[str, ...] = ("*",)
    """Patterns of domains it may have its calls recorded under."""
    rate: float | None = None
    """Requests per second in the long run; None for no limit."""
    burst: int = 20
    """Requests it may make at once."""
    watch: bool = False
    """Whether it may read what concerns everybody: the dashboard, metrics, and the JSON API."""
    manage: bool = False
    """Whether it may change what concerns everybody: make cached answers invalid."""

    def __post_init__(self) -> None:
        for digest in self.token_sha256:
            found = "a text that is none"
            require(
                _HASH.fullmatch(digest) is not None, "token_sha256", found, "SHA-256 hashes, 64 digits of 0-9 and a-f"
            )
        positive(self, "rate", "burst")


@dataclass(frozen=True, slots=True)
class JwtPolicy:
    """Tokens that an identity provider signs (RFC 7519), checked by its published keys (RFC 7517)."""

    issuer: str | None = None
    """Who must have issued them, as their `iss`; None for no such tokens."""
    audience: str | None = None
    """Whom they must be meant for, as their `aud`: this gateway, so that no token for anybody else is accepted."""
    jwks: str | None = None
    """Where the issuer's keys are: an address (https, or http on a loopback address) or the path of a file."""
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    """Signatures that are accepted; of key pairs only, never of shared secrets."""
    claim: str = "sub"
    """The claim that names the principal."""
    leeway: float = 30.0
    """Seconds by which the clocks may differ."""
    refresh: float = 300.0
    """Seconds after which the keys are fetched again; an unknown key is looked for sooner, at most every 30 s."""

    def __post_init__(self) -> None:
        not_negative(self, "leeway")
        positive(self, "refresh")
        require(self.claim != "", "claim", self.claim, "the name of a claim")
        require(
            bool(self.algorithms) and set(self.algorithms) <= ALGORITHMS,
            "algorithms",
            self.algorithms,
            f"some of {', '.join(sorted(ALGORITHMS))}",
        )
        for name in ("audience", "jwks"):
            value = getattr(self, name)
            require(self.issuer is None or bool(value), name, value, "a text, as there is an issuer")


@dataclass(frozen=True, slots=True)
class LimitsPolicy:
    """What callers may take of the gateway, all together or by one request. Who is known has a `rate` besides."""

    connections: int = 2048
    """Connections that may be open at once, and three quarters of the files this process may have open at most; a
    further one is answered with status 503 and closed."""
    head: int = 65536
    """Bytes of a request's first line and headers; more is refused with status 431."""
    head_time: float = 10.0
    """Seconds until they have come; then the answer is status 408, and the connection is closed."""
    body: int = 4 * 1024 * 1024
    """Bytes of a request's body; more is refused with status 413."""
    body_time: float = 30.0
    """Seconds until it has come; then the answer is status 408, and the connection is closed."""
    read_time: float = 30.0
    """Seconds in which a caller has to take in something of an answer that waits for it; then it is hung up on."""
    sessions: int = 1024
    """Sessions of the handshake era that may be open at once; another one is refused with status 503. Of a changed
    value the next start takes note."""
    session_idle: float = 1800.0
    """Seconds without a request after which a session ends, likewise."""

    def __post_init__(self) -> None:
        positive(self, "connections", "head", "head_time", "body", "body_time", "read_time", "sessions", "session_idle")
        for name in ("head_time", "body_time", "read_time", "session_idle"):
            require(isfinite(getattr(self, name)), name, getattr(self, name), "a number of seconds")


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """How the gateway ends when SIGTERM tells it to: it finishes what it has begun. Ctrl-C waits for nothing."""

    announce: float = 0.0
    """Seconds in which `/health/ready` says 503 already and requests are still taken: as long as a load balancer needs
    to notice."""
    timeout: float = 20.0
    """Seconds that requests under way get after that, while new ones are refused. Ending takes up to five more: that
    stays below the 30 after which Kubernetes kills."""

    def __post_init__(self) -> None:
        not_negative(self, "announce", "timeout")


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The table `trunkline.gateway`. Without principals and JWT, whoever reaches the loopback address is served."""

    principals: Mapping[str, PrincipalPolicy] = field(default_factory=lambda: MappingProxyType({}))
    """By name. The one called `*` is for those whom a JWT names and this table does not."""
    jwt: JwtPolicy = field(default_factory=JwtPolicy)
    """Callers who come with a token of an identity provider, see below."""
    hosts: tuple[str, ...] = ()
    """Names under which the gateway is reached, besides those of this machine's loopback: what a request's Host header
    may say. Needed where it listens on every address."""
    limits: LimitsPolicy = field(default_factory=LimitsPolicy)
    """What all callers together, and a single request, may take, see [security](security.md)."""
    drain: DrainPolicy = field(default_factory=DrainPolicy)
    """How the gateway ends when it is told to, see [deployment](deployment.md)."""
    audit: bool = True
    """Whether each use of a tool is logged by `trunkline.audit`: who, which, how it went; no arguments, no results."""

    answer_timeout: float = 300.0
    """Seconds a caller may take to answer what a server asks while its call runs. The call's own time stands still."""

    def __post_init__(self) -> None:
        positive(self, "answer_timeout")

    @property
    def authenticates(self) -> bool:
        """Whether callers have to say who they are."""
        return bool(self.principals) or self.jwt.issuer is not None

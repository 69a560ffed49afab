"""What a configuration says, checked and frozen: the only form the rest of Trunkline ever sees.

No text of a file and no `${NAME}` is left in here. Above it stand the code that reads files (`load`, `ConfigSource`)
and the code that compares two of them (`difference`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from trunkline.endpoint import ServerSettings
from trunkline.policy import (
    AlertSettings,
    CacheSettings,
    DomainPolicy,
    GatewaySettings,
    LoggingPolicy,
    PinSettings,
    TelemetryPolicy,
    ToolPolicy,
)
from trunkline.secrets import Secrets

__all__ = ["ServerSettings", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """One valid configuration, whole."""

    source: str
    """The file it came from, or `configuration` for a mapping."""
    servers: Mapping[str, ServerSettings] = field(default_factory=lambda: MappingProxyType({}))
    """By name, in the order of the file; disabled ones are left out."""
    tools: Mapping[str, ToolPolicy] = field(default_factory=lambda: MappingProxyType({}))
    """By the tool's name as shown to callers, in which `*` stands for any characters; see `ToolPolicies`."""
    domains: Mapping[str, DomainPolicy] = field(default_factory=lambda: MappingProxyType({}))
    """By the domain's name; a domain that is not named here has `DomainPolicy()`."""
    cache: CacheSettings = field(default_factory=CacheSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    telemetry: TelemetryPolicy = field(default_factory=TelemetryPolicy)
    logging: LoggingPolicy = field(default_factory=LoggingPolicy)
    """The log of `trunkline serve`; a library touches no log."""
    pins: PinSettings = field(default_factory=PinSettings)
    """The file of accepted tools, see `PinsSource`."""
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    """Who may use the gateway; nothing to the library."""
    secrets: Secrets = field(default_factory=Secrets, repr=False, compare=False)
    """What must not be shown: values of variables, credentials in headers, addresses, arguments and environments."""
    notices: tuple[str, ...] = ()
    """One line each, in file order: what was accepted and does nothing. For a log, a health page or a user."""
    is_fallback: bool = False
    """Whether the file was missing and this is the built-in configuration."""

    def __repr__(self) -> str:
        fallback = " fallback" if self.is_fallback else ""
        return (
            f"<Settings {self.source}{fallback} servers={len(self.servers)} tools={len(self.tools)} "
            f"domains={len(self.domains)} notices={len(self.notices)}>"
        )

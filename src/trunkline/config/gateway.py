"""The table `trunkline.gateway`: who may use it, and under which names it is reached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from trunkline.config.lines import KeyPath
from trunkline.config.policies import overlay
from trunkline.config.report import Report
from trunkline.policy import GatewaySettings, PrincipalPolicy, is_confidential

__all__ = ["read_gateway"]

_PATH: Final[KeyPath] = ("trunkline", "gateway")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")


def read_gateway(table: object, report: Report) -> GatewaySettings:
    """Return the settings that the table `trunkline.gateway` gives; what does not fit is reported."""
    settings = overlay(GatewaySettings(), table, _PATH, report, elsewhere=("principals",))
    tables = table.get("principals", {}) if isinstance(table, Mapping) else {}
    if not isinstance(tables, Mapping):
        report.mismatch((*_PATH, "principals"), "a table of tables by name")
        tables = {}
    principals: dict[str, PrincipalPolicy] = {}
    owners: dict[str, str] = {}
    for name, entry in tables.items():
        at: KeyPath = (*_PATH, "principals", name)
        if not name:
            report.problem(at, "a name is empty, expected at least one character")
        policy = principals[name] = overlay(PrincipalPolicy(), entry, at, report)
        _check_tokens(name, policy, owners, settings, report)
    for index, host in enumerate(settings.hosts):
        if not _HOST.fullmatch(host):
            report.mismatch((*_PATH, "hosts", index), "a name or address without scheme and port")
    if settings.jwt.issuer is None and isinstance(table, Mapping) and table.get("jwt"):
        report.problem((*_PATH, "jwt"), "there is no issuer: say who issues the tokens")
    elif settings.jwt.jwks is not None:
        _check_address(settings.jwt.jwks, report)
    return replace(settings, principals=MappingProxyType(principals))


def _check_tokens(
    name: str, policy: PrincipalPolicy, owners: dict[str, str], settings: GatewaySettings, report: Report
) -> None:
    at: KeyPath = (*_PATH, "principals", name)
    for index, digest in enumerate(policy.token_sha256):
        owner = owners.setdefault(digest, name)
        if owner != name:
            report.problem((*at, "token_sha256", index), f"is also the token of {owner!r}; nobody can tell them apart")
    if name == "*" and policy.token_sha256:
        report.problem((*at, "token_sha256"), "those whom a JWT names have no token here; give the token a name")
    if settings.jwt.issuer is None and not policy.token_sha256:
        report.notice(at, "cannot come in: it has no token, and no JWT is accepted; `trunkline token` makes a token")


def _check_address(jwks: str, report: Report) -> None:
    if "://" in jwks and not is_confidential(jwks):
        report.mismatch((*_PATH, "jwt", "jwks"), "an https address (http on a loopback address only) or a path")

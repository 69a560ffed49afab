"""The table `auth` of a server: the credentials by which tokens for it are got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from trunkline.config.lines import KeyPath
from trunkline.config.policies import overlay
from trunkline.config.report import Report
from trunkline.endpoint import Endpoint, HttpEndpoint
from trunkline.policy import ClientCredentials

__all__ = ["with_auth"]


def with_auth(endpoint: Endpoint, table: object, path: KeyPath, report: Report) -> Endpoint:
    """Return the endpoint with the credentials that `table`, which stands at `path`, gives; a misfit is reported."""
    credentials = overlay(ClientCredentials(), table, path, report)
    if not isinstance(table, Mapping):
        return endpoint
    if not isinstance(endpoint, HttpEndpoint):
        report.problem(path, "only a server with a url is sent tokens; give a program what it needs in its env")
        return endpoint
    if not isinstance(table.get("client_id"), str) or not table["client_id"]:
        report.mismatch((*path, "client_id"), "a text, the client's name at the authorization server")
        return endpoint
    if not credentials.client_id:
        return endpoint  # they do not fit together, as was reported
    try:
        return replace(endpoint, auth=credentials)
    except ValueError:
        report.problem(path, "the server has an Authorization header under mcpServers already; keep one of both")
        return endpoint

"""How commands ask a gateway that runs elsewhere, and what they say where it does not answer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, Self
from urllib.parse import urlsplit

from trunkline.cli.exits import FAILED, CommandError
from trunkline.cli.progress import progress

__all__ = ["TOKEN", "GatewayAddress"]

TOKEN: Final = "TRUNKLINE_TOKEN"  # noqa: S105 - its name
"""The environment variable with the caller's token: on a command line everybody on the machine could read it."""
_PATIENCE: Final = 10.0
"""Seconds the gateway has for each step of its answer."""


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where a gateway is; perhaps below a path of a proxy."""

    url: str
    is_secure: bool
    host: str
    port: int | None
    root: str
    """The path it is at, without a slash at its end."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Read an address. Raises `CommandError` for what is none."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in ("http", "https") or not host:
            raise CommandError([f"{url!r} is no address of a gateway; give one such as http://127.0.0.1:8700"])
        return cls(url, parts.scheme == "https", host, port, parts.path.rstrip("/"))

    def path(self, path: str) -> str:
        """What to ask for."""
        return self.root + path

    def connection(self, timeout: float = _PATIENCE) -> HTTPConnection:
        """A connection that has not been opened; `timeout` seconds for each step of an answer."""
        kind = HTTPSConnection if self.is_secure else HTTPConnection
        return kind(self.host, self.port, timeout=timeout)

    @staticmethod
    def headers() -> dict[str, str]:
        """What says who asks: the caller's token, where the environment has one."""
        token = os.environ.get(TOKEN)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As `fetch`; who waits for long at a terminal is told what for."""
        with progress(f"waiting for the gateway at {self.url} ..."):
            return self.fetch(path, body)

    def fetch(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a GET, or with a body to a POST. Raises `CommandError` where there is none, or a refusal."""
        connection = self.connection()
        try:
            if body is None:
                connection.request("GET", self.path(path), headers=self.headers())
            else:
                headers = self.headers() | {"Content-Type": "application/json"}
                connection.request("POST", self.path(path), json.dumps(body), headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, HTTPException) as error:
            what = error or type(error).__name__
            words = f"no gateway answers at {self.url}: {what}; is trunkline serve running there?"
            raise CommandError([words], FAILED) from error
        except ValueError as error:
            raise CommandError([f"what answers at {self.url} is no gateway of this version"], FAILED) from error
        finally:
            connection.close()
        if answer.status != 200 or not isinstance(told, dict):
            words = _refusal(told, answer.status)
            advice = f"; the environment variable {TOKEN} holds the token to come with" if answer.status == 401 else ""
            raise CommandError([words + advice], FAILED)
        return told


def _refusal(told: Any, status: int) -> str:
    try:
        return str(told["error"]["message"])
    except (KeyError, TypeError):
        return f"the gateway answered with status {status}"

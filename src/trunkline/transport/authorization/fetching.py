"""Asks the addresses that discovery finds: briefly, following no redirect, nowhere further inside than the server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import anyio
import httpx2

from trunkline.transport.authorities import authorities
from trunkline.transport.authorization.failure import AuthorizationFailed, Step, place
from trunkline.transport.authorization.zones import Zone, zone_of
from trunkline.transport.network import describe
from trunkline.transport.retry_after import parse_retry_after

__all__ = ["Answer", "Fetcher"]

_PATIENCE: Final = 10.0
"""Seconds one exchange may take."""
_LARGEST: Final = 262_144
"""Bytes of an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    challenges: tuple[str, ...]
    """The values of WWW-Authenticate."""
    retry_after: float | None
    """Seconds that it asks to wait."""
    value: Any
    """The JSON in the body; None where there is none."""

    @property
    def is_of_the_moment(self) -> bool:
        """Whether it may be another one soon: too much to do, or an accident."""
        return self.status == 429 or self.status >= 500


class Fetcher:
    """Makes the requests of one step after another for one server."""

    def __init__(self, server: str, named: Iterable[str] = ()) -> None:
        """Know the address of the `server`, and those that the configuration has `named`: they may be anywhere."""
        self._server = server
        self._named = {_host(server), *map(_host, named)}
        self._origin = _origin(server)

    def __repr__(self) -> str:
        return f"<Fetcher for {place(self._server)}>"

    async def get(self, url: str, *, accept: str = "application/json", step: Step = "discovery") -> Answer:
        """Ask an address; raises AuthorizationFailed where it may not be asked or does not answer."""
        return await self._exchange("GET", url, {"accept": accept}, None, step)

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str], *, step: Step) -> Answer:
        """Send a form, which may hold secrets; raises AuthorizationFailed as `get`."""
        sent = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded", **headers}
        return await self._exchange("POST", url, sent, urlencode(form).encode(), step)

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, step: Step
    ) -> Answer:
        try:
            with anyio.fail_after(_PATIENCE):
                addresses = await self._addresses(url, step, is_secret=body is not None)
                return await self._first_answer(method, url, addresses, headers, body)
        except TimeoutError:
            problem = f"{place(url)} did not answer within {_PATIENCE:g} s"
            raise AuthorizationFailed(step, problem, may_pass=True, at_server=self._is_at_server(url)) from None
        except AuthorizationFailed:
            raise
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.InvalidURL, OSError, ValueError) as error:
            problem = f"{place(url)} cannot be reached ({describe(error)})"
            raise AuthorizationFailed(step, problem, may_pass=True, at_server=self._is_at_server(url)) from None

    def _is_at_server(self, url: str) -> bool:
        try:
            return _origin(url) == self._origin
        except ValueError:
            return False

    async def _first_answer(
        self, method: str, url: str, addresses: Iterable[str], headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """The answer of the first address that can be connected to.

        It is connected to by number: the name is not looked up a second time, when it might lead elsewhere.
        """
        asked = httpx2.URL(url)
        named = {**headers, "host": asked.netloc.decode("ascii")}
        failure: httpx2.TransportError | None = None
        transport = httpx2.AsyncHTTPTransport(verify=authorities())
        async with httpx2.AsyncClient(transport=transport, timeout=_PATIENCE, follow_redirects=False) as client:
            for address in addresses:
                request = client.build_request(
                    method,
                    asked.copy_with(host=address),
                    headers=named,
                    content=body,
                    extensions={"sni_hostname": asked.host},
                )
                try:
                    response = await client.send(request, stream=True, auth=None)
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    failure = error
                    continue
                try:
                    return await _read(response)
                finally:
                    await response.aclose()
        raise failure or httpx2.ConnectError("the name leads nowhere")

    async def _addresses(self, url: str, step: Step, *, is_secret: bool) -> list[str]:
        addresses = await _resolved(url)
        zones = {zone_of(address) for address in addresses}
        is_the_servers = _origin(url) == self._origin and not is_secret
        may_be_plain = url.startswith("http://") and (zones <= {Zone.LOOPBACK} or is_the_servers)
        if not url.startswith("https://") and not may_be_plain:
            problem = f"{place(url)} is neither https nor on this machine, and is not asked"
            raise AuthorizationFailed(step, problem)
        if _host(url) in self._named:
            return addresses
        limit = min(map(zone_of, await _resolved(self._server)), default=Zone.PUBLIC)
        if zones and max(zones) > min(limit, Zone.LOOPBACK):
            problem = (
                f"the server names {place(url)}, which is further inside the network than the server is, and is not "
                "asked; if that is right, name it as issuer or token_endpoint in its auth"
            )
            raise AuthorizationFailed(step, problem)
        return addresses


async def _resolved(url: str) -> list[str]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = await anyio.getaddrinfo(parts.hostname or "", port, type=1)  # SOCK_STREAM
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _read(response: httpx2.Response) -> Answer:
    kind = response.headers.get("content-type", "")
    data = bytearray()
    if "json" in kind:
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > _LARGEST:
                data.clear()
                break
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = None
    return Answer(
        response.status_code,
        tuple(response.headers.get_list("www-authenticate")),
        parse_retry_after(response.headers.get("retry-after")),
        value,
    )


def _refuse(word: str) -> float:
    msg = f"{word} is no JSON"
    raise ValueError(msg)


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port

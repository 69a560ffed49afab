"""What a server is shown so that it lets us in: the credentials of an OAuth client."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import quote_plus, urlsplit

from trunkline.policy.checks import ALGORITHMS, is_confidential, require

__all__ = ["ClientCredentials", "ClientProof"]

ClientProof: TypeAlias = Literal["client_secret_basic", "client_secret_post", "private_key_jwt"]


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """How access tokens for one server are got: OAuth 2.0 client credentials (RFC 6749, 4.4), no person involved."""

    client_id: str = ""
    """Who we are at the authorization server."""
    client_secret: str | None = field(default=None, repr=False)
    """What proves it; take it from the environment: `"${NAME}"`."""
    private_key: str | None = field(default=None, repr=False)
    """What proves it instead (RFC 7523): a private key in PEM, or the path of a file that holds one."""
    algorithm: str = "RS256"
    """How the key signs: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA."""
    key_id: str | None = None
    """Which of our keys it is, where the authorization server knows several."""
    proof: ClientProof | None = None
    """How the secret is sent: `client_secret_basic` or `client_secret_post`; None for what the authorization server
    says that it takes, and the first where it takes both."""
    issuer: str | None = None
    """The authorization server that these credentials belong to, as its metadata calls it. None for the one the server
    names, which must then run on the server's own host: nobody else is sent a secret."""
    token_endpoint: str | None = None
    """The address that gives out tokens, so that nothing has to be discovered."""
    scopes: tuple[str, ...] = ()
    """What the tokens shall allow; none for what the server asks for."""
    resource: str | None = None
    """Whom the tokens are for (RFC 8707); None for the server's own address, "" to say nothing of it."""

    def __post_init__(self) -> None:
        proofs = [name for name in ("client_secret", "private_key") if getattr(self, name)]
        require(
            not self.client_id or len(proofs) == 1,
            "client_secret",
            "another number of them",
            "either it or a private_key",
        )
        require(self.algorithm in ALGORITHMS, "algorithm", self.algorithm, f"one of {', '.join(sorted(ALGORITHMS))}")
        has_key = bool(self.private_key)
        require(
            self.proof is None or has_key == (self.proof == "private_key_jwt"),
            "proof",
            self.proof,
            "private_key_jwt with a private_key, another one with a client_secret",
        )
        for name in ("issuer", "token_endpoint"):
            address = getattr(self, name)
            expected = "an https address (http on a loopback address only) without a user"
            require(address is None or _is_safe(address), name, "another text", expected)
        bad = [scope for scope in self.scopes if not scope or not scope.isascii() or set(scope) & set(' "\\')]
        require(not bad, "scopes", list(self.scopes), "names without spaces and quotes")

    @property
    def secret_values(self) -> tuple[str, ...]:
        """What must not be shown, in each form in which it is sent."""
        key = (self.private_key,) if self.private_key else ()
        return key if self.client_secret is None else (self.client_secret, self.basic, *key)

    @property
    def basic(self) -> str:
        """Name and secret as HTTP Basic has them (RFC 6749, 2.3.1: as in a form first)."""
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret or '')}"
        return base64.b64encode(pair.encode()).decode()


def _is_safe(address: str) -> bool:
    """Whether nobody on the way can read what is sent there, and nothing secret is in the address itself."""
    try:
        parts = urlsplit(address)
        return is_confidential(address) and parts.port != 0 and not parts.fragment and "@" not in parts.netloc
    except ValueError:
        return False

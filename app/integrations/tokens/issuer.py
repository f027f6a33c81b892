"""The gate as an OpenID Connect issuer: RS256 tokens that say what a grant says, for five minutes.

GitHub, GitLab and PyPI use nothing but RS256, so every verifier accepts it. All that an AWS role must tell apart stands in
`sub`, since for a private issuer AWS can use only sub and aud.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from app.domain.clock import Clock, Ids
from app.domain.grant import Grant
from app.integrations.tokens.protocol import Token

KEY_BITS = 2048
SKEW_SECONDS = 5
PUBLIC_MEMBERS = frozenset({"kty", "kid", "use", "alg", "n", "e"})  # RFC 7518 §6.3.1; all others are private
CLAIMS = [
    *("iss", "aud", "sub", "iat", "nbf", "exp", "jti"),
    *("repository", "repository_id", "repository_owner", "environment"),
    *("ref", "sha", "zones", "actor", "deployment_id"),
]


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A private key in memory. It does not print."""

    kid: str
    private_pem: bytes

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid}, ***)"


class Issuer:
    """Mints tokens (protocol: TokenIssuer)."""

    def __init__(self, issuer: str, signing_key: Callable[[], SigningKey], clock: Clock, ids: Ids) -> None:
        self._issuer = issuer
        self._signing_key = signing_key
        self._clock = clock
        self._ids = ids
        self._parsed: tuple[str, RSAKey] | None = None

    def mint(self, grant: Grant) -> Token:
        """Mint a token for the grant's one audience, valid for `grant.seconds` from now."""
        token_id = self._ids.new()
        kid, key = self._key()
        header = {"alg": "RS256", "typ": "JWT", "kid": kid}
        return Token(jwt.encode(header, self._claims(grant, token_id), key, algorithms=["RS256"]), token_id)

    def _claims(self, grant: Grant, token_id: str) -> dict[str, Any]:
        now = int(self._clock.now().timestamp())
        return {
            "iss": self._issuer,
            "aud": grant.audience,
            "sub": grant.subject,
            "iat": now,
            "nbf": now - SKEW_SECONDS,
            "exp": now + grant.seconds,
            "jti": token_id,
            "repository": grant.repository,
            "repository_id": str(grant.repository_id),
            "repository_owner": grant.repository.partition("/")[0],
            "environment": grant.environment,
            "ref": grant.ref,
            "sha": grant.sha,
            "zones": list(grant.zones),
            "actor": grant.actor,
            "deployment_id": grant.deployment_id,
        }

    def _key(self) -> tuple[str, RSAKey]:
        signing = self._signing_key()
        if self._parsed is None or self._parsed[0] != signing.kid:
            self._parsed = (signing.kid, RSAKey.import_key(signing.private_pem))
        return self._parsed


def generate_key() -> tuple[str, bytes, dict[str, Any]]:
    """Make an RSA key; return its id (RFC 7638 thumbprint), the private key as PEM, and the public key as a JWK."""
    pem = RSAKey.generate_key(KEY_BITS).as_pem(private=True)
    kid, public = public_half(pem)
    return kid, pem, public


def public_half(private_pem: bytes) -> tuple[str, dict[str, Any]]:
    """Return the id (RFC 7638 thumbprint) and the public half as a JWK; raises ValueError for what is not a private key."""
    key = RSAKey.import_key(private_pem)
    kid = key.thumbprint()
    return kid, {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": "RS256"}


def discovery(issuer: str) -> dict[str, Any]:
    """Describe the issuer (OpenID Connect Discovery 1.0 §3)."""
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "subject_types_supported": ["public"],
        "response_types_supported": ["id_token"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
        "claims_supported": CLAIMS,
    }


def jwks(public_keys: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Wrap public keys as a key set (RFC 7517 §5), with their public members only."""
    return {"keys": [{name: key[name] for name in key if name in PUBLIC_MEMBERS} for key in public_keys]}

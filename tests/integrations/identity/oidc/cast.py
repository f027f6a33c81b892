"""An issuer on 127.0.0.1 that publishes real keys, tokens that it signs, and forged ones; for the tests of token validation."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from app.domain.errors import BadToken
from app.integrations.http import HttpClient
from app.integrations.identity.oidc.issuers import IssuerOptions, IssuerProfile, profile_of
from app.integrations.identity.oidc.jwks import IssuerKeys
from app.integrations.identity.oidc.validator import Validator, Validators
from tests.integrations.targets.cast import Request, Service, says, serving
from tests.waiting import PATIENCE

AUDIENCE = "https://gate.example"
START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
NOW = int(START.timestamp())
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
RSA_NEXT = RSAKey.generate_key(2048, {"kid": "rsa-2"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1"})
EC384 = ECKey.generate_key("P-384", {"kid": "ec-384"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa-1"})  # claims to be the issuer's key


class StillClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def public(*keys: Key) -> dict[str, Any]:
    """Make the key set that publishes these keys."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def signed(claims: Any, key: Key = RSA, *, alg: str = "RS256", **header: Any) -> str:
    """Sign anything, whatever it is; a header parameter that is None is left out."""
    full = {"alg": alg, "kid": key.kid, "typ": "JWT", **header}
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    registry.check_header = lambda header: None  # type: ignore[method-assign]
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jws.serialize_compact({k: v for k, v in full.items() if v is not None}, payload, key, registry=registry)


def forged(header: Any, claims: Any, signature: bytes = b"x" * 256) -> str:
    """Put a token together that nobody signed."""
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, signature))


def hmac_with_public_key(claims: dict[str, Any]) -> str:
    """Sign with HS256 and the issuer's public key as the secret, the oldest trick (RFC 8725 §2.1), without a library."""
    content = forged({"alg": "HS256", "kid": "rsa-1", "typ": "JWT"}, claims, b"").rstrip(".")
    digest = hmac.digest(RSA.as_pem(private=False), content.encode(), "sha256")
    return f"{content}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


@dataclass
class Issuer:
    """An issuer: what it publishes can be changed, and what it was asked is remembered."""

    service: Service
    jwks: Any = field(default_factory=lambda: public(RSA, EC, EC384, ED))
    discovery: dict[str, Any] = field(default_factory=dict)
    broken: Callable[[BaseHTTPRequestHandler, Request], None] | None = None

    @property
    def url(self) -> str:
        return self.service.url

    @property
    def fetches(self) -> list[str]:
        """The paths under which it was asked for keys."""
        return [request.path for request in self.service.requests if not request.path.startswith("/.well-known/openid")]

    def answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        if self.broken is not None:
            self.broken(handler, request)
        elif request.path == "/.well-known/openid-configuration":
            document = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.discovery}
            says(200, json.dumps(document).encode())(handler, request)
        else:
            body = self.jwks if isinstance(self.jwks, bytes) else json.dumps(self.jwks).encode()
            says(200, body)(handler, request)


@contextmanager
def issuing() -> Iterator[Issuer]:
    """Run an issuer until the test is over."""
    with serving() as service:
        issuer = Issuer(service)
        service.answer = issuer.answer
        yield issuer


def a_profile(issuer: Issuer | str, kind: str = "oidc", **options: Any) -> IssuerProfile:
    """Make the profile of an issuer, as its table in tidegate.toml would."""
    url = issuer if isinstance(issuer, str) else issuer.url
    table = {"kind": kind, "issuer": url, "audience": AUDIENCE, **options}
    return profile_of("corp", IssuerOptions.model_validate(table))


def a_validator(issuer: Issuer, kind: str = "oidc", *, clock: StillClock | None = None, **options: Any) -> Validator:
    """Make a validator of this issuer's tokens."""
    moment = clock or StillClock()
    profile = a_profile(issuer, kind, **options)
    client = HttpClient(connect_timeout=PATIENCE, read_timeout=PATIENCE)
    return Validator(profile, IssuerKeys(profile, clock=moment, client=client), moment)


def claims_of(kind: str, issuer: Issuer, *, service: bool = False, **over: Any) -> dict[str, Any]:
    """Make the claims that an issuer of this kind sends for alice or for a program; None leaves one out."""
    shared = {"iss": issuer.url, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 300}
    claims = {**shared, **(_SERVICES if service else _USERS)[kind], **over}
    return {name: value for name, value in claims.items() if value is not None}


def refused(validator: Validator | Validators, token: str) -> str:
    """Give the reason for which a token is refused, which is one line and holds no part of the token."""
    with pytest.raises(BadToken) as caught:
        validator.validate(token)
    reason = str(caught.value)
    assert "\n" not in reason
    assert all(part not in reason for part in token.split(".") if len(part) > 12)
    return reason


_ARN = "arn:aws:iam::123456789012:role/deployer"
_AWS = {"sub": _ARN, "jti": "1", "https://sts.amazonaws.com/": {"aws_account": "123456789012"}}
# As the vendors' pages that kinds.py cites print them, shortened.
_USERS: dict[str, dict[str, Any]] = {
    "oidc": {"sub": "alice", "email": "alice@acme.example", "email_verified": True, "client_id": "cli", "nbf": NOW},
    "okta": {"sub": "alice", "uid": "00u1", "cid": "0oa1", "ver": 1, "jti": "AT.1", "scp": ["openid"]},
    "cloudflare_access": {
        "aud": [AUDIENCE],
        "sub": "7335d417-61da-459d-899c-0a01c76a2f94",
        "email": "alice@acme.example",
        "type": "app",
        "nbf": NOW,
        "identity_nonce": "6ei69kawdKzMIAPF",
        "country": "DE",
    },
    "cognito": {"sub": "5f3c", "token_use": "id", "cognito:username": "alice", "email": "alice@acme.example"},
    "entra": {"sub": "pairwise", "oid": "0aa0", "azp": "1111", "scp": "Deploy", "tid": "t", "ver": "2.0", "nbf": NOW},
    "aws_federation": _AWS,
}
_SERVICES: dict[str, dict[str, Any]] = {
    "oidc": {"sub": "robot", "client_id": "robot"},
    "okta": {"sub": "0oa1", "cid": "0oa1", "scp": ["deploy"]},
    "cloudflare_access": {"aud": [AUDIENCE], "sub": "", "type": "app", "common_name": "e367.access"},
    "cognito": {"aud": None, "sub": AUDIENCE, "token_use": "access", "client_id": AUDIENCE, "scope": "gate/deploy"},
    "entra": {"sub": "0bb0", "oid": "0bb0", "azp": "2222", "roles": ["Deploy"], "tid": "t", "ver": "2.0"},
    "aws_federation": _AWS,
}
KINDS_SEEN = tuple(_USERS)


def keys_of(issuer: Issuer | str, clock: StillClock, *, seconds: float = PATIENCE, **options: Any) -> IssuerKeys:
    """Make the keys of an issuer, as they are held; `seconds` is how long they wait for an answer."""
    client = HttpClient(connect_timeout=seconds, read_timeout=seconds)
    return IssuerKeys(a_profile(issuer, **options), clock=clock, client=client)


def rsa_jwk(**over: Any) -> dict[str, Any]:
    """Publish the RSA key with members of one's own; None leaves one out."""
    jwk = {**RSA.as_dict(private=False), **over}
    return {name: value for name, value in jwk.items() if value is not None}

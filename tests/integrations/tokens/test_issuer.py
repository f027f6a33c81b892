"""Tokens, verified by another library (PyJWT) against the published key set, as a relying party would."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from joserfc.jwk import RSAKey

from app.domain.grant import Grant, subject_for
from app.integrations.system import SystemIds
from app.integrations.tokens import issuer as issuer_module
from app.integrations.tokens.issuer import Issuer, SigningKey, discovery, generate_key, jwks
from tests.fakes import FakeClock

ISSUER = "https://gate.example"
GRANT = Grant(
    audience="https://shop.example/deploy",
    subject=subject_for("acme", 5, "acme/shop", 42, "production"),
    repository="acme/shop",
    repository_id=42,
    environment="production",
    ref="refs/heads/main",
    sha="a" * 40,
    zones=("eu-central", "us-east"),
    actor="alice",
    deployment_id="0190aaaa-0000-7000-8000-000000000001",
)
KEY = generate_key()
OTHER = generate_key()


def signing(key: tuple[str, bytes, dict[str, Any]] = KEY) -> SigningKey:
    return SigningKey(key[0], key[1])


def an_issuer(clock: FakeClock | None = None) -> Issuer:
    return Issuer(ISSUER, signing, clock or FakeClock(), SystemIds())


def verified(token: str, published: dict[str, Any], **over: Any) -> dict[str, Any]:
    """Do what a relying party does: pick the key by kid from the published set, check everything."""
    keys = jwt.PyJWKSet.from_dict(published)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    wanted: dict[str, Any] = {"audience": GRANT.audience, "issuer": ISSUER} | over
    return jwt.decode(token, key, algorithms=["RS256"], options={"require": ["exp", "iat", "nbf", "jti", "sub"]}, **wanted)


def test_a_relying_party_can_verify_it_and_reads_what_was_granted() -> None:
    token = an_issuer().mint(GRANT)
    claims = verified(token.reveal(), jwks([KEY[2]]))
    iat = claims.pop("iat")
    assert claims == {
        "iss": ISSUER,
        "aud": "https://shop.example/deploy",
        "sub": "repo:acme@5/shop@42:environment:production",
        "nbf": iat - 5,
        "exp": iat + 300,
        "jti": token.id,
        "repository": "acme/shop",
        "repository_id": "42",
        "repository_owner": "acme",
        "environment": "production",
        "ref": "refs/heads/main",
        "sha": "a" * 40,
        "zones": ["eu-central", "us-east"],
        "actor": "alice",
        "deployment_id": GRANT.deployment_id,
    }
    assert abs(iat - datetime.now(UTC).timestamp()) < 60


def test_the_header_says_type_algorithm_and_key_and_nothing_else() -> None:
    assert jwt.get_unverified_header(an_issuer().mint(GRANT).reveal()) == {"alg": "RS256", "typ": "JWT", "kid": KEY[0]}


def test_it_is_for_one_audience_only() -> None:
    with pytest.raises(jwt.InvalidAudienceError):
        verified(an_issuer().mint(GRANT).reveal(), jwks([KEY[2]]), audience="https://other.example")


def test_it_expires_when_the_grant_says() -> None:
    clock = FakeClock()
    clock.move(-301)
    with pytest.raises(jwt.ExpiredSignatureError):
        verified(an_issuer(clock).mint(GRANT).reveal(), jwks([KEY[2]]))
    clock.move(30)
    assert verified(an_issuer(clock).mint(GRANT).reveal(), jwks([KEY[2]]))
    short = an_issuer(clock).mint(replace(GRANT, seconds=60)).reveal()
    with pytest.raises(jwt.ExpiredSignatureError):
        verified(short, jwks([KEY[2]]))


def test_a_verifier_whose_clock_is_a_few_seconds_behind_takes_it() -> None:
    claims = verified(an_issuer().mint(GRANT).reveal(), jwks([KEY[2]]))
    assert claims["iat"] - claims["nbf"] == 5


def test_another_key_or_an_altered_claim_does_not_verify() -> None:
    token = an_issuer().mint(GRANT).reveal()
    impostor = {**OTHER[2], "kid": KEY[0]}
    with pytest.raises(jwt.InvalidSignatureError):
        verified(token, jwks([impostor]))
    head, _, tail = token.split(".")
    body = jwt.utils.base64url_encode(json.dumps({"sub": "repo:evil"}).encode()).decode()
    with pytest.raises(jwt.InvalidSignatureError):
        verified(f"{head}.{body}.{tail}", jwks([KEY[2]]))


def test_every_token_has_an_id_of_its_own() -> None:
    issuer = an_issuer()
    assert len({issuer.mint(GRANT).id for _ in range(20)}) == 20


def test_a_new_key_signs_from_the_next_token_on_while_the_old_one_still_verifies() -> None:
    current = [signing(KEY)]
    issuer = Issuer(ISSUER, lambda: current[0], FakeClock(), SystemIds())
    before = issuer.mint(GRANT).reveal()
    current[0] = signing(OTHER)
    after = issuer.mint(GRANT).reveal()
    published = jwks([OTHER[2], KEY[2]])
    assert [jwt.get_unverified_header(t)["kid"] for t in (before, after)] == [KEY[0], OTHER[0]]
    assert all(verified(t, published) for t in (before, after))


def test_a_key_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    class Counting(RSAKey):
        @classmethod
        def import_key(cls, value: Any, *args: Any, **kwargs: Any) -> Any:
            parsed.append(value)
            return RSAKey.import_key(value, *args, **kwargs)

    monkeypatch.setattr(issuer_module, "RSAKey", Counting)
    issuer = an_issuer()
    for _ in range(5):
        issuer.mint(GRANT)
    assert len(parsed) == 1


def test_many_threads_mint_tokens_that_verify() -> None:
    issuer = an_issuer()
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: issuer.mint(GRANT).reveal(), range(40)))
    assert len({verified(token, jwks([KEY[2]]))["jti"] for token in tokens}) == 40


def test_a_generated_key_is_rsa_2048_and_named_by_its_thumbprint() -> None:
    kid, pem, public = generate_key()
    assert RSAKey.import_key(pem).thumbprint() == kid == RSAKey.import_key(public).thumbprint()
    assert len(jwt.utils.base64url_decode(public["n"])) == 256
    assert {k: v for k, v in public.items() if k != "n"} == {
        "kty": "RSA",
        "e": "AQAB",
        "kid": kid,
        "use": "sig",
        "alg": "RS256",
    }


def test_nothing_private_is_published() -> None:
    careless = RSAKey.import_key(KEY[1]).as_dict(private=True) | {"kid": KEY[0], "use": "sig", "alg": "RS256"}
    assert "d" in careless
    assert jwks([careless, OTHER[2]]) == {"keys": [KEY[2], OTHER[2]]}


def test_discovery_says_where_the_keys_are_and_names_every_claim() -> None:
    document = discovery(ISSUER)
    claims = verified(an_issuer().mint(GRANT).reveal(), jwks([KEY[2]]))
    assert document["issuer"] == claims["iss"]
    assert document["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]
    assert document["response_types_supported"] == ["id_token"]
    assert document["subject_types_supported"] == ["public"]
    assert document["scopes_supported"] == ["openid"]
    assert sorted(document["claims_supported"]) == sorted(claims)
    json.dumps(document)


def test_neither_token_nor_key_prints_and_no_token_is_serialised() -> None:
    token, key = an_issuer().mint(GRANT), signing()
    shown = f"{token} {token!r} {key} {key!r} {[key]}"
    assert token.reveal() not in shown
    assert "PRIVATE KEY" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(token)

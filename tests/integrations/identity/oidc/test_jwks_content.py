"""Which of the keys that an issuer publishes are taken."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from app.integrations.identity.oidc.jwks import IssuerKeys
from tests.integrations.identity.oidc.cast import EC, RSA, RSA_NEXT, Issuer, rsa_jwk


@pytest.mark.parametrize(
    "jwk",
    [
        OctKey.generate_key(256, {"kid": "bad"}).as_dict(),
        rsa_jwk(kid=None),
        rsa_jwk(kid=""),
        rsa_jwk(kid=5),
        rsa_jwk(kid="bad", use="enc"),
        rsa_jwk(kid="bad", use=["sig"]),
        rsa_jwk(kid="bad", key_ops=["encrypt"]),
        rsa_jwk(kid="bad", key_ops="verify"),
        rsa_jwk(kid="bad", kty="oct", k="c2VjcmV0"),
        rsa_jwk(kid="bad", kty=["RSA"]),
        rsa_jwk(kid="bad", kty="AKP"),
        rsa_jwk(kid="bad", n=None),
        rsa_jwk(kid="bad", n=7),
        rsa_jwk(kid="bad", n="!"),
        rsa_jwk(kid="bad", n="AQAB"),
        rsa_jwk(kid="bad", e="AA"),
        rsa_jwk(kid="bad", alg=5),
        rsa_jwk(kid="bad", n=base64.urlsafe_b64encode(b"\xff" * 4096).decode().rstrip("=")),
        RSAKey.generate_key(1024, {"kid": "bad"}).as_dict(private=False),
        ECKey.generate_key("secp256k1", {"kid": "bad"}).as_dict(private=False),
        {**EC.as_dict(private=False), "kid": "bad", "x": EC.as_dict()["y"]},
        {**EC.as_dict(private=False), "kid": "bad", "crv": "P-999"},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "kid": "bad"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "bad"},
        {},
    ],
)
def test_a_key_that_cannot_verify_is_left_out_and_the_others_stay(issuer: Issuer, keys: IssuerKeys, jwk: dict[str, Any]) -> None:
    issuer.jwks = {"keys": [jwk, rsa_jwk()]}
    assert keys.key("rsa-1") is not None
    assert keys.key("bad") is None
    assert keys.key("") is None


def test_private_parts_and_unknown_members_of_a_published_key_are_dropped(issuer: Issuer, keys: IssuerKeys) -> None:
    issuer.jwks = {"keys": [{**RSA.as_dict(private=True), "x5c": ["x"], "x5u": "https://evil.example", "issuer": "x"}]}
    found = keys.key("rsa-1")
    assert found is not None
    assert not found.is_private
    assert "x5u" not in found.as_dict()


def test_of_two_keys_with_one_id_the_first_counts(issuer: Issuer, keys: IssuerKeys) -> None:
    issuer.jwks = {"keys": [rsa_jwk(), {**RSA_NEXT.as_dict(private=False), "kid": "rsa-1"}]}
    found = keys.key("rsa-1")
    assert found is not None
    assert found.as_dict(private=False)["n"] == RSA.as_dict()["n"]

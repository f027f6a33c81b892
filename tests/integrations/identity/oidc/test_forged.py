"""Headers, signatures, keys and forms that are refused, whatever the claims say."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import jwt as pyjwt
import pytest
from joserfc.jwk import OKPKey

from app.integrations.identity.oidc.validator import LARGEST_TOKEN, Validators
from tests.integrations.identity.oidc.cast import (
    AUDIENCE,
    EC,
    EC384,
    ED,
    KINDS_SEEN,
    RSA,
    RSA_NEXT,
    STRANGER,
    Issuer,
    StillClock,
    a_profile,
    a_validator,
    claims_of,
    forged,
    hmac_with_public_key,
    issuing,
    public,
    refused,
    rsa_jwk,
    signed,
)

kinds = pytest.mark.parametrize("kind", KINDS_SEEN)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as made:
        yield made


@pytest.fixture
def changing() -> Iterator[Issuer]:
    """An issuer of the test's own, which it may change."""
    with issuing() as made:
        yield made


TYPES: dict[str, set[str | None]] = {
    "oidc": {None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"},
    "okta": {None, "JWT", "jwt"},
    "cloudflare_access": {"JWT", "jwt"},
    "cognito": {None, "JWT", "jwt"},
    "entra": {"JWT", "jwt"},
    "aws_federation": {None, "JWT", "jwt"},
}
OTHER_TYPES = {"logout+jwt", "secevent+jwt", "dpop+jwt", "JOSE", "application/okta-internal-at+jwt", "JWE", " JWT"}


@kinds
def test_only_the_types_that_an_issuer_sends_are_taken(issuer: Issuer, kind: str) -> None:
    validator, claims = a_validator(issuer, kind), claims_of(kind, issuer)
    for typ in {typ for several in TYPES.values() for typ in several} | OTHER_TYPES:
        token = signed(claims, typ=typ)
        if typ in TYPES[kind]:
            assert validator.validate(token)
        else:
            assert refused(validator, token).startswith("typ")


@pytest.mark.parametrize("typ", [5, ["JWT"], {}, True, "", None])
def test_a_type_that_is_no_text_is_refused(issuer: Issuer, typ: object) -> None:
    token = forged({"alg": "RS256", "kid": "rsa-1", "typ": typ}, claims_of("entra", issuer))
    assert refused(a_validator(issuer, "entra"), token).startswith("typ")


KEYS: dict[str, Any] = {"RS256": RSA, "PS256": RSA, "ES256": EC, "ES384": EC384, "Ed25519": ED}


@pytest.mark.parametrize("alg", KEYS)
def test_every_algorithm_that_can_be_configured_works_and_only_where_it_is(issuer: Issuer, alg: str) -> None:
    token = signed(claims_of("oidc", issuer), KEYS[alg], alg=alg)
    assert a_validator(issuer, algorithms=[alg]).validate(token).subject == "alice"
    others = [other for other in KEYS if other != alg]
    assert refused(a_validator(issuer, algorithms=others), token).startswith("alg: not ")


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384"])
def test_tokens_that_another_library_made_are_taken(issuer: Issuer, alg: str) -> None:
    key = KEYS[alg]
    pem = key.as_pem(private=True)
    token = pyjwt.encode(claims_of("oidc", issuer), pem, algorithm=alg, headers={"kid": key.kid})
    found = a_validator(issuer, algorithms=[alg]).validate(token)
    again = pyjwt.decode(
        token,
        key.as_pem(private=False),
        algorithms=[alg],
        audience=AUDIENCE,
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    assert found.sub == again["sub"]


@kinds
@pytest.mark.parametrize("alg", ["none", "None", "", "HS256", "HS384", "RS1", "EdDSA", "RSA-OAEP", "dir", None, 5, ["RS256"], {}])
def test_any_other_algorithm_is_refused(issuer: Issuer, kind: str, alg: object) -> None:
    token = forged({"alg": alg, "kid": "rsa-1", "typ": "JWT"}, claims_of(kind, issuer))
    assert refused(a_validator(issuer, kind), token).startswith("alg: not ")


@kinds
def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(issuer: Issuer, kind: str) -> None:
    assert refused(a_validator(issuer, kind), hmac_with_public_key(claims_of(kind, issuer))).startswith("alg")


def test_a_token_without_signature_is_refused(issuer: Issuer) -> None:
    token = forged({"alg": "none", "kid": "rsa-1"}, claims_of("oidc", issuer), b"")
    assert refused(a_validator(issuer), token).startswith("form")
    head, body, _ = signed(claims_of("oidc", issuer)).split(".")
    assert refused(a_validator(issuer), f"{head}.{body}.").startswith("form")
    assert refused(a_validator(issuer), f"{head}.{body}.AA").startswith("signature")


@kinds
def test_a_stranger_who_names_the_issuers_key_is_refused(issuer: Issuer, kind: str) -> None:
    assert refused(a_validator(issuer, kind), signed(claims_of(kind, issuer), STRANGER)).startswith("signature")


@pytest.mark.parametrize("more", ["\n", " ", "=", ".", ".e30", "\x00"])
def test_a_good_token_with_anything_behind_or_before_it_is_refused(issuer: Issuer, more: str) -> None:
    token = signed(claims_of("oidc", issuer))
    assert refused(a_validator(issuer), token + more).startswith("form")
    assert refused(a_validator(issuer), more + token).startswith("form")


def test_an_altered_claim_or_header_is_refused(issuer: Issuer) -> None:
    head, body, signature = signed(claims_of("oidc", issuer)).split(".")
    other = signed(claims_of("oidc", issuer, sub="bob")).split(".")
    assert refused(a_validator(issuer), f"{head}.{other[1]}.{signature}").startswith("signature")
    renamed = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": "rsa-1", "x": 1}).encode()).decode().rstrip("=")
    assert refused(a_validator(issuer), f"{renamed}.{body}.{signature}").startswith("signature")


def test_the_key_of_another_algorithm_does_not_verify(issuer: Issuer) -> None:
    claims = claims_of("oidc", issuer)
    assert refused(a_validator(issuer), forged({"alg": "ES256", "kid": "rsa-1"}, claims, b"x" * 64)).startswith("signature")
    assert refused(a_validator(issuer), forged({"alg": "RS256", "kid": "ec-1"}, claims)).startswith("signature")
    assert refused(a_validator(issuer), signed(claims, EC384, alg="ES384")).startswith("alg")
    assert refused(a_validator(issuer), forged({"alg": "ES256", "kid": "ec-384"}, claims, b"x" * 64)).startswith("signature")


def test_a_key_that_is_published_for_one_algorithm_serves_no_other(changing: Issuer) -> None:
    changing.jwks = {"keys": [{**RSA.as_dict(private=False), "alg": "PS256"}]}
    validator = a_validator(changing, algorithms=["RS256", "PS256"])
    assert validator.validate(signed(claims_of("oidc", changing), alg="PS256"))
    assert refused(validator, signed(claims_of("oidc", changing), alg="RS256")).startswith("signature")


@pytest.mark.parametrize(
    "kid",
    [
        *("unknown", "../../../../dev/null", "' OR 1=1 --", "rsa-1\x00", "rsa-1 ", "RSA-1", "https://evil.example/k", "\ud800"),
        *(None, "", 5, True, ["rsa-1"], {"rsa-1": 1}, "x" * 257, "x" * 10_000),
    ],
)
def test_a_key_id_is_only_looked_up_among_the_issuers_own(issuer: Issuer, kid: object) -> None:
    token = forged({"alg": "RS256", "kid": kid}, claims_of("oidc", issuer))
    assert refused(a_validator(issuer), token).startswith("kid: ")


def test_a_token_without_key_id_is_taken_only_by_the_one_key_that_fits(changing: Issuer) -> None:
    changing.jwks = public(RSA, EC, ED)
    claims = claims_of("oidc", changing)
    assert a_validator(changing).validate(signed(claims, kid=None)).subject == "alice"
    assert refused(a_validator(changing), signed(claims, RSA_NEXT, kid=None)).startswith("signature")
    changing.jwks = public(RSA, RSA_NEXT)
    reason = refused(a_validator(changing), signed(claims, kid=None))
    assert reason == "kid: the token names no key, and 2 keys fit of those that the issuer publishes"
    changing.jwks = public(EC)
    assert "no key fits" in refused(a_validator(changing), signed(claims, kid=None))


def test_a_key_that_is_published_without_an_id_serves_tokens_without_one(changing: Issuer) -> None:
    changing.jwks = {"keys": [rsa_jwk(kid=None)]}
    claims = claims_of("oidc", changing)
    assert a_validator(changing).validate(signed(claims, kid=None)).subject == "alice"
    assert refused(a_validator(changing), signed(claims)).startswith("kid")


def test_the_only_key_is_asked_for_anew_if_it_does_not_verify(changing: Issuer) -> None:
    clock = StillClock()
    validator, claims = a_validator(changing, clock=clock), claims_of("oidc", changing)
    changing.jwks = public(RSA)
    assert validator.validate(signed(claims, kid=None))
    changing.jwks = public(RSA_NEXT)
    assert refused(validator, signed(claims, RSA_NEXT, kid=None)).startswith("signature")
    clock.move(11)
    assert validator.validate(signed(claims, RSA_NEXT, kid=None))


@pytest.mark.parametrize("configured", ["Ed25519", "EdDSA"])
@pytest.mark.parametrize("said", ["Ed25519", "EdDSA"])
@pytest.mark.parametrize("published", [None, "Ed25519", "EdDSA"])
def test_both_names_of_an_ed25519_signature_are_taken(
    changing: Issuer, configured: str, said: str, published: str | None
) -> None:
    jwk = ED.as_dict(private=False) | ({"alg": published} if published else {})
    changing.jwks = {"keys": [jwk]}
    token = signed(claims_of("oidc", changing), ED, alg=said)
    assert a_validator(changing, algorithms=[configured]).validate(token).subject == "alice"


def test_eddsa_takes_no_key_of_another_kind_and_no_ed448(changing: Issuer) -> None:
    ed448 = OKPKey.generate_key("Ed448", {"kid": "ed-448"})
    changing.jwks = public(RSA, EC, ED, ed448)
    validator, claims = a_validator(changing, algorithms=["EdDSA"]), claims_of("oidc", changing)
    assert refused(validator, signed(claims, ed448, alg="EdDSA")).startswith("kid: the issuer has no such key")
    assert refused(validator, signed(claims, ed448, alg="Ed448")) == "alg: not Ed25519, but Ed448"
    for kid in ("rsa-1", "ec-1"):
        assert refused(validator, forged({"alg": "EdDSA", "kid": kid}, claims, b"x" * 64)).startswith("signature")
    assert refused(a_validator(changing), signed(claims, ED, alg="EdDSA")) == "alg: not ES256 or RS256, but EdDSA"


def test_keys_that_a_token_brings_are_neither_used_nor_fetched(changing: Issuer) -> None:
    validator, claims = a_validator(changing), claims_of("oidc", changing)
    brought: list[dict[str, Any]] = [
        {"jku": f"{changing.url}/evil"},
        {"x5u": f"{changing.url}/evil"},
        {"jwk": STRANGER.as_dict(private=False)},
        {"x5c": ["MIIB"]},
    ]
    for header in brought:
        assert refused(validator, signed(claims, STRANGER, **header)).startswith("signature")
        assert validator.validate(signed(claims, **header)).subject == "alice"
    assert changing.fetches == ["/keys"]


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], ["x" * 100], "exp", None, 5])
def test_an_extension_that_must_be_understood_is_refused(issuer: Issuer, crit: object) -> None:
    token = forged({"alg": "RS256", "kid": "rsa-1", "crit": crit, "b64": False, "exp": 1}, claims_of("oidc", issuer))
    assert refused(a_validator(issuer), token).startswith("crit")


def test_a_payload_that_is_not_encoded_is_refused(issuer: Issuer) -> None:
    token = forged({"alg": "RS256", "kid": "rsa-1", "b64": False}, claims_of("oidc", issuer))
    assert refused(a_validator(issuer), token).startswith("signature")


DEEP = b"[" * 5000
FORMS: list[tuple[str, str]] = [
    *[(token, "form") for token in ("", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", "Bearer a.b.c", "é.é.é")],
    *[(token, "form") for token in ("a.b.c\n", " a.b.c", "a=.b.c", "a+.b.c", "a/.b.c", "\x00.a.b", "\ud800.a.b", "a" * 5)],
    ("x" * (LARGEST_TOKEN + 1), "size"),
    (f"{'a' * LARGEST_TOKEN}.b.c", "size"),
    *[
        (forged(head, {}), "form: the header")
        for head in (b"x", b"[]", b"5", b'"alg"', b"null", b"{", DEEP, b"\xff\xfe", b"1" * 5000)
    ],
    (forged(b'{"a":' * 2000, {}), "form: the header"),
]


@pytest.mark.parametrize(("token", "reason"), FORMS)
def test_what_is_no_token_is_refused(issuer: Issuer, token: str, reason: str) -> None:
    assert refused(a_validator(issuer), token).startswith(reason)
    assert refused(Validators([a_profile(issuer)], clock=StillClock()), token).startswith(reason)


@pytest.mark.parametrize("payload", [b"[]", b"5", b"null", b'"sub"', b"", b"{", DEEP, b"\xff", b'{"a":' * 2000, b"9" * 5000])
def test_claims_that_are_no_object_are_refused_even_when_signed(issuer: Issuer, payload: bytes) -> None:
    assert refused(a_validator(issuer), signed(payload)).startswith("form: ")


@pytest.mark.parametrize(
    "payload", [b"[]", b"5", b"null", DEEP, b"\xff", b"{}", b'{"iss": 5}', b'{"iss": {}}', b'{"iss": "https://x"}']
)
def test_a_token_of_no_configured_issuer_is_refused_without_a_fetch(changing: Issuer, payload: bytes) -> None:
    validators = Validators([a_profile(changing)], clock=StillClock())
    assert refused(validators, forged({"alg": "RS256", "kid": "rsa-1"}, payload)).startswith(
        ("form: ", "iss: no configured issuer")
    )
    assert changing.service.requests == []

"""Whom a token of every kind of issuer speaks of, by keys from a real server, and which claims are refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.errors import BadConfiguration, BadToken, IssuerUnavailable
from app.integrations.identity.oidc.issuers import IssuerOptions, login_profile_of
from app.integrations.identity.oidc.jwks import IssuerKeys
from app.integrations.identity.oidc.validator import Validator, Validators
from tests.integrations.identity.oidc.cast import (
    AUDIENCE,
    KINDS_SEEN,
    NOW,
    RSA,
    RSA_NEXT,
    STRANGER,
    Issuer,
    StillClock,
    a_profile,
    a_validator,
    claims_of,
    issuing,
    public,
    refused,
    signed,
)
from tests.integrations.targets.cast import says

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


@pytest.mark.parametrize(
    ("kind", "subject", "client", "email"),
    [
        ("oidc", "alice", "cli", "alice@acme.example"),
        ("okta", "alice", "0oa1", ""),
        ("cloudflare_access", "alice@acme.example", "", "alice@acme.example"),
        ("cognito", "5f3c", "", ""),
        ("entra", "0aa0", "1111", ""),
    ],
)
def test_a_persons_token_names_the_person(issuer: Issuer, kind: str, subject: str, client: str, email: str) -> None:
    claims = claims_of(kind, issuer)
    found = a_validator(issuer, kind).validate(signed(claims))
    assert (found.issuer, found.subject, found.client_id, found.email) == ("corp", subject, client, email)
    assert (found.sub, found.is_service, found.groups) == (claims["sub"], False, frozenset())
    assert (found.issued_at.timestamp(), found.expires_at.timestamp()) == (NOW, NOW + 300)
    assert found.country == claims.get("country", "")


@pytest.mark.parametrize(
    ("kind", "subject", "client"),
    [
        ("oidc", "robot", "robot"),
        ("okta", "0oa1", "0oa1"),
        ("cloudflare_access", "e367.access", "e367.access"),
        ("cognito", AUDIENCE, AUDIENCE),
        ("entra", "0bb0", "2222"),
        ("aws_federation", "arn:aws:iam::123456789012:role/deployer", ""),
    ],
)
def test_a_programs_token_is_a_service_and_no_person(issuer: Issuer, kind: str, subject: str, client: str) -> None:
    found = a_validator(issuer, kind).validate(signed(claims_of(kind, issuer, service=True)))
    assert (found.subject, found.client_id, found.is_service) == (subject, client, True)


@pytest.mark.parametrize(
    ("kind", "over"),
    [
        ("oidc", {"sub": "x@clients", "gty": "client-credentials"}),
        ("oidc", {"sub": "uuid", "azp": "robot", "preferred_username": "service-account-robot"}),
        ("oidc", {"sub": "robot", "azp": "robot", "client_id": None}),
        ("okta", {"uid": None}),
        ("cognito", {"token_use": "access", "client_id": AUDIENCE, "cognito:username": None}),
        ("entra", {"idtyp": "app"}),
        ("entra", {"scp": None}),
        ("entra", {"scp": None, "azp": None, "appid": "1111"}),
    ],
)
def test_a_program_is_recognised_by_what_its_issuer_says_of_it(issuer: Issuer, kind: str, over: dict[str, Any]) -> None:
    assert a_validator(issuer, kind).validate(signed(claims_of(kind, issuer, **over))).is_service


def test_a_person_who_uses_a_cognito_access_token_is_a_person(issuer: Issuer) -> None:
    claims = claims_of("cognito", issuer, token_use="access", aud=None, client_id=AUDIENCE, username="alice")
    assert not a_validator(issuer, "cognito").validate(signed(claims)).is_service


@pytest.mark.parametrize(
    ("kind", "over", "reason"),
    [
        ("cloudflare_access", {"sub": ""}, "common_name: names no service"),
        ("cloudflare_access", {"sub": "", "common_name": ""}, "common_name"),
        ("cloudflare_access", {"sub": "", "common_name": "alice@acme.example"}, "common_name"),
        ("cloudflare_access", {"sub": "", "common_name": ["x.access"]}, "common_name"),
        ("cloudflare_access", {"sub": None, "common_name": "e367.access"}, "sub"),
        ("cloudflare_access", {"sub": " "}, "sub"),
        ("cloudflare_access", {"type": "org"}, "type: not app"),
        ("cloudflare_access", {"type": None}, "type: not app"),
        ("cloudflare_access", {"type": ["app"]}, "type: not app"),
        ("cloudflare_access", {"email": None}, "email"),
        ("cloudflare_access", {"email": ""}, "email"),
        ("cognito", {"token_use": None}, "token_use: not access or id"),
        ("cognito", {"token_use": "refresh"}, "token_use"),
        ("cognito", {"token_use": "access"}, "aud"),
        ("cognito", {"token_use": "access", "client_id": "other"}, "aud"),
        ("cognito", {"aud": "other", "client_id": AUDIENCE}, "aud"),
        ("entra", {"oid": None}, "oid: names no subject"),
        ("okta", {"sub": None}, "sub"),
        ("aws_federation", {"sub": ""}, "sub"),
    ],
)
def test_what_a_kind_does_not_allow_is_refused(issuer: Issuer, kind: str, over: dict[str, Any], reason: str) -> None:
    assert refused(a_validator(issuer, kind), signed(claims_of(kind, issuer, **over))).startswith(reason)


def each(claim: str, reason: str, *values: Any) -> list[tuple[dict[str, Any], str]]:
    return [({claim: value}, reason) for value in values]


CLAIMS_REFUSED: list[tuple[dict[str, Any], str]] = [
    *each("iss", "iss: another issuer", None, "", "https://id.example", 5, ["x"], {}),
    *each("aud", "aud", None, "", [], "other", ["other"], 5, {}, AUDIENCE.upper(), f"{AUDIENCE}/"),
    ({"aud": [AUDIENCE, "other"]}, "aud: not issued for this gate, or not for it alone"),
    ({"aud": [AUDIENCE, AUDIENCE]}, "aud"),
    ({"aud": [[AUDIENCE]]}, "aud"),
    *each("exp", "exp", None, str(NOW + 300), True, [], float("inf"), float("nan"), -1, 10**300, 1e300),
    *each("iat", "iat", None, str(NOW), True, float("-inf"), 10**18),
    *each("nbf", "nbf", str(NOW), False, {}, float("nan")),
    ({"exp": NOW - 30}, "exp: the token has expired"),
    ({"exp": 0}, "exp: the token has expired"),
    *[({name: NOW + 31}, "iat, nbf, auth_time: one of them is in the future") for name in ("iat", "nbf", "auth_time")],
    ({"iat": NOW - 86_400 - 31}, "iat: older than 86400 s"),
    ({"auth_time": "yesterday"}, "auth_time: not a time"),
]


@kinds
@pytest.mark.parametrize(("over", "reason"), CLAIMS_REFUSED)
def test_a_claim_that_does_not_fit_is_refused(issuer: Issuer, kind: str, over: dict[str, Any], reason: str) -> None:
    assert refused(a_validator(issuer, kind), signed(claims_of(kind, issuer, **over))).startswith(reason)


@pytest.mark.parametrize(
    "sub", [None, "", " ", "\t", 5, True, [], ["alice"], {}, "a\nb", "x" * 201, "\ud800", "\x00", "Tidegate"]
)
def test_a_subject_that_names_no_one_or_the_gate_itself_is_refused(issuer: Issuer, sub: object) -> None:
    assert refused(a_validator(issuer), signed(claims_of("oidc", issuer, sub=sub))).startswith("sub: ")


@kinds
@pytest.mark.parametrize(
    "over",
    [{"exp": NOW - 29}, {"iat": NOW + 29}, {"nbf": NOW + 30}, {"iat": NOW - 86_400}, {"exp": NOW + 0.5}, {"nbf": None}],
)
def test_times_within_the_leeway_are_taken(issuer: Issuer, kind: str, over: dict[str, Any]) -> None:
    assert a_validator(issuer, kind).validate(signed(claims_of(kind, issuer, **over)))


def test_leeway_and_age_are_as_configured(issuer: Issuer) -> None:
    strict = a_validator(issuer, leeway=0, max_token_age=60)
    assert strict.validate(signed(claims_of("oidc", issuer, iat=NOW - 60)))
    assert refused(strict, signed(claims_of("oidc", issuer, iat=NOW - 61))) == "iat: older than 60 s"
    assert refused(strict, signed(claims_of("oidc", issuer, exp=NOW))).startswith("exp")


def test_a_token_is_taken_until_it_expires(issuer: Issuer) -> None:
    clock = StillClock()
    validator, token = a_validator(issuer, clock=clock), signed(claims_of("oidc", issuer))
    clock.move(329)
    assert validator.validate(token)
    clock.move(1)
    assert refused(validator, token).startswith("exp")


def test_what_a_token_claims_beside_who_it_is_for_is_read_as_far_as_it_makes_sense(issuer: Issuer) -> None:
    extra: dict[str, Any] = {"name": "Alice", "acr": "urn:mfa", "amr": ["pwd", "otp"], "auth_time": NOW - 60}
    found = a_validator(issuer).validate(signed(claims_of("oidc", issuer, **extra)))
    assert (found.name, found.acr, found.amr) == ("Alice", "urn:mfa", ("pwd", "otp"))
    assert found.auth_time == datetime.fromtimestamp(NOW - 60, UTC)
    odd: dict[str, Any] = {"name": "A\nB", "acr": 5, "amr": "pwd otp", "country": "Germany"}
    found = a_validator(issuer).validate(signed(claims_of("oidc", issuer, **odd)))
    assert (found.name, found.acr, found.amr, found.auth_time, found.country) == ("", "", (), None, "")


def test_a_single_method_of_authentication_may_be_a_text(issuer: Issuer) -> None:
    assert a_validator(issuer).validate(signed(claims_of("oidc", issuer, amr="mfa"))).amr == ("mfa",)


@pytest.mark.parametrize(
    ("verified", "seen"),
    [
        (None, "the token does not say email_verified"),
        (False, "the token says email_verified is false"),
        ("false", "the token says email_verified is false"),
        (1, "email_verified is neither true nor false but a number"),
        ("True", "email_verified is neither true nor false but another text"),
        ("yes", "email_verified is neither true nor false but another text"),
        ([True], "email_verified is neither true nor false but a list"),
    ],
)
def test_an_email_that_is_not_verified_is_not_told_and_names_no_one_and_what_was_seen_is_said(
    issuer: Issuer, verified: object, seen: str
) -> None:
    token = signed(claims_of("oidc", issuer, email_verified=verified))
    assert a_validator(issuer).validate(token).email == ""
    reason = refused(a_validator(issuer, subject_claim="email"), token)
    assert reason == f"email: the issuer has not verified it: {seen}"


@pytest.mark.parametrize("verified", [True, "true"])
def test_an_email_that_is_verified_names_a_person_also_if_that_is_said_as_a_text(issuer: Issuer, verified: object) -> None:
    token = signed(claims_of("oidc", issuer, email_verified=verified))
    assert a_validator(issuer, subject_claim="email").validate(token).subject == "alice@acme.example"


def a_login(issuer: Issuer, **options: Any) -> Validator:
    table = {"kind": "oidc", "issuer": issuer.url, "audience": AUDIENCE, "client_id": "gate-login", **options}
    profile, clock = login_profile_of("corp", IssuerOptions.model_validate(table)), StillClock()
    assert profile is not None
    return Validator(profile, IssuerKeys(profile, clock=clock), clock)


@pytest.mark.parametrize(
    ("extra", "aud", "azp", "reason"),
    [
        (["project", "other"], ["gate-login", "other", "project"], "gate-login", None),
        (["project", "other"], ["gate-login", "project"], "gate-login", None),
        (["project"], ["gate-login"], None, None),
        ([], ["gate-login", "project"], "gate-login", "aud: not issued for this gate, or not for it alone"),
        (["project"], ["gate-login", "project", "stranger"], "gate-login", "aud: issued for others, too"),
        (["project"], ["gate-login", ["project"]], "gate-login", "aud: issued for others, too"),
        (["project"], ["project"], "gate-login", "aud: not issued for this gate"),
        (["project"], "project", "gate-login", "aud: not issued for this gate"),
        (["project"], ["gate-login", "project"], None, "azp: not this gate's client"),
        (["project"], ["gate-login", "project"], "project", "azp: not this gate's client"),
        (["project"], ["gate-login", "project"], ["gate-login"], "azp: not this gate's client"),
    ],
)
def test_a_login_takes_configured_audiences_beside_its_client_if_the_token_was_issued_to_it(
    issuer: Issuer, extra: list[str], aud: object, azp: object, reason: str | None
) -> None:
    validator = a_login(issuer, extra_audiences=extra)
    token = signed(claims_of("oidc", issuer, aud=aud, azp=azp, client_id=None, nonce="n-1"))
    if reason is None:
        assert validator.validate(token, nonce="n-1").subject == "alice"
    else:
        assert refused(validator, token).startswith(reason)


def test_a_bearer_token_is_for_this_gate_alone_whatever_a_login_may_take(issuer: Issuer) -> None:
    bearer = a_validator(issuer, client_id="gate-login", extra_audiences=["project"])
    token = signed(claims_of("oidc", issuer, aud=[AUDIENCE, "project"], azp=AUDIENCE))
    assert refused(bearer, token) == "aud: not issued for this gate, or not for it alone"


def test_a_subject_is_spelled_as_subjects_are_compared(issuer: Issuer) -> None:
    found = a_validator(issuer, subject_claim="login").validate(signed(claims_of("oidc", issuer, login="Alice ")))
    assert (found.subject, found.sub) == ("alice", "alice")


@pytest.mark.parametrize(
    ("groups", "found"),
    [(["ops", "dev"], {"ops", "dev"}), ("ops", {"ops"}), ([], set()), (None, set()), (["ops"] * 500, {"ops"})],
)
def test_trusted_groups_are_told(issuer: Issuer, groups: object, found: set[str]) -> None:
    token = signed(claims_of("oidc", issuer, groups=groups))
    assert a_validator(issuer, trusts_groups=True).validate(token).groups == found
    assert a_validator(issuer).validate(token).groups == frozenset()


@pytest.mark.parametrize(
    "over",
    [
        *[over for over, _ in each("groups", "", 5, {}, [5], [None], [""], [["ops"]], ["x" * 257], ["a\nb"], "", ["g"] * 501)],
        {"_claim_names": {"groups": "src1"}},
        {"hasgroups": True},
    ],
)
def test_groups_that_are_not_all_there_are_refused_rather_than_shortened(issuer: Issuer, over: dict[str, Any]) -> None:
    assert refused(a_validator(issuer, trusts_groups=True), signed(claims_of("oidc", issuer, **over))).startswith("groups: ")


def test_a_login_needs_the_nonce_that_it_sent(issuer: Issuer) -> None:
    validator = a_validator(issuer)
    token = signed(claims_of("oidc", issuer, nonce="n-1"))
    assert validator.validate(token, nonce="n-1")
    for claimed, sent in (("n-1", "n-2"), (None, "n-1"), (["n-1"], "n-1"), ("", "n-1"), ("n-1", ""), ("é\ud800", "n-1")):
        with pytest.raises(BadToken, match="nonce"):
            validator.validate(signed(claims_of("oidc", issuer, nonce=claimed)), nonce=sent)


def test_a_login_takes_no_access_token(issuer: Issuer) -> None:
    table = {"kind": "oidc", "issuer": issuer.url, "audience": AUDIENCE, "client_id": "gate-login"}
    profile, clock = login_profile_of("corp", IssuerOptions.model_validate(table)), StillClock()
    assert profile is not None
    validator = Validator(profile, IssuerKeys(profile, clock=clock), clock)
    claims = claims_of("oidc", issuer, aud="gate-login", nonce="n-1")
    assert validator.validate(signed(claims, typ=None), nonce="n-1")
    with pytest.raises(BadToken, match="typ"):
        validator.validate(signed(claims, typ="at+jwt"), nonce="n-1")
    with pytest.raises(BadToken, match="aud"):
        validator.validate(signed(claims_of("oidc", issuer, nonce="n-1")), nonce="n-1")


def test_a_rotated_key_is_picked_up_after_the_cooldown(changing: Issuer) -> None:
    clock = StillClock()
    validator, claims = a_validator(changing, clock=clock), claims_of("oidc", changing)
    assert validator.validate(signed(claims))
    changing.jwks = public(RSA, RSA_NEXT)
    assert refused(validator, signed(claims, RSA_NEXT)).startswith("kid")
    clock.move(11)
    assert validator.validate(signed(claims, RSA_NEXT))
    assert validator.validate(signed(claims))


def test_an_issuer_that_was_never_reached_makes_no_token_bad_and_none_good(changing: Issuer) -> None:
    changing.broken = says(503)
    with pytest.raises(IssuerUnavailable, match="HTTP 503"):
        a_validator(changing).validate(signed(claims_of("oidc", changing)))


def test_the_issuer_of_a_token_picks_its_profile(issuer: Issuer, changing: Issuer) -> None:
    validators = Validators([a_profile(issuer), a_profile(changing, "okta")], clock=StillClock())
    assert validators.validate(signed(claims_of("oidc", issuer))).client_id == "cli"
    assert validators.validate(signed(claims_of("okta", changing))).client_id == "0oa1"


def test_the_key_of_one_issuer_does_not_sign_for_another(changing: Issuer, issuer: Issuer) -> None:
    changing.jwks = public(STRANGER)
    validators = Validators([a_profile(issuer), a_profile(changing)], clock=StillClock())
    assert refused(validators, signed(claims_of("oidc", issuer), STRANGER)).endswith(
        "signature: does not verify with the issuer's key"
    )


def test_profiles_of_one_issuer_are_told_apart_by_audience_and_share_its_keys(changing: Issuer) -> None:
    other = a_profile(changing, audience="https://other.example", subject_claim="client_id")
    validators = Validators([a_profile(changing), other], clock=StillClock())
    assert validators.validate(signed(claims_of("oidc", changing))).subject == "alice"
    assert validators.validate(signed(claims_of("oidc", changing, aud="https://other.example"))).subject == "cli"
    reason = refused(validators, signed(claims_of("oidc", changing, aud="https://third.example")))
    assert reason.count("aud: not issued for this gate") == 2
    assert changing.fetches == ["/keys"]


def test_two_profiles_for_the_same_tokens_are_a_fault_of_the_configuration(issuer: Issuer) -> None:
    with pytest.raises(BadConfiguration, match="one issuer and audience"):
        Validators([a_profile(issuer), a_profile(issuer, "okta")], clock=StillClock())


def test_all_keys_are_fetched_early_and_what_cannot_be_had_is_told(issuer: Issuer, changing: Issuer) -> None:
    changing.broken = says(500)
    validators = Validators([a_profile(issuer), a_profile(changing)], clock=StillClock())
    assert validators.warm() == ["the keys of issuer corp are not available now: HTTP 500"]

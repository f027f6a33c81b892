"""One table per issuer: what it may say, and the profile that follows from it."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from app.integrations.identity.oidc.issuers import IssuerOptions, is_fetchable, login_profile_of, profile_of
from app.integrations.identity.oidc.kinds import KINDS, Algorithm, Kind

TABLE: dict[str, Any] = {"kind": "oidc", "issuer": "https://id.example", "audience": "https://gate.example"}


def options(**over: Any) -> IssuerOptions:
    return IssuerOptions.model_validate({name: value for name, value in {**TABLE, **over}.items() if value is not None})


def test_the_smallest_table_makes_a_whole_profile() -> None:
    profile = profile_of("corp", options())
    assert (profile.name, profile.kind, profile.issuer, profile.audience) == ("corp", *TABLE.values())
    assert (profile.jwks_url, profile.groups_claim, profile.subject_claim) == (None, None, "sub")
    assert (profile.leeway, profile.max_age, profile.algorithms) == (30.0, 86_400.0, frozenset({"RS256", "ES256"}))


@pytest.mark.parametrize(
    "over",
    [
        {"kind": "saml"},
        {"kind": None},
        {"audience": None},
        {"audience": ""},
        {"audience": ["a", "b"]},
        {"audience": "two words"},
        {"issuer": None},
        {"issuer": "http://id.example"},
        {"issuer": "https://id.example?x=1"},
        {"issuer": "https://id.example#x"},
        {"issuer": "ftp://id.example"},
        {"jwks_url": "http://id.example/keys"},
        {"jwks_url": ""},
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"algorithms": ["RS256", "HS512"]},
        {"algorithms": ["ES256K"]},
        {"algorithms": ["Ed448"]},
        {"extra_audiences": ["project"]},
        {"algorithms": "RS256"},
        {"leeway": -1},
        {"leeway": 121},
        {"leeway": True},
        {"leeway": float("nan")},
        {"max_token_age": 0},
        {"max_token_age": float("inf")},
        {"trusts_groups": "yes"},
        {"kind": "cloudflare_access", "trusts_groups": True},
        {"client_secret": "env:SECRET"},
        {"client_id": "gate", "client_secret": "s3cret"},
        {"client_id": "gate", "client_secret": "env:"},
        {"scopes": ["email"]},
        {"scopes": []},
        {"subject_claim": ""},
        {"tenant": "x"},
    ],
)
def test_a_table_that_does_not_fit_is_refused(over: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options(**over)


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example",
        "https://id.example/",
        "https://id.example:8443/realms/acme",
        "https://id.example/keys?p=policy",
        "http://localhost:8080/x",
        "http://127.0.0.1:8080",
        "http://[::1]:8080/x",
    ],
)
def test_keys_may_come_over_https_and_from_this_machine(url: str) -> None:
    assert is_fetchable(url)
    assert is_fetchable(url, loopback=False) == url.startswith("https://")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://id.example",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1@evil.example/",
        "http://localhost.evil.example",
        "http://localhost\\@evil.example",
        "https://user:secret@id.example",
        "https://id.example\\@evil.example",
        "https://id.example/#fragment",
        "https://id.example/a b",
        "https://id.example/\n",
        "https://id.example\n",
        "https://",
        "https:///keys",
        "https://a..b/",
        f"https://{'a' * 64}.example/",
        "https://id.exämple/",
        "HTTPS://id.example",
        "file:///etc/passwd",
        "//id.example",
        f"https://id.example/{'x' * 2048}",
    ],
)
def test_keys_come_from_nowhere_else(url: str) -> None:
    assert not is_fetchable(url)


def test_every_kind_has_rules_and_pins_asymmetric_algorithms() -> None:
    assert set(KINDS) == set(get_args(Kind))
    assert set(get_args(Algorithm)) == {"RS256", "ES256", "ES384", "PS256", "Ed25519", "EdDSA"}
    for rules in KINDS.values():
        assert rules.algorithms
        assert rules.types <= {"", "jwt", "at+jwt", "application/at+jwt"}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("cloudflare_access", "https://id.example/cdn-cgi/access/certs"),
        ("cognito", "https://id.example/.well-known/jwks.json"),
        ("aws_federation", "https://id.example/.well-known/jwks.json"),
        ("okta", None),
        ("entra", None),
    ],
)
def test_a_product_whose_keys_have_a_known_place_needs_no_discovery(kind: str, path: str | None) -> None:
    assert profile_of("corp", options(kind=kind)).jwks_url == path
    assert profile_of("corp", options(kind=kind, issuer="https://id.example/")).jwks_url == path
    assert profile_of("corp", options(kind=kind, jwks_url="https://keys.example/")).jwks_url == "https://keys.example/"


def test_groups_count_only_where_they_are_trusted() -> None:
    assert profile_of("corp", options(groups_claim="roles")).groups_claim is None
    assert profile_of("corp", options(groups_claim="roles", trusts_groups=True)).groups_claim == "roles"
    assert profile_of("corp", options(kind="cognito", trusts_groups=True)).groups_claim == "cognito:groups"
    named = options(kind="cloudflare_access", trusts_groups=True, groups_claim="teams")
    assert profile_of("corp", named).groups_claim == "teams"


def test_a_login_takes_id_tokens_for_the_client_and_no_access_tokens() -> None:
    profile = login_profile_of("corp", options(client_id="gate-login", client_secret="env:SECRET"))
    assert profile is not None
    assert profile.audience == "gate-login"
    assert profile.rules.types == {"jwt", ""}


def test_there_is_no_login_without_a_client() -> None:
    assert login_profile_of("corp", options()) is None


def test_an_okta_login_and_an_okta_access_token_name_one_subject() -> None:
    table = options(kind="okta", client_id="gate-login")
    login = login_profile_of("corp", table)
    assert login is not None
    assert (login.subject_claim, profile_of("corp", table).subject_claim) == ("preferred_username", "sub")
    chosen = login_profile_of("corp", options(kind="okta", client_id="gate-login", subject_claim="employee"))
    assert chosen is not None
    assert chosen.subject_claim == "employee"

"""No input makes anything but a verified token or BadToken come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import BadToken
from app.integrations.identity.oidc.validator import Validator, Validators
from tests.integrations.identity.oidc.cast import (
    KINDS_SEEN,
    Issuer,
    StillClock,
    a_profile,
    a_validator,
    claims_of,
    forged,
    issuing,
    refused,
    signed,
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as made:
        yield made


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    "iss aud sub exp iat nbf auth_time email email_verified groups _claim_names hasgroups amr acr name nonce oid azp appid"
    " scp idtyp cid uid type common_name token_use client_id username country gty preferred_username".split()
)
HEADER_NAMES = st.sampled_from("alg typ kid crit jku jwk x5u x5c b64 cty zip enc".split())


def lets_out_only_bad_token(check: Callable[[], object]) -> None:
    try:
        check()
    except BadToken as fault:
        assert "\n" not in str(fault)


@settings(max_examples=300, deadline=None)
@given(token=st.text() | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}", fullmatch=True))
def test_no_text_makes_anything_but_a_bad_token(issuer: Issuer, token: str) -> None:
    refused(Validators([a_profile(issuer)], clock=StillClock()), token)


@settings(max_examples=300, deadline=None)
@given(
    header=JSON | st.dictionaries(HEADER_NAMES, JSON | st.sampled_from(["RS256", "ES256", "rsa-1", "ec-1", "JWT"])),
    signature=st.binary(),
)
def test_no_header_makes_anything_but_a_bad_token(issuer: Issuer, header: Any, signature: bytes) -> None:
    refused(_warm(issuer, "oidc"), forged(header, claims_of("oidc", issuer), signature))


@settings(max_examples=600, deadline=None)
@given(kind=st.sampled_from(KINDS_SEEN), service=st.booleans(), over=st.dictionaries(NAMES, JSON, min_size=1, max_size=4))
def test_no_signed_claims_make_anything_but_a_verified_or_a_bad_token(
    issuer: Issuer, kind: str, service: bool, over: dict[str, Any]
) -> None:
    token = signed({**claims_of(kind, issuer, service=service), **over})
    lets_out_only_bad_token(lambda: _warm(issuer, kind).validate(token))


_WARM: dict[tuple[str, str], Validator] = {}


def _warm(issuer: Issuer, kind: str) -> Validator:
    options: dict[str, Any] = {"groups_claim": "groups", "trusts_groups": True}
    return _WARM.setdefault((issuer.url, kind), a_validator(issuer, kind, **options))

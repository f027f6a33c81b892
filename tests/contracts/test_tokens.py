"""What the pipeline relies on from anything that mints tokens, the real issuer and the fake."""

from __future__ import annotations

import pickle

import pytest

from app.integrations.system import SystemClock, SystemIds
from app.integrations.tokens.issuer import Issuer, SigningKey, generate_key
from app.integrations.tokens.protocol import TokenIssuer
from tests.fakes import FakeIssuer
from tests.integrations.tokens.test_issuer import GRANT


def _real() -> TokenIssuer:
    kid, pem, _ = generate_key()
    return Issuer("https://gate.example", lambda: SigningKey(kid, pem), SystemClock(), SystemIds())


@pytest.fixture(params=[_real, FakeIssuer], ids=["issuer", "fake"])
def issuer(request: pytest.FixtureRequest) -> TokenIssuer:
    made: TokenIssuer = request.param()
    return made


def test_a_token_has_a_value_and_an_id_that_may_be_kept(issuer: TokenIssuer) -> None:
    token = issuer.mint(GRANT)
    assert token.reveal()
    assert token.id
    assert token.id != token.reveal()


def test_a_token_shows_its_id_and_not_its_value(issuer: TokenIssuer) -> None:
    token = issuer.mint(GRANT)
    for shown in (repr(token), str(token), f"{token}", repr([token]), f"{token!s:>9}"):
        assert token.reveal() not in shown
        assert token.id in shown


def test_a_token_can_not_be_serialised(issuer: TokenIssuer) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(issuer.mint(GRANT))

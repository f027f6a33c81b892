"""An issuer on this machine and its keys, for the tests of token validation; other tests here have fixtures of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.integrations.identity.oidc.jwks import IssuerKeys
from tests.integrations.identity.oidc.cast import Issuer, StillClock, issuing, keys_of


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as made:
        yield made


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def keys(issuer: Issuer, clock: StillClock) -> IssuerKeys:
    return keys_of(issuer, clock)

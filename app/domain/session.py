"""A person's session: the subject, time, place and issuer of the sign-in, and whether a second factor was shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.domain.errors import Forbidden

MFA_FRESH = timedelta(minutes=15)  # for an override
MULTI_FACTOR = "mfa"  # RFC 8176 §2
# Values of `acr` that stand for more than one factor: RFC 9470's and OpenID EAP ACR Values 1.0 §3 (phr, phrh), PAPE 1.0 §4,
# REFEDS MFA profile, NIST SP 800-63 as login.gov and others spell it, and Okta's (developer.okta.com, step-up authentication).
# `urn:okta:loa:2fa:any:ifpossible` does not prove a second factor and is not among them.
MULTI_FACTOR_CLASSES = frozenset(
    {
        "phr",
        "phrh",
        "aal2",
        "aal3",
        "http://schemas.openid.net/pape/policies/2007/06/multi-factor",
        "http://schemas.openid.net/pape/policies/2007/06/multi-factor-physical",
        "https://refeds.org/profile/mfa",
        "urn:okta:loa:2fa:any",
    }
)


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person's session. `mfa_at`: when a second factor was shown, None if it was not.

    `issuer` is the name of a configured issuer, and `issuer_url` its URL at sign-in.
    `address` and `country` are empty if no trusted proxy told them.
    """

    id: str
    subject: str
    issuer: str
    signed_in_at: datetime
    mfa_at: datetime | None
    acr: str
    amr: tuple[str, ...]
    address: str
    country: str
    issuer_url: str

    def counts(self, issuers: Mapping[str, str]) -> bool:
        """Tell whether the session's issuer is still configured with the same URL (`issuers`: URLs by name)."""
        return issuers.get(self.issuer) == self.issuer_url


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A stored session, perhaps not signed in yet (`facts` is None). `digest` is the SHA-256 of its cookie."""

    id: str
    digest: str
    data: Mapping[str, Any]
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    facts: Session | None = None


@dataclass(frozen=True, slots=True)
class ActingSession:
    """The session in which a person asked for an override or a rollback, kept with it.

    `revoked_at`: when the session was ended because it is no longer trusted. Signing out or signing in again is not that.
    """

    facts: Session
    revoked_at: datetime | None


def shows_mfa(acr: str, amr: tuple[str, ...]) -> bool:
    """Tell whether an issuer says that more than one factor was shown; unknown values mean no."""
    return MULTI_FACTOR in amr or acr in MULTI_FACTOR_CLASSES


def check_fresh(session: Session, now: datetime, longest: timedelta) -> None:
    """Make sure that a sign-in is recent enough; raises Forbidden."""
    if not timedelta() <= now - session.signed_in_at <= longest:
        raise Forbidden(f"the sign-in is older than {_minutes(longest)}: sign in again, then repeat this")


def why_no_mfa(session: Session | None, now: datetime, longest: timedelta = MFA_FRESH) -> str | None:
    """Say why a second factor does not count as shown just now, or None."""
    if session is None:
        return "no sign-in at this gate: open /login first, with a second factor"
    if session.mfa_at is None or not timedelta() <= now - session.mfa_at <= longest:
        return f"no second factor within {_minutes(longest)}: sign in again with one, then repeat this"
    return None


def _minutes(length: timedelta) -> str:
    return f"{length.total_seconds() / 60:g} minutes"

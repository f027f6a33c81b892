"""Who acts in person, now: an active human with a sign-in that is fresh enough. Used by votes, overrides and reviews."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.errors import Forbidden
from app.domain.event import PERSON, Account
from app.domain.principal import Principal, PrincipalKind
from app.domain.session import Session
from app.pipeline.services import Guard, Services
from app.pipeline.sign_in import issuer_urls

MFA_FRESH = timedelta(minutes=15)  # for an override


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who acts, and the sign-in that proves it."""

    principal: Principal
    session: Session

    @property
    def account(self) -> Account:
        """As whom deployments name this person."""
        return Account(PERSON, self.principal.subject, self.principal.subject)


def person_of(services: Services, guard: Guard, account: Account) -> Person:
    """Return the person behind an account (of the operating system, say), with the newest sign-in here; raises Forbidden."""
    principal = guard.identity.principal_of(account)
    if principal is None:
        raise Forbidden(f"account {account.key} stands for nobody; link it: tidegate access link {account.key} SUBJECT")
    return person(services, guard, principal)


def person(services: Services, guard: Guard, principal: Principal, session: Session | None = None) -> Person:
    """Return the person with this session, or the newest there is; raises Forbidden with what is missing."""
    if not principal.active:
        raise Forbidden(f"{principal.subject} is not active: {principal.why_inactive}")
    if principal.kind is not PrincipalKind.HUMAN:
        raise Forbidden(f"{principal.subject} is no person ({principal.kind}): only people decide")
    if session is None:
        with services.store.reading() as unit:
            session = unit.sessions.newest(principal.subject, services.clock.now(), issuer_urls(guard))
    if session is None:
        raise Forbidden(f"{principal.subject} has not signed in here: open {services.public_url}/login of this gate first")
    return Person(principal, session)


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

"""Who acts in person, now: an active human with a sign-in that is fresh enough. Used by votes, overrides and reviews."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.errors import Forbidden
from app.domain.event import PERSON, Account
from app.domain.principal import Principal, PrincipalKind
from app.domain.session import Session
from app.pipeline.ports.services import Guard, Services


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who acts, and the sign-in that proves it."""

    principal: Principal
    session: Session

    @property
    def account(self) -> Account:
        """As whom deployments name this person."""
        return Account(PERSON, self.principal.subject, self.principal.subject)


def person_behind(services: Services, guard: Guard, account: Account) -> Person:
    """Return the person behind an account (of the operating system, say), with the newest sign-in here; raises Forbidden."""
    principal = guard.identity.principal_of(account)
    if principal is None:
        raise Forbidden(f"account {account.key} is not linked to a person; link it: tidegate access link {account.key} SUBJECT")
    return acting_person(services, guard, principal)


def acting_person(services: Services, guard: Guard, principal: Principal, session: Session | None = None) -> Person:
    """Return the person with this session, or the newest there is; raises Forbidden with what is missing."""
    if not principal.active:
        raise Forbidden(f"{principal.subject} is not active: {principal.why_inactive}")
    if principal.kind is not PrincipalKind.HUMAN:
        raise Forbidden(f"{principal.subject} is not a person ({principal.kind}): only people decide")
    if session is None:
        with services.store.reading() as unit:
            session = unit.sessions.newest(principal.subject, services.clock.now(), guard.issuer_urls)
    if session is None:
        raise Forbidden(f"{principal.subject} has not signed in here: open {services.public_url}/login of this gate first")
    return Person(principal, session)

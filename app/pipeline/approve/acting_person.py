"""Find the person who acts: an active human with a sign-in here. Used by votes, overrides, reviews and proposals."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.errors import Forbidden
from app.domain.event import PERSON, Account
from app.domain.principal import Principal, PrincipalKind
from app.domain.session import Session
from app.pipeline.ports.services import Guard, Services


@dataclass(frozen=True, slots=True)
class Person:
    """A person who acts, and the sign-in that proves it."""

    principal: Principal
    session: Session

    @property
    def account(self) -> Account:
        """The account by which deployments name this person."""
        return Account(PERSON, self.principal.subject, self.principal.subject)


def person_behind(services: Services, guard: Guard, account: Account) -> Person:
    """Return the person behind an account (of the operating system, say), with the newest sign-in here; raises Forbidden."""
    principal = guard.identity.principal_of(account)
    if principal is None:
        raise Forbidden(f"account {account.key} is not linked to a person; link it: tidegate access link {account.key} SUBJECT")
    return acting_person(services, guard, principal)


def acting_person(services: Services, guard: Guard, principal: Principal, session: Session | None = None) -> Person:
    """Return the person with this session, or with the newest one; raises Forbidden with what is missing."""
    if principal.why_barred is not None:
        raise Forbidden(principal.why_barred)
    if principal.kind is not PrincipalKind.HUMAN:
        raise Forbidden(f"{principal.subject} is not a person ({principal.kind}), and only people decide")
    if session is None:
        with services.store.reading() as unit:
            session = unit.sessions.newest(principal.subject, services.clock.now(), guard.issuer_urls)
    if session is None:
        raise Forbidden(f"{principal.subject} has not signed in here: open {services.public_url}/login of this gate first")
    return Person(principal, session)

"""Link one's own forge account, or unlink it. A token of that account proves it.

The token is used once and kept nowhere. A link lasts, so a short-lived proof of the person does not make one: it takes a session
here with a sign-in of the last minutes, and the person is told.
"""

from __future__ import annotations

from datetime import timedelta

from app.domain.access import NOBODY, AccountLink, LinkedBy, why_no_principal
from app.domain.audit import AuditAction
from app.domain.errors import Forbidden, NotAllowed, NotFound, RateLimited, UnknownForge
from app.domain.event import Account
from app.domain.notice import Notice
from app.domain.principal import Principal, PrincipalKind
from app.domain.session import Session, check_fresh, why_no_mfa
from app.pipeline.people.scribe import Scribe, link_detail
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit
from app.pipeline.tell.tell import tell_person

LINKER_SESSION = timedelta(minutes=10)
TAKEN = "this account is already linked to another person; an administrator can change that"


def prove_account(services: Services, session: Session, *, forge: str, token: str) -> AccountLink:
    """Let the account that `token` belongs to stand for the session's person; return the link, even if it existed before.

    Raises UnknownForge, Forbidden (not an active person, or an old sign-in) and RateLimited. BadRequest means that the forge does
    not take the token; SourceUnavailable, that it cannot be asked now; NotAllowed, that the account is another person's.
    """
    subject = session.subject
    principal = _check_person(services, subject)
    _check_signed_in_now(services, session)
    if wait := services.link_limit.take(subject, services.clock.now().timestamp()):
        raise RateLimited("you have linked too many accounts just now", retry_after=wait)
    binding = services.guard().forges.get(forge)
    if binding is None or binding.accounts is None:
        raise UnknownForge
    account = binding.accounts.account_of(token)
    link = AccountLink(forge, account.id, subject, LinkedBy.PERSON, subject, services.clock.now())
    with services.store.unit() as unit:
        if (existing := _existing_link(unit, account, subject)) is not None:
            return existing
        if not Scribe.of(services.clock, services.ids, subject).link(unit, link):
            raise NotAllowed(TAKEN)  # another request did it this very moment
        tell_person(services, unit, _notice(services, link), principal.emails)
    return link


def links_of(services: Services, principal: Principal) -> list[AccountLink]:
    """List the links that count for this principal."""
    with services.store.reading() as unit:
        return [link for link in unit.access.links_of([principal.subject]) if link.key in principal.accounts]


def unlink_account(services: Services, session: Session, account: Account) -> None:
    """Remove the link to an account that this person made; raises NotFound if they made none, and Forbidden (an old sign-in)."""
    subject = session.subject
    _check_signed_in_now(services, session)
    if not account.key.isprintable():
        raise NotFound("you have not linked this account")
    with services.store.unit() as unit:
        gone = unit.access.unlink(account, [LinkedBy.PERSON])
        if [link.subject for link in gone] != [subject]:
            raise NotFound("you have not linked this account")  # the unit is undone, so another person's link stays
        acts = [(AuditAction.ACCESS_UNLINKED, link_detail(link)) for link in gone]
        Scribe.of(services.clock, services.ids, subject).note(unit, acts)


def _check_signed_in_now(services: Services, session: Session) -> None:
    """Demand a fresh sign-in, with a second factor if this person has shown one at this issuer; raises Forbidden."""
    now = services.clock.now()
    check_fresh(session, now, LINKER_SESSION)
    with services.store.reading() as unit:
        live = [stored.facts for stored in unit.sessions.of(session.subject, now) if stored.facts is not None]
    if any(other.mfa_at is not None and other.issuer == session.issuer for other in (session, *live)):
        objection = why_no_mfa(session, now, LINKER_SESSION)
        if objection is not None:
            raise Forbidden(f"linking takes the second factor that {session.issuer} asks for: {objection}")


def _notice(services: Services, link: AccountLink) -> Notice:
    lines = (
        f"{link.subject} has linked the account {link.key}. From now on what it pushes is done as {link.subject}.",
        f"If that was not you: {services.public_url}/account, and tell an administrator (tidegate access unlink {link.key}).",
    )
    return Notice(
        id=services.ids.new(),
        at=link.at,
        event=AuditAction.ACCESS_LINKED,
        subject=f"{link.subject} has linked {link.key}",
        text="\n".join(lines),
        detail=link_detail(link),
    )


def _check_person(services: Services, subject: str) -> Principal:
    principal = services.guard().identity.principal(subject)
    if principal is None:
        raise Forbidden(why_no_principal(subject))
    if principal.why_barred is not None:
        raise Forbidden(principal.why_barred)
    if principal.kind is not PrincipalKind.HUMAN:
        raise Forbidden("only people link their accounts; an administrator links those of programs")
    return principal


def _existing_link(unit: Unit, account: Account, subject: str) -> AccountLink | None:
    """Return the link that already exists; raises NotAllowed if it is another person's."""
    links = [link for link in unit.access.links(account) if link.subject != NOBODY]
    if any(link.subject != subject for link in links):
        raise NotAllowed(TAKEN)
    return links[0] if links else None

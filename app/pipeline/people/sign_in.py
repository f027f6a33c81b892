"""Sign somebody in whom an issuer has proven: only an active principal of the access map gets a session.

Where the issuer is itself a source of people, what its token says is taken down first, so that it counts at once. Next:
`sign_out.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.access import Identity, Page, SourceRule, why_no_principal
from app.domain.errors import Forbidden
from app.domain.session import Session, StoredSession, shows_mfa
from app.integrations.identity.protocol import VerifiedToken
from app.pipeline.people.scribe import Scribe
from app.pipeline.people.session_entries import SessionScribe
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit


@dataclass(frozen=True, slots=True)
class SignIn:
    """A proven token, where it was brought from, and the session that shall begin: its cookie's digest and how long it may last.

    `issuer_url` is that of the issuer that was asked. `former` is the id of the session that ends with it.
    """

    token: VerifiedToken
    issuer_url: str
    address: str
    country: str
    digest: str
    idle: timedelta
    longest: timedelta
    former: str | None


def sign_in(services: Services, act: SignIn) -> StoredSession:
    """Begin a session; raises Forbidden, with what is missing, and StoreUnavailable."""
    guard = services.guard()
    now = services.clock.now()
    facts = _facts(act, services.ids.new(), now)
    scribe = SessionScribe.of(services.clock, services.ids)
    if act.token.is_service:
        raise _refusal(services, scribe, facts, f"{facts.subject} is a program; people sign in, programs bring a token")
    binding = guard.issuers.get(act.token.issuer)
    if binding is None or not facts.counts(guard.issuer_urls):
        raise Forbidden(f"issuer {act.token.issuer} is no longer configured")
    if binding.rule is not None:
        _take_down(services, binding.rule, act.token, now)
    principal = guard.identity.principal(facts.subject)
    if principal is None:
        raise _refusal(services, scribe, facts, why_no_principal(facts.subject))
    if principal.why_barred is not None:
        raise _refusal(services, scribe, facts, principal.why_barred)
    session = StoredSession(facts.id, act.digest, {}, now, now, now + min(act.idle, act.longest), facts)
    with services.store.unit() as unit:
        for former in unit.sessions.end([act.former] if act.former else []):
            if former.facts is not None:
                scribe.ended(unit, former.facts, "signed in anew")
        unit.sessions.add(session)
        scribe.started(unit, facts)
    return session


def _facts(act: SignIn, session_id: str, now: datetime) -> Session:
    token = act.token
    facts = Session(
        id=session_id,
        subject=token.subject,
        issuer=token.issuer,
        signed_in_at=now,
        mfa_at=None,
        acr=token.acr,
        amr=token.amr,
        address=act.address,
        country=act.country,
        issuer_url=act.issuer_url,
    )
    if token.auth_time is None or not shows_mfa(token.acr, token.amr):
        return facts  # an old sign-in at the issuer may be behind it: without `auth_time` nobody knows when a factor was shown
    return replace(facts, mfa_at=min(token.auth_time, now))


def _refusal(services: Services, scribe: SessionScribe, facts: Session, why: str) -> Forbidden:
    with services.store.unit() as unit:
        scribe.refused(unit, facts, why)
    return Forbidden(why)


def _take_down(services: Services, rule: SourceRule, token: VerifiedToken, now: datetime) -> None:
    """Let the issuer say what its token says, and vouch for it: all or nothing.

    A subject that comes under another `sub` is somebody else's by now, who inherits nothing of the former one.
    """
    scribe = Scribe.of(services.clock, services.ids, f"source:{rule.name}")
    with services.store.unit() as unit:
        scribe.open(unit, rule.name, rule.kind)
        scribe.say(unit, rule.name, Page(gone=tuple(_former(unit, rule.name, token))))
        scribe.say(unit, rule.name, Page((_identity(token),)))
        scribe.audit(unit, rule.name, unit.statements.belong(rule.name, token.sub, token.groups, now=now))
        unit.statements.confirm(rule.name, token.sub, now)


def _former(unit: Unit, source: str, token: VerifiedToken) -> list[str]:
    said = unit.access.statements([token.subject]).get(token.subject, [])
    return [s.identity.external_id for s in said if s.source == source and s.identity.external_id != token.sub]


def _identity(token: VerifiedToken) -> Identity:
    return Identity(
        external_id=token.sub,
        subject=token.subject,
        is_active=True,
        login=token.login,
        name=token.name,
        emails=frozenset({token.email.casefold()} if token.email else ()),
    )

"""Sign in a person whom an issuer has proven: only an active principal of the access map gets a session.

If the issuer is itself a source of people, the claims of its token are written down first, so that they count at once. Next:
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
    """A proven token, the caller's address and country, and the session that shall begin.

    `issuer_url` is that of the issuer that was asked. `digest` is the digest of the session's cookie. It ends
    after `idle` without a request, and after `longest` in any case. `former` is the id of the session that it replaces.
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
        raise _refusal(services, scribe, facts, f"{facts.subject} is a program: only people sign in, and programs bring a token")
    binding = guard.issuers.get(act.token.issuer)
    if binding is None or not facts.counts(guard.issuer_urls):
        raise Forbidden(f"issuer {act.token.issuer} is no longer configured")
    if binding.rule is not None:
        _adopt_claims(services, binding.rule, act.token, now)
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
        return facts  # the issuer may have used an old sign-in: without `auth_time` the time of the second factor is unknown
    return replace(facts, mfa_at=min(token.auth_time, now))


def _refusal(services: Services, scribe: SessionScribe, facts: Session, why: str) -> Forbidden:
    with services.store.unit() as unit:
        scribe.refused(unit, facts, why)
    return Forbidden(why)


def _adopt_claims(services: Services, rule: SourceRule, token: VerifiedToken, now: datetime) -> None:
    """Write down the token's claims as the issuer's statements, and confirm them: all or nothing.

    A subject that comes with another `sub` belongs to another person by now, who inherits nothing from the former one.
    """
    scribe = Scribe.of(services.clock, services.ids, f"source:{rule.name}")
    with services.store.unit() as unit:
        scribe.open(unit, rule.name, rule.kind)
        scribe.say(unit, rule.name, Page(gone=tuple(_former_ids(unit, rule.name, token))))
        scribe.say(unit, rule.name, Page((_identity(token),)))
        scribe.audit(unit, rule.name, unit.statements.belong(rule.name, token.sub, token.groups, now=now))
        unit.statements.confirm(rule.name, token.sub, now)


def _former_ids(unit: Unit, source: str, token: VerifiedToken) -> list[str]:
    statements = unit.access.statements([token.subject]).get(token.subject, [])
    return [s.identity.external_id for s in statements if s.source == source and s.identity.external_id != token.sub]


def _identity(token: VerifiedToken) -> Identity:
    return Identity(
        external_id=token.sub,
        subject=token.subject,
        is_active=True,
        login=token.login,
        name=token.name,
        emails=frozenset({token.email.casefold()} if token.email else ()),
    )

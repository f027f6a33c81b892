"""Answers about people: callers, linked accounts, what identity sources say, and who may do what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from app.answers.answer import Answer, Json, fields_json, to_json
from app.domain.access import AccountLink, LinkedBy, SourceRule, SourceState, Standing
from app.domain.deployment import Deployment
from app.domain.principal import How, Principal, PrincipalKind
from app.domain.session import Session
from app.domain.signature import CommitKey
from app.integrations.identity.protocol import VerifiedToken
from app.pipeline.ask.who_can import PrincipalRight, Rights
from app.pipeline.people.sync import Reading


class WhoAnswer(Answer):
    """The proven principal who asks (null: not proven), and the account."""

    subject: str | None
    account: str
    login: str


class LinkAnswer(Answer):
    """A forge account that is linked to a person."""

    forge: str
    account_id: str
    how: LinkedBy
    by: str
    at: datetime


class LinksAnswer(Answer):
    """The caller's linked accounts."""

    links: list[LinkAnswer]


class SessionAnswer(Answer):
    """The caller's sign-in."""

    id: str
    issuer: str
    signed_in_at: datetime
    mfa_at: datetime | None
    acr: str
    amr: list[str]
    address: str
    country: str


class TokenAnswer(Answer):
    """The caller's token."""

    issuer: str
    expires_at: datetime


class MeAnswer(Answer):
    """The caller, and how the gate knows who it is."""

    subject: str
    kind: PrincipalKind
    groups: list[str]
    accounts: list[LinkAnswer]
    how: How
    session: SessionAnswer | None
    csrf_token: str | None
    token: TokenAnswer | None


def who_answer(deployment: Deployment) -> WhoAnswer:
    """Return the principal and the account that ask for a deployment."""
    return WhoAnswer(subject=deployment.principal, account=deployment.actor.key, login=deployment.actor.login)


def link_answer(link: AccountLink) -> LinkAnswer:
    """Return a link for its owner, without the owner's subject."""
    return LinkAnswer(forge=link.forge, account_id=link.account_id, how=link.how, by=link.by, at=link.at)


def link_json(link: AccountLink) -> Json:
    """Spell a link for `--json`, with the subject."""
    return fields_json(link)


def links_answer(links: Sequence[AccountLink]) -> LinksAnswer:
    """List the caller's own linked accounts."""
    return LinksAnswer(links=[link_answer(link) for link in links])


def me_answer(
    principal: Principal,
    links: Sequence[AccountLink],
    *,
    how: How,
    session: Session | None,
    csrf_token: str | None,
    token: VerifiedToken | None,
) -> MeAnswer:
    """Return the principal that the gate takes the caller for, and the proof."""
    return MeAnswer(
        subject=principal.subject,
        kind=principal.kind,
        groups=sorted(principal.groups),
        accounts=[link_answer(link) for link in links],
        how=how,
        session=session_answer(session) if session is not None else None,
        csrf_token=csrf_token,
        token=TokenAnswer(issuer=token.issuer, expires_at=token.expires_at) if token is not None else None,
    )


def session_answer(session: Session) -> SessionAnswer:
    """Return a sign-in."""
    return SessionAnswer(
        id=session.id,
        issuer=session.issuer,
        signed_in_at=session.signed_in_at,
        mfa_at=session.mfa_at,
        acr=session.acr,
        amr=list(session.amr),
        address=session.address,
        country=session.country,
    )


def standing_json(standing: Standing) -> Json:
    """Spell a principal, and what each source says about it, for `--json`."""
    return fields_json(standing)


def rights_json(rights: Rights, shown: Sequence[PrincipalRight]) -> Json:
    """Spell everybody's rights for `--json`; only those that are `shown` are listed."""
    return fields_json(rights) | {"answers": [fields_json(right) | {"allowed": right.allowed} for right in shown]}


def sources_json(rules: Mapping[str, SourceRule], states: Mapping[str, SourceState]) -> Json:
    """Spell the configured sources by name, for `--json`; a source that was never read has the state null."""
    return {name: {"rule": to_json(rule), "state": to_json(states.get(name))} for name, rule in rules.items()}


def reading_json(reading: Reading) -> Json:
    """Spell the result of reading a source, for `--json`."""
    return fields_json(reading)


def key_json(key: CommitKey) -> Json:
    """Spell a public key that signs commits, for `--json`."""
    return fields_json(key)


def signed_in_json(session: Session) -> Json:
    """Spell a sign-in for `--json`, with its person."""
    return fields_json(session)


def sessions_ended_json(subject: str, count: int) -> Json:
    """Spell how many sessions of a person were ended."""
    return {"subject": subject, "ended": count}

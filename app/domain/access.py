"""The access map: what identity sources say of people, and what follows where they disagree. Pure.

No source overwrites another. Who counts is the principal that `judge` makes of all that is said: active only if no source
says otherwise, in every group that a source names, of the most restricted kind. Stored in `store/access.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from unicodedata import normalize

from app.domain.audit import AuditAction
from app.domain.principal import GATE_PRINCIPAL, Principal, PrincipalKind

LONGEST_SUBJECT = 200
SKEW = timedelta(minutes=1)  # a time that lies further ahead is of a clock that has been set back since, and proves nothing
_RESTRICTED_FIRST = (PrincipalKind.AGENT, PrincipalKind.MACHINE, PrincipalKind.HUMAN)


class SourceKind(StrEnum):
    """Where statements come from; the values are the `kind`s of `[identity.NAME]` in tidegate.toml."""

    FILE = "file"
    SCIM = "scim"
    OKTA = "okta"
    AWS_IAM = "aws_iam"
    OIDC = "oidc"


@dataclass(frozen=True, slots=True)
class Identity:
    """What one source says of one person, machine or agent.

    `external_id` is the source's own stable id. `subject` names the principal: sources that say the same subject speak of the
    same one. `kind` is None where the source does not say. `owner` is the subject of who answers for an agent.
    """

    external_id: str
    subject: str
    is_active: bool
    kind: PrincipalKind | None = None
    login: str = ""
    name: str = ""
    owner: str | None = None
    emails: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """A group as one source says it is. `members` are the external ids of that source's identities."""

    external_id: str
    name: str
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what a source says. `gone` and `gone_groups` are external ids that it has no longer."""

    identities: tuple[Identity, ...] = ()
    groups: tuple[Group, ...] = ()
    gone: tuple[str, ...] = ()
    gone_groups: tuple[str, ...] = ()


class HintKind(StrEnum):
    """What a hint is about."""

    IDENTITY = "identity"
    GROUP = "group"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Hint:
    """Word that something may have changed at a source: what to read again, never the change itself."""

    kind: HintKind
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class SourceRule:
    """How a configured source is listened to. Without `max_age` what it said holds until it says otherwise.

    `refresh` and `reconcile` tell how often its changes, and the whole of it, are read; None: it speaks by itself.
    """

    name: str
    kind: SourceKind
    max_age: timedelta | None = None
    refresh: timedelta | None = None
    reconcile: timedelta | None = None


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far a source has been heard. `refreshed_at`: when all that it says was last known; `fault`: why not since.

    `former_kind` is there where it was another kind of source until this very moment.
    """

    name: str
    kind: SourceKind
    refreshed_at: datetime | None
    reconciled_at: datetime | None
    tried_at: datetime | None
    fault: str | None
    former_kind: SourceKind | None = None


@dataclass(frozen=True, slots=True)
class AccessChange:
    """What a statement changed: the `action` that is audited, whom or what it is about, and the fields before and after."""

    action: AuditAction
    external_id: str
    subject: str | None
    detail: Mapping[str, object]


NOBODY = ""  # the subject of a link that was taken back, so that no rule makes it again


class LinkedBy(StrEnum):
    """How a forge account came to stand for a principal."""

    FILE = "file"
    ADMIN = "admin"
    PERSON = "person"
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class AccountLink:
    """A forge account (its stable id) that stands for a principal. `by` is who linked it."""

    forge: str
    account_id: str
    subject: str
    how: LinkedBy
    by: str
    at: datetime

    @property
    def key(self) -> str:
        """`FORGE:ID`, as people.toml spells it."""
        return f"{self.forge}:{self.account_id}"


@dataclass(frozen=True, slots=True)
class Statement:
    """An identity with its provenance: who said it, when it was last said anew, and when it was last known to hold.

    `is_gone`: the source knew this identity once and has it no longer, which counts as inactive.
    """

    source: str
    identity: Identity
    groups: frozenset[str]
    said_at: datetime
    confirmed_at: datetime | None
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A principal, what was said of it, and what the sources do not agree about."""

    principal: Principal
    statements: tuple[Statement, ...]
    links: tuple[AccountLink, ...]
    conflicts: tuple[str, ...]


def subject_from(text: str) -> str | None:
    """Spell a subject in the one way in which subjects are compared; None where it can be none, or is the gate's own.

    Lower case, since identity providers compare user names so (RFC 7643 §4.1.1, `userName` is not caseExact).
    """
    subject = normalize("NFC", normalize("NFD", text.strip()).casefold())
    if subject.isascii() and not text.isascii():
        return None  # a long s, the Kelvin sign and their like fold to letters of somebody else's name
    if not subject.isprintable() or not 0 < len(subject) <= LONGEST_SUBJECT or subject == GATE_PRINCIPAL.subject:
        return None
    return subject


def why_no_principal(subject: str) -> str:
    """Say that no configured source speaks of somebody, and what would change that."""
    return f"no source of people knows {subject}; add it to one of those that `tidegate access sources` lists"


def judge(
    subject: str,
    statements: Sequence[Statement],
    links: Sequence[AccountLink],
    *,
    rules: Mapping[str, SourceRule],
    unread: Sequence[str],
    now: datetime,
) -> Standing | None:
    """Make one principal of what the configured sources say; None where none of them speaks of it.

    `rules` are the configured sources' by name; what others have said does not count. A statement older than its source's
    `max_age` denies, and so does a source that was never read whole (`unread`): it may have anything against anybody
    (invariant 7).
    """
    counted = tuple(s for s in statements if s.source in rules)
    if not counted:
        return None
    against = [*_inactive(counted), *_several(counted), *_stale(counted, rules, now)]
    against += [f"source {name} was never read" for name in unread]
    kinds = {s.identity.kind for s in counted if s.identity.kind is not None}
    owners = {s.identity.owner for s in counted if s.identity.owner}
    principal = Principal(
        subject=subject,
        kind=next((kind for kind in _RESTRICTED_FIRST if kind in kinds), PrincipalKind.HUMAN),
        active=not against,
        groups=frozenset(group for s in counted if not s.is_gone for group in s.groups),
        emails=frozenset(email for s in counted for email in s.identity.emails),
        accounts=frozenset(link.key for link in links),
        owner=min(owners) if len(owners) == 1 else None,
        why_inactive="; ".join(against),
    )
    return Standing(principal, counted, tuple(links), tuple(_conflicts(counted, kinds, owners)))


def _inactive(statements: Sequence[Statement]) -> list[str]:
    gone = [f"source {s.source} has it no longer" for s in statements if s.is_gone]
    return [f"source {s.source} says so" for s in statements if not s.is_gone and not s.identity.is_active] + gone


def _several(statements: Sequence[Statement]) -> list[str]:
    """Find sources that call two of theirs by one subject: nobody can tell which of them acts, or whose groups count."""
    named = Counter(s.source for s in statements if not s.is_gone)
    return [f"source {source} calls {count} of its identities so" for source, count in sorted(named.items()) if count > 1]


def _stale(statements: Sequence[Statement], rules: Mapping[str, SourceRule], now: datetime) -> list[str]:
    found = []
    for source in sorted({s.source for s in statements}):
        max_age = rules[source].max_age
        confirmed = max((s.confirmed_at for s in statements if s.source == source and s.confirmed_at), default=None)
        if max_age is not None and (confirmed is None or not -SKEW < now - confirmed <= max_age):
            since = f"since {confirmed:%Y-%m-%d %H:%M} UTC" if confirmed else "ever"
            found.append(f"source {source} is stale: it has not been heard {since}")
    return found


def _conflicts(statements: Sequence[Statement], kinds: set[PrincipalKind], owners: set[str]) -> list[str]:
    found = []
    active = {s.source for s in statements if s.identity.is_active and not s.is_gone}
    inactive = {s.source for s in statements} - active
    if active and inactive:
        found.append(f"active according to {', '.join(sorted(active))}, not so according to {', '.join(sorted(inactive))}")
    if len(kinds) > 1:
        found.append(f"is of several kinds: {', '.join(sorted(kinds))}")
    if len(owners) > 1:
        found.append(f"has several owners: {', '.join(sorted(owners))}")
    return found

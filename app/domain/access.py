"""The access map: what identity sources say about people, and what follows if they disagree. Pure.

No source overwrites another. `judge` makes one principal from all statements. It is active only if no source says otherwise.
It is in every group that a source names, and of the most restricted kind. Stored in `store/access.py`.
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
SKEW = timedelta(minutes=1)  # a time further ahead comes from a clock that was set back since, and proves nothing
_RESTRICTED_FIRST = (PrincipalKind.AGENT, PrincipalKind.MACHINE, PrincipalKind.HUMAN)


class SourceKind(StrEnum):
    """The kinds of identity sources; the values are those of `kind` in `[identity.NAME]` of tidegate.toml."""

    FILE = "file"
    SCIM = "scim"
    OKTA = "okta"
    AWS_IAM = "aws_iam"
    OIDC = "oidc"


@dataclass(frozen=True, slots=True)
class Identity:
    """What one source says about one person, machine or agent.

    `external_id` is the source's own stable id. `subject` names the principal: two sources with the same subject mean the
    same principal. `kind` is None if the source does not say. `owner` is the subject of the person who answers for an agent.
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
    """A group as one source describes it. `members` are the external ids of that source's identities."""

    external_id: str
    name: str
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what a source says. `gone` and `gone_groups` are external ids that it no longer has."""

    identities: tuple[Identity, ...] = ()
    groups: tuple[Group, ...] = ()
    gone: tuple[str, ...] = ()
    gone_groups: tuple[str, ...] = ()


class HintKind(StrEnum):
    """The thing that a hint is about."""

    IDENTITY = "identity"
    GROUP = "group"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Hint:
    """Word that something may have changed at a source. It names what to read again, never the change itself."""

    kind: HintKind
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class SourceRule:
    """How a configured source is read. Without `max_age`, its statements hold until it says otherwise.

    `refresh` is how often its changes are read, and `reconcile` how often the whole of it; None: it sends them by itself.
    """

    name: str
    kind: SourceKind
    max_age: timedelta | None = None
    refresh: timedelta | None = None
    reconcile: timedelta | None = None


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far a source has been read. `refreshed_at`: when all its statements were last known; `fault`: why not since.

    `former_kind` is set if the source was of another kind until this moment.
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
    """One change by a statement: the `action` to audit, the identity or group, and the fields before and after."""

    action: AuditAction
    external_id: str
    subject: str | None
    detail: Mapping[str, object]


NOBODY = ""  # the subject of a link that was removed, so that no rule makes it again


class LinkedBy(StrEnum):
    """How a forge account came to be linked to a principal."""

    FILE = "file"
    ADMIN = "admin"
    PERSON = "person"
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class AccountLink:
    """A forge account (its stable id) that is linked to a principal. `by` names the person or rule that linked it."""

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
    """An identity with its provenance: its source, when it last changed, and when it was last known to hold.

    `is_gone`: the source once had this identity and no longer has it, which counts as inactive.
    """

    source: str
    identity: Identity
    groups: frozenset[str]
    said_at: datetime
    confirmed_at: datetime | None
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A principal, the statements and links behind it, and the points on which its sources disagree."""

    principal: Principal
    statements: tuple[Statement, ...]
    links: tuple[AccountLink, ...]
    conflicts: tuple[str, ...]


def subject_from(text: str) -> str | None:
    """Spell a subject as subjects are compared; None if the text cannot be one, or if it is the gate's own subject.

    Subjects are in lower case, since identity providers ignore case (RFC 7643 §4.1.1: `userName` is not caseExact).
    """
    subject = normalize("NFC", normalize("NFD", text.strip()).casefold())
    if subject.isascii() and not text.isascii():
        return None  # the long s, the Kelvin sign and similar ones fold to ASCII letters: another person's name
    if not subject.isprintable() or not 0 < len(subject) <= LONGEST_SUBJECT or subject == GATE_PRINCIPAL.subject:
        return None
    return subject


def why_no_principal(subject: str) -> str:
    """Say that no configured source knows a subject, and what would change that."""
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
    """Make one principal from the statements of configured sources; None if there are no such statements.

    `rules` are those of the configured sources, by name; statements of other sources do not count. A statement older than
    its source's `max_age` denies. So does a source that was never read whole (`unread`), since it may say that the
    principal is inactive (invariant 7).
    """
    counted = tuple(s for s in statements if s.source in rules)
    if not counted:
        return None
    objections = [*_inactive(counted), *_ambiguous(counted), *_stale(counted, rules, now)]
    objections += [f"source {name} was never read" for name in unread]
    kinds = {s.identity.kind for s in counted if s.identity.kind is not None}
    owners = {s.identity.owner for s in counted if s.identity.owner}
    principal = Principal(
        subject=subject,
        kind=next((kind for kind in _RESTRICTED_FIRST if kind in kinds), PrincipalKind.HUMAN),
        active=not objections,
        groups=frozenset(group for s in counted if not s.is_gone for group in s.groups),
        emails=frozenset(email for s in counted for email in s.identity.emails),
        accounts=frozenset(link.key for link in links),
        owner=min(owners) if len(owners) == 1 else None,
        why_inactive="; ".join(objections),
    )
    return Standing(principal, counted, tuple(links), tuple(_conflicts(counted, kinds, owners)))


def _inactive(statements: Sequence[Statement]) -> list[str]:
    gone = [f"source {s.source} no longer has this identity" for s in statements if s.is_gone]
    return [f"source {s.source} says so" for s in statements if not s.is_gone and not s.identity.is_active] + gone


def _ambiguous(statements: Sequence[Statement]) -> list[str]:
    """Find sources with several identities of one subject: it is unknown which of them acts, or whose groups count."""
    counts = Counter(s.source for s in statements if not s.is_gone)
    return [f"source {name} has {count} identities with this subject" for name, count in sorted(counts.items()) if count > 1]


def _stale(statements: Sequence[Statement], rules: Mapping[str, SourceRule], now: datetime) -> list[str]:
    faults = []
    for source in sorted({s.source for s in statements}):
        max_age = rules[source].max_age
        confirmed = max((s.confirmed_at for s in statements if s.source == source and s.confirmed_at), default=None)
        if max_age is not None and (confirmed is None or not -SKEW < now - confirmed <= max_age):
            last = f"last confirmed {confirmed:%Y-%m-%d %H:%M} UTC" if confirmed else "never confirmed"
            faults.append(f"source {source} is stale: {last}")
    return faults


def _conflicts(statements: Sequence[Statement], kinds: set[PrincipalKind], owners: set[str]) -> list[str]:
    conflicts = []
    active = {s.source for s in statements if s.identity.is_active and not s.is_gone}
    inactive = {s.source for s in statements} - active
    if active and inactive:
        conflicts.append(f"active according to {', '.join(sorted(active))}, inactive according to {', '.join(sorted(inactive))}")
    if len(kinds) > 1:
        conflicts.append(f"has several kinds: {', '.join(sorted(kinds))}")
    if len(owners) > 1:
        conflicts.append(f"has several owners: {', '.join(sorted(owners))}")
    return conflicts

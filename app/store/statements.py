"""Writing down what a source says, and telling what that changed. Reading it: `access.py`.

A source's rows are compared with what it says now; only what differs is written, so that saying the same again costs reads
only and every change is seen once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Text, any_, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from app.domain.access import AccessChange, Group, Identity, Page, SourceKind, SourceState
from app.domain.audit import AuditAction
from app.store.access import identity_from
from app.store.schema.access import access_groups, identities, identity_emails, memberships, scim_resources, sources

PART = 500  # rows of one statement: Postgres takes 65,535 parameters
_PASSED_ON = AuditAction.ACCESS_SUBJECT_PASSED_ON
_GROUP_ADDED, _GROUP_CHANGED = AuditAction.ACCESS_GROUP_ADDED, AuditAction.ACCESS_GROUP_CHANGED
_COLUMNS = ("subject", "login", "name", "kind", "owner", "active", "gone", "said_at")


@dataclass(frozen=True, slots=True)
class SqlStatements:
    """Protocol: pipeline.stores.Statements."""

    connection: Connection

    def say(self, source: str, page: Page, now: datetime) -> list[AccessChange]:
        """Write down what `source` says in this page; return what that changed. The source is known (`open`)."""
        parts = (page.identities[start : start + PART] for start in range(0, len(page.identities), PART))
        changes = [change for part in parts for change in self._say_identities(source, part, now)]
        changes += [change for group in page.groups for change in self._say_group(source, group, now)]
        return changes + self.forget(source, page.gone, page.gone_groups, now=now)

    def forget(self, source: str, gone: Collection[str], gone_groups: Collection[str], *, now: datetime) -> list[AccessChange]:
        """Note that the source has these no longer: people stay as inactive, so that no other source keeps them active."""
        return self._gone(source, gone, now) + self._gone_groups(source, gone_groups)

    def withdraw(self, source: str, external_ids: Collection[str]) -> list[AccessChange]:
        """Delete what the source said of these: it says nothing any more, neither active nor inactive."""
        mine = (identities.c.source == source, identities.c.external_id.in_(list(external_ids)))
        rows = self.connection.execute(delete(identities).where(*mine).returning(identities.c.external_id, identities.c.subject))
        found = [AccessChange(AuditAction.ACCESS_IDENTITY_WITHDRAWN, row.external_id, row.subject, {}) for row in rows]
        self._leave_all(source, [change.external_id for change in found])
        return found

    def belong(self, source: str, external_id: str, groups: Collection[str], *, now: datetime) -> list[AccessChange]:
        """Say that one identity is in exactly these groups; who else is in them stays. A group's id is its name."""
        mine = (memberships.c.source == source, memberships.c.external_id == external_id)
        former = set(self.connection.execute(select(memberships.c.group_id).where(*mine)).scalars())
        joined, left = sorted(set(groups) - former), sorted(former - set(groups))
        made = self._make_groups(source, joined, now)
        for group in joined:
            self._join(source, group, [external_id], now)
        for group in left:
            self._leave(source, group, [external_id])
        changes = [
            _membership_change(_GROUP_ADDED if name in made else _GROUP_CHANGED, name, joined=[external_id]) for name in joined
        ]
        return changes + [_membership_change(_GROUP_CHANGED, name, left=[external_id]) for name in left]

    def known(self, source: str) -> tuple[set[str], set[str]]:
        """Return the external ids of the identities (not gone) and groups that the source has, as far as it was heard."""
        people = select(identities.c.external_id).where(identities.c.source == source, identities.c.gone.is_(False))
        groups = select(access_groups.c.external_id).where(access_groups.c.source == source)
        return set(self.connection.execute(people).scalars()), set(self.connection.execute(groups).scalars())

    def open(self, source: str, kind: SourceKind) -> SourceState:
        """Make the source known, lock its row, and return how far it was heard."""
        row = {"name": source, "kind": kind.value}
        known = insert(sources).values(row).on_conflict_do_update(index_elements=["name"], set_={"name": source})
        former = self.connection.execute(known.returning(sources.c.kind)).scalar_one()
        if former == kind.value:
            return self.state(source)
        self._begin_anew(source, kind)
        return replace(self.state(source), former_kind=SourceKind(former))

    def _begin_anew(self, source: str, kind: SourceKind) -> None:
        """Forget what another kind of source has said under this name: nobody would ever take it back."""
        for table in (access_groups, identities, scim_resources):
            self.connection.execute(delete(table).where(table.c.source == source))
        self._set(source, kind=kind.value, digest=None, lease_until=None, lease_holder=None)  # who reads the other kind stops
        self._set(source, refreshed_at=None, reconciled_at=None, tried_at=None, fault=None)

    def state(self, source: str) -> SourceState:
        """Return how far a known source was heard."""
        return _state(self.connection.execute(select(sources).where(sources.c.name == source)).one())

    def states(self) -> list[SourceState]:
        """List all sources that were ever heard."""
        return [_state(row) for row in self.connection.execute(select(sources).order_by(sources.c.name))]

    def digest(self, source: str) -> str | None:
        """Return the digest of what was taken over as a whole (a file)."""
        return self.connection.execute(select(sources.c.digest).where(sources.c.name == source)).scalar_one_or_none()

    def taken_over(self, source: str, digest: str, now: datetime) -> None:
        """Note that a file of this digest was taken over."""
        self._set(source, digest=digest, refreshed_at=now, reconciled_at=now, tried_at=now, fault=None)

    def lease(self, source: str, holder: str, now: datetime, seconds: float) -> bool:
        """Have `holder` be the only one to read this source for a while; False if somebody is at it."""
        until = now + timedelta(seconds=seconds)
        # One that ends later than any that is taken now is of a clock that has been set back since.
        free = or_(sources.c.lease_until.is_(None), sources.c.lease_until < now, sources.c.lease_until > until)
        taken = update(sources).where(sources.c.name == source, free)
        return self.connection.execute(taken.values(lease_until=until, lease_holder=holder, tried_at=now)).rowcount == 1

    def extend(self, source: str, holder: str, now: datetime, seconds: float) -> bool:
        """Keep the lease for that much longer, while the reading goes on; False if it was lost to another reader."""
        mine = update(sources).where(sources.c.name == source, sources.c.lease_holder == holder)
        return self.connection.execute(mine.values(lease_until=now + timedelta(seconds=seconds))).rowcount == 1

    def release(self, source: str, holder: str, fault: str | None) -> None:
        """End the lease, and note why the source could not be read, if it could not; not if the lease was lost."""
        mine = update(sources).where(sources.c.name == source, sources.c.lease_holder == holder)
        self.connection.execute(mine.values(lease_until=None, lease_holder=None, fault=fault))

    def heard(self, source: str, at: datetime, *, whole: bool) -> None:
        """Note that all that the source says was known at this time."""
        self._set(source, refreshed_at=at, fault=None, **({"reconciled_at": at} if whole else {}))

    def confirm(self, source: str, external_id: str, at: datetime) -> None:
        """Note that the source has just vouched for this one identity (a sign-in)."""
        mine = (identities.c.source == source, identities.c.external_id == external_id)
        self.connection.execute(update(identities).where(*mine).values(confirmed_at=at))

    def _set(self, source: str, **values: object) -> None:
        self.connection.execute(update(sources).where(sources.c.name == source).values(values))

    def _say_identities(self, source: str, said: Sequence[Identity], now: datetime) -> list[AccessChange]:
        former = self._identities(source, [each.external_id for each in said])
        changed = {each.external_id: each for each in said if former.get(each.external_id) != (each, False)}
        if not changed:
            return []
        rows = [_row(source, each, now) for each in changed.values()]
        put = insert(identities).values(rows)
        excluded = {name: put.excluded[name] for name in _COLUMNS}
        self.connection.execute(put.on_conflict_do_update(index_elements=["source", "external_id"], set_=excluded))
        self._put_emails(source, changed.values())
        changes = [_identity_change(former.get(external_id), each) for external_id, each in changed.items()]
        renamed = [AccessChange(_PASSED_ON, i.external_id, i.subject, {}) for i, _ in former.values() if _is_renamed(i, changed)]
        return changes + self._bury(source, changed) + renamed

    def _identities(self, source: str, external_ids: Collection[str]) -> dict[str, tuple[Identity, bool]]:
        ids = _array(external_ids)
        mine = select(identities).where(identities.c.source == source, identities.c.external_id == any_(ids)).with_for_update()
        rows = self.connection.execute(mine.order_by(identities.c.external_id)).all()
        emails: dict[str, set[str]] = {}
        theirs = select(identity_emails).where(identity_emails.c.source == source, identity_emails.c.external_id == any_(ids))
        for row in self.connection.execute(theirs):
            emails.setdefault(row.external_id, set()).add(row.email)
        return {r.external_id: (identity_from(r, frozenset(emails.get(r.external_id, ()))), r.gone) for r in rows}

    def _put_emails(self, source: str, said: Iterable[Identity]) -> None:
        people = list(said)
        ids = [each.external_id for each in people]
        mine = (identity_emails.c.source == source, identity_emails.c.external_id.in_(ids))
        self.connection.execute(delete(identity_emails).where(*mine))
        rows = [{"source": source, "external_id": p.external_id, "email": email} for p in people for email in sorted(p.emails)]
        if rows:
            self.connection.execute(insert(identity_emails), rows)

    def _bury(self, source: str, said: Mapping[str, Identity]) -> list[AccessChange]:
        """Delete those who are gone where the source now has somebody of their subject: made anew, or somebody else."""
        gone = delete(identities).where(
            identities.c.source == source,
            identities.c.gone.is_(True),
            identities.c.subject.in_([each.subject for each in said.values()]),
            identities.c.external_id.not_in(list(said)),
        )
        rows = self.connection.execute(gone.returning(identities.c.external_id, identities.c.subject))
        return [AccessChange(_PASSED_ON, row.external_id, row.subject, {}) for row in rows]

    def _say_group(self, source: str, group: Group, now: datetime) -> list[AccessChange]:
        mine = (access_groups.c.source == source, access_groups.c.external_id == group.external_id)
        former = self.connection.execute(select(access_groups.c.name).where(*mine).with_for_update()).scalar_one_or_none()
        if former != group.name:
            row = {"source": source, "external_id": group.external_id, "name": group.name, "said_at": now}
            put = insert(access_groups).values(row)
            self.connection.execute(
                put.on_conflict_do_update(index_elements=["source", "external_id"], set_={"name": group.name, "said_at": now})
            )
        theirs = (memberships.c.source == source, memberships.c.group_id == group.external_id)
        members = set(self.connection.execute(select(memberships.c.external_id).where(*theirs)).scalars())
        joined, left = sorted(group.members - members), sorted(members - group.members)
        self._join(source, group.external_id, joined, now)
        self._leave(source, group.external_id, left)
        if former == group.name and not joined and not left:
            return []
        detail = {"group": group.name, "former_name": former, "joined": joined, "left": left}
        return [AccessChange(_GROUP_ADDED if former is None else _GROUP_CHANGED, group.external_id, None, detail)]

    def _make_groups(self, source: str, names: Collection[str], now: datetime) -> set[str]:
        """Make the groups that are not there; return those."""
        rows = [{"source": source, "external_id": name, "name": name, "said_at": now} for name in names]
        if not rows:
            return set()
        made = insert(access_groups).values(rows).on_conflict_do_nothing().returning(access_groups.c.external_id)
        return set(self.connection.execute(made).scalars())

    def _join(self, source: str, group_id: str, members: Collection[str], now: datetime) -> None:
        if members:
            member = func.unnest(_array(members)).column_valued("member")
            rows = select(literal(source), literal(group_id), member, literal(now))
            put = insert(memberships).from_select(["source", "group_id", "external_id", "said_at"], rows)
            self.connection.execute(put.on_conflict_do_nothing())

    def _leave(self, source: str, group_id: str, members: Collection[str]) -> None:
        if members:
            theirs = (memberships.c.group_id == group_id, memberships.c.external_id == any_(_array(members)))
            self.connection.execute(delete(memberships).where(memberships.c.source == source, *theirs))

    def _leave_all(self, source: str, external_ids: Collection[str]) -> None:
        mine = (memberships.c.source == source, memberships.c.external_id == any_(_array(external_ids)))
        self.connection.execute(delete(memberships).where(*mine))

    def _gone(self, source: str, external_ids: Collection[str], now: datetime) -> list[AccessChange]:
        if not external_ids:
            return []
        theirs = (identities.c.source == source, identities.c.external_id == any_(_array(external_ids)))
        gone = update(identities).where(*theirs, identities.c.gone.is_(False)).values(gone=True, active=False, said_at=now)
        rows = self.connection.execute(gone.returning(identities.c.external_id, identities.c.subject)).all()
        self._leave_all(source, [row.external_id for row in rows])
        return [AccessChange(AuditAction.ACCESS_IDENTITY_GONE, row.external_id, row.subject, {}) for row in rows]

    def _gone_groups(self, source: str, external_ids: Collection[str]) -> list[AccessChange]:
        if not external_ids:
            return []
        theirs = (access_groups.c.source == source, access_groups.c.external_id.in_(list(external_ids)))
        rows = self.connection.execute(
            delete(access_groups).where(*theirs).returning(access_groups.c.external_id, access_groups.c.name)
        )
        return [AccessChange(AuditAction.ACCESS_GROUP_GONE, row.external_id, None, {"group": row.name}) for row in rows]


def _array(texts: Collection[str]) -> ColumnElement[Sequence[str]]:
    """Bind many texts as one value: a statement has at most 65,535 (PostgreSQL, "Frontend/Backend Protocol", Bind)."""
    return literal(list(texts), ARRAY(Text))


def _row(source: str, said: Identity, now: datetime) -> dict[str, object]:
    return {
        "source": source,
        "external_id": said.external_id,
        "subject": said.subject,
        "login": said.login,
        "name": said.name,
        "kind": said.kind.value if said.kind else None,
        "owner": said.owner,
        "active": said.is_active,
        "gone": False,
        "said_at": now,
    }


def _is_renamed(former: Identity, said: Mapping[str, Identity]) -> bool:
    """Tell whether somebody bears another subject now: the former one is, or will be, somebody else's."""
    return former.external_id in said and said[former.external_id].subject != former.subject


def _identity_change(former: tuple[Identity, bool] | None, said: Identity) -> AccessChange:
    if former is None:
        return AccessChange(AuditAction.ACCESS_IDENTITY_ADDED, said.external_id, said.subject, {"is_active": said.is_active})
    old, new = _told(former[0]), _told(said)
    changed = {name: [old[name], new[name]] if name in _TOLD else "changed" for name in new if old[name] != new[name]}
    action = AuditAction.ACCESS_IDENTITY_CHANGED
    if former[0].is_active and not said.is_active:
        action = AuditAction.ACCESS_IDENTITY_DEACTIVATED
    elif said.is_active and (former[1] or not former[0].is_active):
        action = AuditAction.ACCESS_IDENTITY_ACTIVATED
    return AccessChange(action, said.external_id, said.subject, changed)


def _membership_change(action: AuditAction, name: str, *, joined: Sequence[str] = (), left: Sequence[str] = ()) -> AccessChange:
    return AccessChange(action, name, None, {"group": name, "joined": list(joined), "left": list(left)})


# Of whom a decision may depend on; what else is personal is only said to have changed: the log is kept for ever.
_TOLD = ("subject", "is_active", "kind", "owner")


def _told(identity: Identity) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(identity).items()}


def _state(row: Row[Any]) -> SourceState:
    return SourceState(row.name, SourceKind(row.kind), row.refreshed_at, row.reconciled_at, row.tried_at, row.fault)

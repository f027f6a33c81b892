"""Store the statements of a source, and return what they changed. They are read in `access.py`.

A source's rows are compared with its new statements, and only differences are written. So repeated statements cost only
reads, and every change is seen once.
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

PART = 500  # rows of one SQL statement: Postgres takes 65,535 parameters
_PASSED_ON = AuditAction.ACCESS_SUBJECT_PASSED_ON
_GROUP_ADDED, _GROUP_CHANGED = AuditAction.ACCESS_GROUP_ADDED, AuditAction.ACCESS_GROUP_CHANGED
_COLUMNS = ("subject", "login", "name", "kind", "owner", "active", "gone", "said_at")


@dataclass(frozen=True, slots=True)
class SqlStatements:
    """The tables of sources and of what they say (protocol: `pipeline.ports.stores.access.Statements`)."""

    connection: Connection

    def say(self, source: str, page: Page, now: datetime) -> list[AccessChange]:
        """Store what `source` says in this page; return the changes. The source must be known (`open`)."""
        parts = (page.identities[start : start + PART] for start in range(0, len(page.identities), PART))
        changes = [change for part in parts for change in self._say_identities(source, part, now)]
        changes += [change for group in page.groups for change in self._say_group(source, group, now)]
        return changes + self.forget(source, page.gone, page.gone_groups, now=now)

    def forget(self, source: str, gone: Collection[str], gone_groups: Collection[str], *, now: datetime) -> list[AccessChange]:
        """Note that the source no longer has these. People stay as inactive, so that no other source keeps them active."""
        return self._mark_gone(source, gone, now) + self._delete_groups(source, gone_groups)

    def withdraw(self, source: str, external_ids: Collection[str]) -> list[AccessChange]:
        """Delete the source's statements about these: it no longer says anything, neither active nor inactive."""
        fits = (identities.c.source == source, identities.c.external_id.in_(list(external_ids)))
        rows = self.connection.execute(delete(identities).where(*fits).returning(identities.c.external_id, identities.c.subject))
        changes = [AccessChange(AuditAction.ACCESS_IDENTITY_WITHDRAWN, row.external_id, row.subject, {}) for row in rows]
        self._leave_all(source, [change.external_id for change in changes])
        return changes

    def belong(self, source: str, external_id: str, groups: Collection[str], *, now: datetime) -> list[AccessChange]:
        """Put one identity into exactly these groups; their other members stay. A group's id is its name."""
        fits = (memberships.c.source == source, memberships.c.external_id == external_id)
        former = set(self.connection.execute(select(memberships.c.group_id).where(*fits)).scalars())
        joined, left = sorted(set(groups) - former), sorted(former - set(groups))
        new_groups = self._make_groups(source, joined, now)
        for group in joined:
            self._join(source, group, [external_id], now)
        for group in left:
            self._leave(source, group, [external_id])
        changes = [
            _membership_change(_GROUP_ADDED if name in new_groups else _GROUP_CHANGED, name, joined=[external_id])
            for name in joined
        ]
        return changes + [_membership_change(_GROUP_CHANGED, name, left=[external_id]) for name in left]

    def known(self, source: str) -> tuple[set[str], set[str]]:
        """Return the external ids of the source's identities (not gone) and groups, as far as it was read."""
        people = select(identities.c.external_id).where(identities.c.source == source, identities.c.gone.is_(False))
        groups = select(access_groups.c.external_id).where(access_groups.c.source == source)
        return set(self.connection.execute(people).scalars()), set(self.connection.execute(groups).scalars())

    def open(self, source: str, kind: SourceKind) -> SourceState:
        """Make the source known, lock its row, and return how far it was read."""
        row = {"name": source, "kind": kind.value}
        statement = insert(sources).values(row).on_conflict_do_update(index_elements=["name"], set_={"name": source})
        former = self.connection.execute(statement.returning(sources.c.kind)).scalar_one()
        if former == kind.value:
            return self.state(source)
        self._begin_anew(source, kind)
        return replace(self.state(source), former_kind=SourceKind(former))

    def _begin_anew(self, source: str, kind: SourceKind) -> None:
        """Delete the statements of another kind of source under this name: no source would ever withdraw them."""
        for table in (access_groups, identities, scim_resources):
            self.connection.execute(delete(table).where(table.c.source == source))
        self._set(source, kind=kind.value, digest=None, lease_until=None, lease_holder=None)  # a reader of the other kind stops
        self._set(source, refreshed_at=None, reconciled_at=None, tried_at=None, fault=None)

    def state(self, source: str) -> SourceState:
        """Return how far a known source was read."""
        return _state(self.connection.execute(select(sources).where(sources.c.name == source)).one())

    def states(self) -> list[SourceState]:
        """List all sources that were ever read."""
        return [_state(row) for row in self.connection.execute(select(sources).order_by(sources.c.name))]

    def digest(self, source: str) -> str | None:
        """Return the digest of the file that the source was last read from."""
        return self.connection.execute(select(sources.c.digest).where(sources.c.name == source)).scalar_one_or_none()

    def taken_over(self, source: str, digest: str, now: datetime) -> None:
        """Note that the source was read whole from a file of this digest."""
        self._set(source, digest=digest, refreshed_at=now, reconciled_at=now, tried_at=now, fault=None)

    def lease(self, source: str, holder: str, now: datetime, seconds: float) -> bool:
        """Make `holder` the only reader of this source for a while; False if another reader is at it."""
        until = now + timedelta(seconds=seconds)
        # A lease that ends later than one taken now comes from a clock that was set back since.
        is_free = or_(sources.c.lease_until.is_(None), sources.c.lease_until < now, sources.c.lease_until > until)
        statement = update(sources).where(sources.c.name == source, is_free)
        return self.connection.execute(statement.values(lease_until=until, lease_holder=holder, tried_at=now)).rowcount == 1

    def extend(self, source: str, holder: str, now: datetime, seconds: float) -> bool:
        """Extend the lease while the reading goes on; False if it was lost to another reader."""
        statement = update(sources).where(sources.c.name == source, sources.c.lease_holder == holder)
        return self.connection.execute(statement.values(lease_until=now + timedelta(seconds=seconds))).rowcount == 1

    def release(self, source: str, holder: str, fault: str | None) -> None:
        """End the lease, and note the fault of the reading, if there is one; do nothing if the lease was lost."""
        statement = update(sources).where(sources.c.name == source, sources.c.lease_holder == holder)
        self.connection.execute(statement.values(lease_until=None, lease_holder=None, fault=fault))

    def heard(self, source: str, at: datetime, *, whole: bool) -> None:
        """Note that all statements of the source were known at this time."""
        self._set(source, refreshed_at=at, fault=None, **({"reconciled_at": at} if whole else {}))

    def confirm(self, source: str, external_id: str, at: datetime) -> None:
        """Note that the source has just vouched for this one identity (a sign-in)."""
        fits = (identities.c.source == source, identities.c.external_id == external_id)
        self.connection.execute(update(identities).where(*fits).values(confirmed_at=at))

    def _set(self, source: str, **values: object) -> None:
        self.connection.execute(update(sources).where(sources.c.name == source).values(values))

    def _say_identities(self, source: str, stated: Sequence[Identity], now: datetime) -> list[AccessChange]:
        former = self._identities(source, [identity.external_id for identity in stated])
        changed = {i.external_id: i for i in stated if former.get(i.external_id) != (i, False)}
        if not changed:
            return []
        statement = insert(identities).values([_row(source, identity, now) for identity in changed.values()])
        excluded = {name: statement.excluded[name] for name in _COLUMNS}
        self.connection.execute(statement.on_conflict_do_update(index_elements=["source", "external_id"], set_=excluded))
        self._put_emails(source, changed.values())
        changes = [_identity_change(former.get(external_id), identity) for external_id, identity in changed.items()]
        renamed = [AccessChange(_PASSED_ON, i.external_id, i.subject, {}) for i, _ in former.values() if _is_renamed(i, changed)]
        return changes + self._delete_replaced(source, changed) + renamed

    def _identities(self, source: str, external_ids: Collection[str]) -> dict[str, tuple[Identity, bool]]:
        ids = _array(external_ids)
        query = select(identities).where(identities.c.source == source, identities.c.external_id == any_(ids)).with_for_update()
        rows = self.connection.execute(query.order_by(identities.c.external_id)).all()
        emails: dict[str, set[str]] = {}
        of_emails = select(identity_emails).where(identity_emails.c.source == source, identity_emails.c.external_id == any_(ids))
        for row in self.connection.execute(of_emails):
            emails.setdefault(row.external_id, set()).add(row.email)
        return {r.external_id: (identity_from(r, frozenset(emails.get(r.external_id, ()))), r.gone) for r in rows}

    def _put_emails(self, source: str, stated: Iterable[Identity]) -> None:
        people = list(stated)
        fits = (identity_emails.c.source == source, identity_emails.c.external_id.in_([p.external_id for p in people]))
        self.connection.execute(delete(identity_emails).where(*fits))
        rows = [{"source": source, "external_id": p.external_id, "email": email} for p in people for email in sorted(p.emails)]
        if rows:
            self.connection.execute(insert(identity_emails), rows)

    def _delete_replaced(self, source: str, stated: Mapping[str, Identity]) -> list[AccessChange]:
        """Delete gone identities whose subject the source has given to a new identity: the same person, or another one."""
        statement = delete(identities).where(
            identities.c.source == source,
            identities.c.gone.is_(True),
            identities.c.subject.in_([identity.subject for identity in stated.values()]),
            identities.c.external_id.not_in(list(stated)),
        )
        rows = self.connection.execute(statement.returning(identities.c.external_id, identities.c.subject))
        return [AccessChange(_PASSED_ON, row.external_id, row.subject, {}) for row in rows]

    def _say_group(self, source: str, group: Group, now: datetime) -> list[AccessChange]:
        fits = (access_groups.c.source == source, access_groups.c.external_id == group.external_id)
        former = self.connection.execute(select(access_groups.c.name).where(*fits).with_for_update()).scalar_one_or_none()
        if former != group.name:
            row = {"source": source, "external_id": group.external_id, "name": group.name, "said_at": now}
            changed = {"name": group.name, "said_at": now}
            statement = insert(access_groups).values(row)
            self.connection.execute(statement.on_conflict_do_update(index_elements=["source", "external_id"], set_=changed))
        of_group = (memberships.c.source == source, memberships.c.group_id == group.external_id)
        members = set(self.connection.execute(select(memberships.c.external_id).where(*of_group)).scalars())
        joined, left = sorted(group.members - members), sorted(members - group.members)
        self._join(source, group.external_id, joined, now)
        self._leave(source, group.external_id, left)
        if former == group.name and not joined and not left:
            return []
        detail = {"group": group.name, "former_name": former, "joined": joined, "left": left}
        return [AccessChange(_GROUP_ADDED if former is None else _GROUP_CHANGED, group.external_id, None, detail)]

    def _make_groups(self, source: str, names: Collection[str], now: datetime) -> set[str]:
        """Make the groups that do not exist yet; return their names."""
        rows = [{"source": source, "external_id": name, "name": name, "said_at": now} for name in names]
        if not rows:
            return set()
        statement = insert(access_groups).values(rows).on_conflict_do_nothing().returning(access_groups.c.external_id)
        return set(self.connection.execute(statement).scalars())

    def _join(self, source: str, group_id: str, members: Collection[str], now: datetime) -> None:
        if members:
            member = func.unnest(_array(members)).column_valued("member")
            rows = select(literal(source), literal(group_id), member, literal(now))
            statement = insert(memberships).from_select(["source", "group_id", "external_id", "said_at"], rows)
            self.connection.execute(statement.on_conflict_do_nothing())

    def _leave(self, source: str, group_id: str, members: Collection[str]) -> None:
        if members:
            fits = (memberships.c.group_id == group_id, memberships.c.external_id == any_(_array(members)))
            self.connection.execute(delete(memberships).where(memberships.c.source == source, *fits))

    def _leave_all(self, source: str, external_ids: Collection[str]) -> None:
        fits = (memberships.c.source == source, memberships.c.external_id == any_(_array(external_ids)))
        self.connection.execute(delete(memberships).where(*fits))

    def _mark_gone(self, source: str, external_ids: Collection[str], now: datetime) -> list[AccessChange]:
        if not external_ids:
            return []
        fits = (identities.c.source == source, identities.c.external_id == any_(_array(external_ids)))
        statement = update(identities).where(*fits, identities.c.gone.is_(False)).values(gone=True, active=False, said_at=now)
        rows = self.connection.execute(statement.returning(identities.c.external_id, identities.c.subject)).all()
        self._leave_all(source, [row.external_id for row in rows])
        return [AccessChange(AuditAction.ACCESS_IDENTITY_GONE, row.external_id, row.subject, {}) for row in rows]

    def _delete_groups(self, source: str, external_ids: Collection[str]) -> list[AccessChange]:
        if not external_ids:
            return []
        fits = (access_groups.c.source == source, access_groups.c.external_id.in_(list(external_ids)))
        statement = delete(access_groups).where(*fits)
        rows = self.connection.execute(statement.returning(access_groups.c.external_id, access_groups.c.name))
        return [AccessChange(AuditAction.ACCESS_GROUP_GONE, row.external_id, None, {"group": row.name}) for row in rows]


def _array(texts: Collection[str]) -> ColumnElement[Sequence[str]]:
    """Bind many texts as one value: an SQL statement takes at most 65,535 (PostgreSQL, "Frontend/Backend Protocol", Bind)."""
    return literal(list(texts), ARRAY(Text))


def _row(source: str, identity: Identity, now: datetime) -> dict[str, object]:
    return {
        "source": source,
        "external_id": identity.external_id,
        "subject": identity.subject,
        "login": identity.login,
        "name": identity.name,
        "kind": identity.kind.value if identity.kind else None,
        "owner": identity.owner,
        "active": identity.is_active,
        "gone": False,
        "said_at": now,
    }


def _is_renamed(former: Identity, stated: Mapping[str, Identity]) -> bool:
    """Tell whether an identity has another subject now: its former subject belongs, or will belong, to another one."""
    return former.external_id in stated and stated[former.external_id].subject != former.subject


def _identity_change(former: tuple[Identity, bool] | None, identity: Identity) -> AccessChange:
    key = (identity.external_id, identity.subject)
    if former is None:
        return AccessChange(AuditAction.ACCESS_IDENTITY_ADDED, *key, {"is_active": identity.is_active})
    old, new = _as_fields(former[0]), _as_fields(identity)
    changed = {name: [old[name], new[name]] if name in _LOGGED else "changed" for name in new if old[name] != new[name]}
    action = AuditAction.ACCESS_IDENTITY_CHANGED
    if former[0].is_active and not identity.is_active:
        action = AuditAction.ACCESS_IDENTITY_DEACTIVATED
    elif identity.is_active and (former[1] or not former[0].is_active):
        action = AuditAction.ACCESS_IDENTITY_ACTIVATED
    return AccessChange(action, *key, changed)


def _membership_change(action: AuditAction, name: str, *, joined: Sequence[str] = (), left: Sequence[str] = ()) -> AccessChange:
    return AccessChange(action, name, None, {"group": name, "joined": list(joined), "left": list(left)})


# Fields on which a decision may depend. Of other, personal fields the log only says "changed", since it is kept for ever.
_LOGGED = ("subject", "is_active", "kind", "owner")


def _as_fields(identity: Identity) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(identity).items()}


def _state(row: Row[Any]) -> SourceState:
    return SourceState(row.name, SourceKind(row.kind), row.refreshed_at, row.reconciled_at, row.tried_at, row.fault)

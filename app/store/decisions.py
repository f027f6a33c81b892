"""Recorded decisions and the versions that they were made by, read in batches for who makes them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Text, cast, func, or_, select

from app.domain.audit import AuditAction
from app.domain.errors import NotFound
from app.domain.recorded import PolicyVersion, RecordedDecision
from app.store.engine import transaction
from app.store.schema.line import audit_entries, versions

BLOCK = 4_000  # entries looked through at once: a short statement each, whatever the log holds
SLACK = timedelta(hours=1)  # `seq` and `at` run almost alike: transactions end late, clocks differ
SHORTEST_DIGEST = 6
_POLICY, _SCHEMA = "policy", "schema"
# Without a decision these were tampered with.
_ALWAYS = (AuditAction.DEPLOYMENT_PERMITTED, AuditAction.DEPLOYMENT_HELD, AuditAction.DEPLOYMENT_DISPATCHING)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Read-only. All raise StoreUnavailable."""

    engine: Engine

    def batches(self, since: datetime, until: datetime, environment: str | None = None) -> Iterator[list[RecordedDecision]]:
        """Give the decisions of [since, until) in the order of the log, up to what it holds now."""
        with transaction(self.engine) as connection:
            last = connection.execute(select(func.max(audit_entries.c.seq))).scalar_one() or 0
            after = _first(connection, since - SLACK, last) - 1
            end = _first(connection, until + SLACK, last)
        while after < min(last, end):
            with transaction(self.engine) as connection:
                found = [_recorded(row) for row in connection.execute(_block(after, since, until, environment))]
            after += BLOCK
            if found:
                yield found

    def versions(self) -> dict[str, PolicyVersion]:
        """Return all versions of the policies that are kept, by digest."""
        query = select(versions.c.kind, versions.c.digest, versions.c.text).where(versions.c.kind.in_((_POLICY, _SCHEMA)))
        with transaction(self.engine) as connection:
            kept = {(row.kind, row.digest): row.text for row in connection.execute(query)}
        texts = {digest: text for (kind, digest), text in kept.items() if kind == _POLICY}
        return {digest: PolicyVersion(digest, text, kept.get((_SCHEMA, digest))) for digest, text in texts.items()}

    def version(self, name: str) -> PolicyVersion:
        """Return the version whose digest is, or alone begins with, `name`; raises NotFound."""
        found = [each for digest, each in self.versions().items() if digest.startswith(name.lower())]
        if len(name) < SHORTEST_DIGEST or len(found) != 1:
            raise NotFound(f"{name!r} is neither a folder nor one kept version's digest ({SHORTEST_DIGEST} characters do)")
        return found[0]


def _first(connection: Connection, moment: datetime, last: int) -> int:
    """Find about where in the log a moment is, by halves: there is no index by time, and entries are in the order of time."""
    low, high = 1, last + 1
    while low < high:
        middle = (low + high) // 2
        here = select(audit_entries.c.at).where(audit_entries.c.seq >= middle).order_by(audit_entries.c.seq).limit(1)
        at = connection.execute(here).scalar_one_or_none()
        if at is None or at >= moment:
            high = middle
        else:
            low = middle + 1
    return low


def _block(after: int, since: datetime, until: datetime, environment: str | None) -> Any:
    entries, detail = audit_entries.c, audit_entries.c.detail
    asked = detail["request"]
    where = asked["request"]["resource"]["id"].astext
    query = select(
        entries.seq,
        entries.at,
        entries.action,
        entries.deployment_id,
        where.label("environment"),
        detail["effect"].astext.label("effect"),
        detail["policies"].label("policies"),
        detail["policy_digest"].astext.label("digest"),
        cast(asked, Text).label("request"),
    )
    query = query.where(entries.seq > after, entries.seq <= after + BLOCK, entries.at >= since, entries.at < until)
    query = query.where(or_(detail.has_key("policy_digest"), detail.has_key("request"), entries.action.in_(_ALWAYS)))
    if environment is not None:
        query = query.where(where == environment)
    return query.order_by(entries.seq)


def _recorded(row: Any) -> RecordedDecision:
    """Take a row for what it says, also where somebody has damaged it: then it is not reproduced."""
    listed = row.policies if isinstance(row.policies, list) else [f"{row.policies!r}"]
    return RecordedDecision(
        seq=row.seq,
        at=row.at,
        action=row.action,
        deployment_id=row.deployment_id,
        environment=row.environment or "",
        effect=row.effect or "",
        policies=tuple(map(str, listed)),
        digest=row.digest or "",
        request=row.request or "{}",
    )

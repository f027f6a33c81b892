"""Recorded decisions and their policy versions, read in batches in order to make the decisions again."""

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

BLOCK = 4_000  # entries for each statement: every statement is short, however long the log is
SLACK = timedelta(hours=1)  # `seq` and `at` have almost the same order: transactions end late, clocks differ
SHORTEST_DIGEST = 6
_POLICY, _SCHEMA = "policy", "schema"
# Entries of these actions always hold a decision. One without it was tampered with.
_ALWAYS_DECIDED = (AuditAction.DEPLOYMENT_PERMITTED, AuditAction.DEPLOYMENT_HELD, AuditAction.DEPLOYMENT_DISPATCHING)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Read-only queries. All raise StoreUnavailable."""

    engine: Engine

    def batches(self, since: datetime, until: datetime, environment: str | None = None) -> Iterator[list[RecordedDecision]]:
        """Yield the decisions of [since, until) in the order of the log, up to its present end."""
        with transaction(self.engine) as connection:
            last = connection.execute(select(func.max(audit_entries.c.seq))).scalar_one() or 0
            after = _first(connection, since - SLACK, last) - 1
            end = _first(connection, until + SLACK, last)
        while after < min(last, end):
            with transaction(self.engine) as connection:
                batch = [_decision_from(row) for row in connection.execute(_block(after, since, until, environment))]
            after += BLOCK
            if batch:
                yield batch

    def versions(self) -> dict[str, PolicyVersion]:
        """Return all stored versions of the policies, by digest."""
        query = select(versions.c.kind, versions.c.digest, versions.c.text).where(versions.c.kind.in_((_POLICY, _SCHEMA)))
        with transaction(self.engine) as connection:
            texts = {(row.kind, row.digest): row.text for row in connection.execute(query)}
        policies = {digest: text for (kind, digest), text in texts.items() if kind == _POLICY}
        return {digest: PolicyVersion(digest, text, texts.get((_SCHEMA, digest))) for digest, text in policies.items()}

    def version(self, name: str) -> PolicyVersion:
        """Return the version whose digest is `name`, or the only one that begins with it; raises NotFound."""
        fitting = [version for digest, version in self.versions().items() if digest.startswith(name.lower())]
        if len(name) < SHORTEST_DIGEST or len(fitting) != 1:
            raise NotFound(
                f"{name!r} is neither a folder nor the digest of one stored version (at least {SHORTEST_DIGEST} characters)"
            )
        return fitting[0]


def _first(connection: Connection, moment: datetime, last: int) -> int:
    """Find the approximate `seq` of a moment by binary search: entries are in the order of time, without an index by it."""
    low, high = 1, last + 1
    while low < high:
        middle = (low + high) // 2
        query = select(audit_entries.c.at).where(audit_entries.c.seq >= middle).order_by(audit_entries.c.seq).limit(1)
        at = connection.execute(query).scalar_one_or_none()
        if at is None or at >= moment:
            high = middle
        else:
            low = middle + 1
    return low


def _block(after: int, since: datetime, until: datetime, environment: str | None) -> Any:
    entries, detail = audit_entries.c, audit_entries.c.detail
    request = detail["request"]
    resource_id = request["request"]["resource"]["id"].astext
    query = select(
        entries.seq,
        entries.at,
        entries.action,
        entries.deployment_id,
        resource_id.label("environment"),
        detail["effect"].astext.label("effect"),
        detail["policies"].label("policies"),
        detail["policy_digest"].astext.label("digest"),
        cast(request, Text).label("request"),
    )
    query = query.where(entries.seq > after, entries.seq <= after + BLOCK, entries.at >= since, entries.at < until)
    query = query.where(or_(detail.has_key("policy_digest"), detail.has_key("request"), entries.action.in_(_ALWAYS_DECIDED)))
    if environment is not None:
        query = query.where(resource_id == environment)
    return query.order_by(entries.seq)


def _decision_from(row: Any) -> RecordedDecision:
    """Read a decision from its row as it is, even if it was damaged: then the decision is not reproduced."""
    policies = row.policies if isinstance(row.policies, list) else [f"{row.policies!r}"]
    return RecordedDecision(
        seq=row.seq,
        at=row.at,
        action=row.action,
        deployment_id=row.deployment_id,
        environment=row.environment or "",
        effect=row.effect or "",
        policies=tuple(map(str, policies)),
        digest=row.digest or "",
        request=row.request or "{}",
    )

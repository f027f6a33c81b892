"""The inbox as the planner sees it: claim, finish, postpone. New rows are written by `inbox/inbox.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal_column, or_, select, text, update

from app.domain.delivery import Delivery, DeliveryState
from app.domain.event import Account, Event, EventKind, Repository
from app.store.schema.line import REPOSITORY_OF_DELIVERY
from app.store.schema.line import deliveries as table

LONGEST_PAUSE = timedelta(minutes=5)


def event_as_json(event: Event | None) -> dict[str, Any] | None:
    """Spell an event as the JSON that the inbox stores."""
    return asdict(event) if event else None


def event_from_json(value: dict[str, Any] | None) -> Event | None:
    """Read an event back from the inbox."""
    if value is None:
        return None
    return Event(
        kind=EventKind(value["kind"]),
        repository=Repository(**value["repository"]),
        ref=value["ref"],
        before=value["before"],
        after=value["after"],
        actor=Account(**value["actor"]),
    )


def delivery_from(row: Row[Any]) -> Delivery:
    """Read a delivery from its row."""
    return Delivery(
        id=row.id,
        forge=row.forge,
        forge_delivery_id=row.forge_delivery_id,
        event_header=row.event_header,
        body=bytes(row.body or b""),
        event=event_from_json(row.event),
        reason=row.reason,
        received_at=row.received_at,
        state=DeliveryState(row.state),
        position=row.position,
        body_digest=row.body_digest,
    )


_WITHOUT_BODY = [literal_column("''::bytea").label("body") if c.name == "body" else c for c in table.c]

# Jumps from one repository to the next in the index, so its cost does not grow with the pending deliveries of each.
_NEXT_REPOSITORIES = text(f"""
WITH RECURSIVE found (repository) AS (
    (SELECT {REPOSITORY_OF_DELIVERY} FROM deliveries WHERE state = 'pending' AND {REPOSITORY_OF_DELIVERY} > :after
     ORDER BY {REPOSITORY_OF_DELIVERY} LIMIT 1)
    UNION ALL
    SELECT (SELECT {REPOSITORY_OF_DELIVERY} FROM deliveries
            WHERE state = 'pending' AND {REPOSITORY_OF_DELIVERY} > found.repository
            ORDER BY {REPOSITORY_OF_DELIVERY} LIMIT 1)
    FROM found WHERE found.repository IS NOT NULL
)
SELECT repository FROM found WHERE repository IS NOT NULL LIMIT :limit
""")  # noqa: S608 - an expression of ours only
_OLDEST_OF_EACH = text(f"""
SELECT oldest.* FROM unnest(CAST(:repositories AS text[])) AS wanted (repository)
CROSS JOIN LATERAL (
    SELECT {", ".join("''::bytea AS body" if c.name == "body" else c.name for c in table.c)} FROM deliveries
    WHERE state = 'pending' AND {REPOSITORY_OF_DELIVERY} = wanted.repository
    AND position > :newer_than AND (due_at <= :now OR due_at = received_at)
    ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED
) AS oldest
""").columns(*table.c)  # noqa: S608 - names of ours only


_FINISH = text("""
UPDATE deliveries SET state = CASE WHEN given.reason IS NULL THEN 'planned' ELSE 'ignored' END, reason = given.reason
FROM unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[])) AS given (id, reason) WHERE deliveries.id = given.id
""")


_REPOSITORIES = text("""
SELECT DISTINCT ON (forge, lower(full_name)) forge || ':' || full_name FROM deployments
ORDER BY forge, lower(full_name), position DESC
""")
_COMMITS = text("""
SELECT sha FROM deployments WHERE forge = :forge AND lower(full_name) = :name
UNION SELECT before FROM deployments WHERE forge = :forge AND lower(full_name) = :name AND before IS NOT NULL
UNION SELECT event ->> 'after' FROM deliveries WHERE state = 'pending' AND forge = :forge
AND lower(event #>> '{repository,full_name}') = :name AND event ->> 'after' IS NOT NULL
UNION SELECT sha FROM baselines WHERE lower(repository) = :forge || ':' || :name
""")
# What still waits keeps its body. Deployments that have not ended are few, and two partial indexes hold them.
_EMPTY = text("""
WITH waiting AS (
    SELECT delivery_id FROM deployments WHERE due_at IS NOT NULL
    UNION ALL SELECT delivery_id FROM deployments WHERE state = 'planned' AND due_at IS NULL
), old AS (
    SELECT id FROM deliveries WHERE body IS NOT NULL AND received_at < :before AND state <> 'pending'
    AND NOT EXISTS (SELECT FROM waiting WHERE waiting.delivery_id = deliveries.id)
    ORDER BY received_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE deliveries SET body_digest = encode(sha256(body), 'hex'), body = NULL FROM old WHERE deliveries.id = old.id
""")


@dataclass(frozen=True, slots=True)
class SqlDeliveries:
    """The table of deliveries (protocol: `pipeline.ports.stores.line.Deliveries`)."""

    connection: Connection

    def claim_pending(self, now: datetime, limit: int) -> list[Delivery]:
        """Lock the oldest due pending deliveries (without bodies), skipping those that another planner holds."""
        query = select(*_WITHOUT_BODY).where(table.c.state == DeliveryState.PENDING, _due(now))
        query = query.order_by(table.c.position).limit(limit).with_for_update(skip_locked=True)
        return [delivery_from(row) for row in self.connection.execute(query)]

    def claim_fairly(self, now: datetime, limit: int, *, newer_than: int, after: str) -> tuple[list[Delivery], str]:
        """Lock the oldest delivery of each of the next repositories after `after`; return the last of them too ("": the end)."""
        repositories = self.connection.execute(_NEXT_REPOSITORIES, {"after": after, "limit": limit}).scalars().all()
        parameters = {"repositories": list(repositories), "newer_than": newer_than, "now": now}
        rows = self.connection.execute(_OLDEST_OF_EACH, parameters)
        return [delivery_from(row) for row in rows], repositories[-1] if len(repositories) == limit else ""

    def reserve(self, delivery_ids: Sequence[str], until: datetime) -> None:
        """Keep other planners away from these deliveries for a time."""
        self.connection.execute(update(table).where(table.c.id.in_(delivery_ids)).values(due_at=until))

    def claim(self, delivery_id: str) -> Delivery | None:
        """Lock one delivery if it is still pending."""
        row = self.connection.execute(_pending().where(table.c.id == delivery_id).with_for_update()).first()
        return delivery_from(row) if row else None

    def get(self, delivery_id: str) -> Delivery | None:
        """Return a delivery in any state."""
        row = self.connection.execute(select(table).where(table.c.id == delivery_id)).first()
        return delivery_from(row) if row else None

    def oldest_due(self, now: datetime) -> str | None:
        """Return the id of the oldest pending delivery that is due, if any."""
        row = self.connection.execute(_pending().where(_due(now)).limit(1)).first()
        return row.id if row else None

    def finish(self, reasons: Mapping[str, str | None]) -> None:
        """Mark each delivery, by id, as planned, or as ignored if a reason is given."""
        if reasons:
            self.connection.execute(_FINISH, {"ids": list(reasons), "reasons": list(reasons.values())})

    def empty_bodies(self, before: datetime, limit: int) -> int:
        """Keep of the oldest bodies of before this time only their digest, but of none that is waited for; return the number."""
        return self.connection.execute(_EMPTY, {"before": before, "limit": limit}).rowcount

    def postpone(self, delivery_id: str, now: datetime, reason: str) -> int:
        """Keep a delivery pending for a while, twice as long each time, up to five minutes; return the number of tries."""
        pause = func.make_interval(0, 0, 0, 0, 0, 0, func.least(func.power(2, table.c.tries + 1), LONGEST_PAUSE.total_seconds()))
        statement = update(table).where(table.c.id == delivery_id)
        statement = statement.values(due_at=now + pause, reason=reason, tries=table.c.tries + 1)
        tries: int = self.connection.execute(statement.returning(table.c.tries)).scalar_one()
        return tries

    def repositories(self) -> list[str]:
        """List the repositories (`FORGE:OWNER/NAME`, as last spelled) that anything was ever planned from."""
        return list(self.connection.execute(_REPOSITORIES).scalars())

    def commits(self, repository: str) -> list[str]:
        """List the commits of a repository that may be needed again: of deployments, of what is not planned yet, of baselines."""
        forge, _, name = repository.partition(":")
        return list(self.connection.execute(_COMMITS, {"forge": forge, "name": name.lower()}).scalars())


def _due(now: datetime) -> ColumnElement[bool]:
    """Select what is due. New deliveries are, whatever the clocks say.

    A time beyond any pause comes from a clock that was set back since, and counts as due.
    """
    return or_(table.c.due_at == table.c.received_at, table.c.due_at <= now, table.c.due_at > now + 2 * LONGEST_PAUSE)


def _pending() -> Select[Any]:
    return select(table).where(table.c.state == DeliveryState.PENDING).order_by(table.c.position)

"""Rows in bulk are like those that the receiver writes: the planner takes them, the audit log knows them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Engine

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, DeliveryState
from app.domain.event import Account, Event, EventKind, Repository
from app.integrations.system import SystemIds
from app.stack.postgres import OWNER, EmbeddedPostgres
from app.store.inbox.inbox import SqlInbox
from app.store.reads import Reads
from app.store.unit import SqlStore
from bench.rows import Sql, count, forget_pending, pending, planned, rows_per_commit

COMMITS = ["a" * 40, "b" * 40, "c" * 40]
BODY = json.dumps({"some": "body"}).encode()


@pytest.fixture
def like(engine: Engine) -> str:
    """A delivery that the inbox itself has taken."""
    ids = SystemIds()
    event = Event(
        kind=EventKind.PUSH,
        repository=Repository("gogs", 1, "acme/shop", "acme", 7),
        ref="refs/heads/main",
        before="0" * 40,
        after="d" * 40,
        actor=Account("gogs", "2", "alice"),
    )
    delivery = Delivery(
        id=ids.new(),
        forge="gogs",
        forge_delivery_id="first",
        event_header="push",
        body=BODY,
        event=event,
        reason=None,
        received_at=datetime.now(UTC),
        state=DeliveryState.PENDING,
    )
    entry = AuditEntry(
        id=ids.new(),
        at=delivery.received_at,
        action="delivery:received",
        actor="gogs:2",
        deployment_id=None,
        delivery_id=delivery.id,
        correlation_id=delivery.id,
        detail={},
    )
    SqlInbox(engine, lambda _: entry).put(delivery).result(30)
    return delivery.id


@pytest.fixture
def sql(postgres: EmbeddedPostgres) -> Sql:
    return psycopg.connect(postgres.url(OWNER).replace("+psycopg", ""), autocommit=True)


def claimed(engine: Engine) -> list[Delivery]:
    with SqlStore(engine).unit() as unit:
        return unit.deliveries.claim_pending(datetime.now(UTC), 100)


def test_waiting_rows_go_round_the_branches_with_the_next_commit_each_round(engine: Engine, like: str, sql: Sql) -> None:
    with sql:
        forget = {claimed(engine)[0].id}
        pending(sql, like, 5, 2, COMMITS)
        made = [d for d in claimed(engine) if d.id not in forget]
    assert [(d.event.ref, d.event.after[0]) for d in made if d.event] == [
        ("refs/heads/b0", "a"),
        ("refs/heads/b1", "a"),
        ("refs/heads/b0", "b"),
        ("refs/heads/b1", "b"),
        ("refs/heads/b0", "c"),
    ]
    assert len({d.id for d in made} | {d.forge_delivery_id for d in made}) == 10
    assert {Reads(engine).delivery(d.id).body for d in made} == {BODY}
    entries = [Reads(engine).audit(delivery_id=d.id) for d in made]
    assert [[e.action for e in each] for each in entries] == [["delivery:received"]] * 5


def test_with_a_commit_each_every_row_brings_its_own(engine: Engine, like: str, sql: Sql) -> None:
    with sql:
        pending(sql, like, 3, 3, COMMITS)
        made = [d.event.after for d in claimed(engine) if d.id != like and d.event]
    assert made == COMMITS


def test_rows_that_are_done_with_are_not_planned(engine: Engine, like: str, sql: Sql) -> None:
    with sql:
        planned(sql, like, 50)
        assert [d.id for d in claimed(engine)] == [like]
        assert (count(sql, "deliveries"), count(sql, "audit_entries")) == (51, 51)
        assert rows_per_commit(sql, datetime(2020, 1, 1, tzinfo=UTC)) == pytest.approx(51 / 2)
        assert count(sql, "deliveries", datetime(2100, 1, 1, tzinfo=UTC)) == 0
        forget_pending(sql)
        assert count(sql, "deliveries") == 50

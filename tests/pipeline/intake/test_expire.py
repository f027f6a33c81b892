"""Retention of bodies: for ever unless set; never of what waits; the digest stays, and a replay still works."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from sqlalchemy import text

from app.domain.audit import AuditAction
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import State
from app.domain.errors import RepositoryUnavailable
from app.domain.event import Account
from app.pipeline.intake import expire as module
from app.pipeline.intake.expire import expire
from app.pipeline.intake.replay import replay
from app.store.reads import Reads
from tests.fakes import person
from tests.pipeline.conftest import Line, sha

DAY = 86_400.0
BODY = b"{}"  # as `Line.deliver` sends it


def keep(line: Line, days: float) -> None:
    line.services = replace(line.services, limits=replace(line.services.limits, keep_bodies=days))


def bodies(line: Line) -> dict[str, tuple[bytes | None, str | None]]:
    """Map each delivery to its stored body and digest."""
    with line.engine.connect() as connection:
        rows = connection.execute(text("SELECT id::text, body, body_digest FROM deliveries ORDER BY position")).all()
    return {row[0]: (bytes(row[1]) if row[1] is not None else None, row[2]) for row in rows}


def entries(line: Line) -> list[dict[str, object]]:
    return [e.detail for e in Reads(line.engine).audit(limit=1000) if e.action == AuditAction.DELIVERY_EMPTIED]


def test_bodies_are_kept_for_ever_unless_it_is_set(line: Line) -> None:
    line.run(line.push("one"))
    line.clock.move(10_000 * DAY)
    expire(line.services)
    assert [body for body, _ in bodies(line).values()] == [BODY] and entries(line) == []


def test_old_bodies_leave_their_digest_and_one_entry_a_run(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    keep(line, 30)
    for word in ("one", "two", "three"):
        line.run(line.push(word))
    line.deliver(None, reason="nothing follows")
    line.clock.move(31 * DAY)
    line.run(line.push("new"))
    expire(line.services)
    gone = (None, hashlib.sha256(BODY).hexdigest())
    assert list(bodies(line).values()) == [gone] * 4 + [(BODY, None)]
    (entry,) = entries(line)
    assert entry["count"] == 4 and "received_before" in entry
    expire(line.services)
    assert len(entries(line)) == 1, "a run that empties nothing says nothing"


def test_invariant_15_what_still_waits_keeps_its_body(line: Line) -> None:
    keep(line, 30)
    done = line.push("done")
    line.run(done)
    stuck, *lane = [line.push(f"push {n}") for n in range(6)]
    line.repositories.fault = RepositoryUnavailable("no route to host")
    with pytest.raises(RepositoryUnavailable):
        line.run(stuck)
    pending = line.services.ids.new()
    assert done.delivery_id is not None
    event = Reads(line.engine).delivery(done.delivery_id).event
    now = line.clock.now()
    line.services.inbox.put(Delivery(pending, "gogs", pending, "push", BODY, event, None, now, DeliveryState.PENDING)).result(30)
    line.clock.move(31 * DAY)
    expire(line.services)
    assert {id_: body for id_, (body, _) in bodies(line).items()} == {
        done.delivery_id: None,
        **{d.delivery_id: BODY for d in (stuck, *lane)},
        pending: BODY,
    }


def test_a_delivery_without_its_body_is_listed_shown_and_replayed(line: Line) -> None:
    keep(line, 30)
    deployment = line.run(line.push("one"))
    line.clock.move(31 * DAY)
    expire(line.services)
    assert deployment.delivery_id is not None
    reads = Reads(line.engine)
    assert [d.body for d in reads.deliveries(10)] == [b""]
    assert reads.delivery(deployment.delivery_id).body_digest == hashlib.sha256(BODY).hexdigest()
    operator = Account("os", "alice", "alice")
    line.identity.people["os:alice"] = person("alice", "os:alice")
    (again,) = replay(line.services, deployment.delivery_id, operator)
    assert again.sha == sha("one") and line.run(again).state is State.SUCCEEDED

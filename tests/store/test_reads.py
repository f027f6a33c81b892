"""Queries for people and probes: rows by a piece of an id, filters, counts, and the age of the oldest row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import ENDED, Deployment, Dispatch, Progress, Stage, StageResult, State, Trigger
from app.domain.errors import NotFound, StoreUnavailable
from app.domain.event import Account, Event, EventKind, Repository
from app.integrations.system import SystemIds
from app.store.engine import make_engine
from app.store.inbox.inbox import SqlInbox
from app.store.reads import QueueAge, Reads
from app.store.unit import SqlStore
from tests.ports import free_port
from tests.rows import record

IDS = SystemIds()
REPOSITORY = Repository("gogs", 1, "acme/shop", "acme", 7)
ALICE = Account("gogs", "2", "alice")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FIRST = "0190aaaa-1111-7222-8333-444444aaaaaa"
SECOND = "0190aaaa-5555-7222-8333-444444bbbbbb"
THIRD = "0190bbbb-1111-7222-8333-444444bbbbbb"


def put(engine: Engine, **over: object) -> Delivery:
    """Put a delivery into the inbox, with its audit entry."""
    new_id = str(over.pop("id", None) or IDS.new())
    event = Event(EventKind.PUSH, REPOSITORY, "refs/heads/main", None, "a" * 40, ALICE)
    delivery = Delivery(new_id, "gogs", new_id, "push", b"{}", event, None, NOW, DeliveryState.PENDING)
    delivery = replace(delivery, **over)  # type: ignore[arg-type]
    SqlInbox(engine, lambda d: entry("delivery:received", delivery_id=d.id)).put(delivery).result(timeout=30)
    return delivery


def entry(action: str, *, deployment_id: str | None = None, delivery_id: str | None = None) -> AuditEntry:
    return AuditEntry(IDS.new(), NOW, action, "gogs:2", deployment_id, delivery_id, IDS.new(), {"action": action})


def add(engine: Engine, **over: object) -> Deployment:
    """Add a deployment, with its audit entry."""
    values: dict[str, object] = {
        "id": IDS.new(),
        "position": 1,
        "delivery_id": None,
        "correlation_id": IDS.new(),
        "environment": "production",
        "repository": REPOSITORY,
        "ref": "refs/heads/main",
        "before": None,
        "sha": IDS.new().replace("-", "") + "0" * 8,
        "actor": ALICE,
        "trigger": Trigger.PUSH,
        "release_id": None,
        "state": State.PLANNED,
        "reason": None,
        "principal": None,
        "created_at": NOW,
        "updated_at": NOW,
    }
    deployment = Deployment(**{**values, **over})  # type: ignore[arg-type]
    with SqlStore(engine).unit() as unit:
        assert unit.deployments.add(deployment, None if deployment.has_ended else NOW)
        unit.audit.append([entry("deployment:planned", deployment_id=deployment.id, delivery_id=deployment.delivery_id)])
    return deployment


PIECES = [
    (FIRST, FIRST),
    (FIRST.upper(), FIRST),
    (f"  {FIRST}\n", FIRST),
    ("0190aaaa-1", FIRST),
    ("0190AAAA-1", FIRST),
    ("aaaaaa", FIRST),
    ("444444aaaaaa", FIRST),
    ("0190aaaa-5", SECOND),
    ("0190bb", THIRD),
    ("0190bbbb", THIRD),
    ("1111-7222-8333-444444bbbbbb", THIRD),
]
NEITHER = [
    ("", "too short"),
    ("0190b", "too short"),
    ("aaaaa", "too short"),
    ("   0190b   ", "too short"),
    ("0190aa", "more than one"),
    ("0190aaaa", "more than one"),
    ("bbbbbb", "more than one"),
    ("444444bbbbbb", "more than one"),
    ("1111-7222", "no "),
    ("%%%%%%", "no "),
    ("0190bb%", "no "),
    ("______", "no "),
    ("0190b_", "no "),
    ("0190bb\\", "no "),
    ("cccccc", "no "),
    (FIRST + "0", "no "),
    ("'; DROP TABLE deliveries; --", "no "),
]


@pytest.mark.parametrize(("name", "found"), PIECES)
def test_a_delivery_is_found_by_an_unambiguous_beginning_or_end_of_its_id(engine: Engine, name: str, found: str) -> None:
    for new_id in (FIRST, SECOND, THIRD):
        put(engine, id=new_id)
    assert Reads(engine).delivery(name).id == found


@pytest.mark.parametrize(("name", "found"), PIECES)
def test_a_deployment_is_found_by_an_unambiguous_beginning_or_end_of_its_id(engine: Engine, name: str, found: str) -> None:
    for new_id in (FIRST, SECOND, THIRD):
        add(engine, id=new_id)
    assert Reads(engine).deployment(name).deployment.id == found


@pytest.mark.parametrize(("name", "why"), NEITHER)
def test_too_short_ambiguous_and_unknown_ids_are_not_found_and_the_text_says_which(engine: Engine, name: str, why: str) -> None:
    for new_id in (FIRST, SECOND, THIRD):
        put(engine, id=new_id)
        add(engine, id=new_id)
    for what, read in (("delivery", Reads(engine).delivery), ("deployment", Reads(engine).deployment)):
        with pytest.raises(NotFound) as caught:
            read(name)
        message = str(caught.value)
        assert why in message and what in message and (name in message or repr(name) in message)


def test_a_delivery_is_found_by_the_id_that_the_forge_shows_and_by_its_commit(engine: Engine) -> None:
    put(engine, id=FIRST, forge_delivery_id="F2B5AAE0-1f8b-4f3c-9d5e-000000000001")
    other = Event(EventKind.PUSH, REPOSITORY, "refs/heads/main", None, "b" * 40, ALICE)
    put(engine, id=SECOND, forge_delivery_id="f2b5aae0-1f8b-4f3c-9d5e-000000000002", event=other)
    reads = Reads(engine)
    assert reads.delivery("f2b5aae0-1f8b-4f3c-9d5e-000000000001").id == FIRST
    assert reads.delivery("F2B5AAE0-1F8B-4F3C-9D5E-000000000002").id == SECOND
    assert reads.delivery("b" * 40).id == SECOND
    assert reads.delivery("a" * 7).id == FIRST


def test_a_deployment_is_found_by_its_commit(engine: Engine) -> None:
    found = add(engine, sha="c0ffee" + "1" * 34)
    add(engine)
    assert Reads(engine).deployment("c0ffee1").deployment.id == found.id


def test_several_that_fit_a_name_are_listed_with_what_tells_them_apart(engine: Engine) -> None:
    for name in ("production", "staging"):
        add(engine, sha="c0ffee" + "1" * 34, environment=name)
    put(engine, id=FIRST)
    put(engine, id=SECOND)
    with pytest.raises(NotFound) as caught:
        Reads(engine).deployment("c0ffee1")
    assert "(production, planned)" in str(caught.value) and "(staging, planned)" in str(caught.value)
    with pytest.raises(NotFound, match=rf"{SECOND} \(push, pending\), {FIRST} \(push, pending\)"):
        Reads(engine).delivery("a" * 40)


def test_a_too_short_id_says_how_long_it_must_be(engine: Engine) -> None:
    with pytest.raises(NotFound, match="give 6 characters or more"):
        Reads(engine).delivery("01234")


def test_a_delivery_is_no_deployment(engine: Engine) -> None:
    put(engine, id=FIRST)
    with pytest.raises(NotFound):
        Reads(engine).deployment(FIRST)


def test_a_deployment_comes_with_its_stages_and_dispatches_and_nobody_elses(engine: Engine) -> None:
    mine, other = add(engine, principal="alice", reason="because"), add(engine)
    stages = [StageResult(s, "passed", {"n": n}, NOW, NOW + timedelta(seconds=n)) for n, s in enumerate(Stage)]
    with SqlStore(engine).unit() as unit:
        for result in reversed(stages):
            record(unit.connection, mine.id, result)
        record(unit.connection, other.id, replace(stages[0], outcome="denied"))
        for target in ("one", "two"):
            unit.dispatches.intend([Dispatch(IDS.new(), mine.id, "production", target, 1, 0, 0)], "nobody", 0)
        unit.dispatches.intend([Dispatch(IDS.new(), other.id, "production", "one", 1, 0, 0)], "nobody", 0)
    view = Reads(engine).deployment(mine.id)
    assert view.deployment == mine
    assert view.stages == tuple(stages)
    assert [(row.dispatch.target, row.dispatch.deployment_id, row.progress) for row in view.dispatches] == [
        ("one", mine.id, Progress.UNKNOWN),
        ("two", mine.id, Progress.UNKNOWN),
    ]


def test_deliveries_are_listed_newest_first_and_filtered_by_state(engine: Engine) -> None:
    first, second, third = put(engine), put(engine, state=DeliveryState.IGNORED, event=None, reason="why"), put(engine)
    reads = Reads(engine)
    assert [d.id for d in reads.deliveries(10)] == [third.id, second.id, first.id]
    assert [d.id for d in reads.deliveries(2)] == [third.id, second.id]
    assert reads.deliveries(0) == []
    assert [d.id for d in reads.deliveries(10, "pending")] == [third.id, first.id]
    assert [d.id for d in reads.deliveries(1, "pending")] == [third.id]
    (ignored,) = reads.deliveries(10, "ignored")
    assert replace(ignored, position=0) == second
    assert reads.deliveries(10, "planned") == []


def test_deployments_are_listed_newest_first_and_filtered_by_environment_and_delivery(engine: Engine) -> None:
    delivery = put(engine)
    old = add(engine, delivery_id=delivery.id, created_at=NOW - timedelta(hours=1))
    new = add(engine, environment="staging", created_at=NOW + timedelta(hours=1))
    middle = add(engine, environment="staging", delivery_id=delivery.id)
    reads = Reads(engine)
    assert reads.deployments(10) == [new, middle, old]
    assert reads.deployments(1) == [new]
    assert reads.deployments(10, "staging") == [new, middle]
    assert reads.deployments(10, environment="production") == [old]
    assert reads.deployments(10, delivery_id=delivery.id) == [middle, old]
    assert reads.deployments(10, "staging", delivery.id) == [middle]
    assert reads.deployments(10, "nowhere") == []


def test_audit_entries_are_the_last_ones_in_order_and_filtered(engine: Engine) -> None:
    delivery = put(engine)
    one, two = add(engine, delivery_id=delivery.id), add(engine)
    with SqlStore(engine).unit() as unit:
        unit.audit.append([entry("deployment:identified", deployment_id=one.id, delivery_id=delivery.id)])
        unit.audit.append([entry("deployment:identified", deployment_id=two.id)])
    reads = Reads(engine)

    def read(limit: int = 100, **of: str) -> list[tuple[str, str | None]]:
        return [(e.action, e.deployment_id) for e in reads.audit(limit=limit, **of)]

    planned, identified = "deployment:planned", "deployment:identified"
    whole = [("delivery:received", None), (planned, one.id), (planned, two.id), (identified, one.id), (identified, two.id)]
    assert read() == whole
    assert read(limit=2) == whole[-2:]
    assert read(deployment_id=one.id) == [(planned, one.id), (identified, one.id)]
    assert read(deployment_id=one.id, limit=1) == [(identified, one.id)]
    assert read(delivery_id=delivery.id) == [("delivery:received", None), (planned, one.id), (identified, one.id)]
    assert read(delivery_id=delivery.id, deployment_id=two.id) == []
    sequence = [e.seq for e in reads.audit()]
    assert sequence == sorted(set(sequence))


def test_deployments_are_counted_by_state(engine: Engine) -> None:
    assert Reads(engine).counts_by_state() == {}
    for number, state in enumerate(State, start=1):
        for _ in range(number):
            add(engine, state=state)
    assert Reads(engine).counts_by_state() == {state.value: number for number, state in enumerate(State, start=1)}


def test_nothing_waits_in_an_empty_database(engine: Engine) -> None:
    assert Reads(engine).queue_age() == QueueAge(0, 0)


def test_the_oldest_that_waits_tells_the_age_of_the_queue(engine: Engine) -> None:
    now = datetime.now(UTC)
    for minutes in (1, 10, 5):
        put(engine, received_at=now - timedelta(minutes=minutes))
        add(engine, created_at=now - timedelta(minutes=2 * minutes))
    age = Reads(engine).queue_age()
    assert 600 <= age.deliveries < 660
    assert 1200 <= age.deployments < 1260


@pytest.mark.parametrize("state", State)
def test_only_a_deployment_that_has_not_ended_waits(engine: Engine, state: State) -> None:
    add(engine, state=state, created_at=datetime.now(UTC) - timedelta(hours=1))
    assert (Reads(engine).queue_age().deployments == 0) is (state in ENDED)


@pytest.mark.parametrize("state", DeliveryState)
def test_only_a_pending_delivery_waits(engine: Engine, state: DeliveryState) -> None:
    put(engine, state=state, received_at=datetime.now(UTC) - timedelta(hours=1))
    assert (Reads(engine).queue_age().deliveries > 0) is (state is DeliveryState.PENDING)


def test_stages_are_told_once_by_the_time_they_finished(engine: Engine) -> None:
    deployment = add(engine)
    with SqlStore(engine).unit() as unit:
        for n, stage in enumerate(Stage):
            end = NOW + timedelta(seconds=10 * n)
            record(unit.connection, deployment.id, StageResult(stage, "passed", {}, end - timedelta(seconds=n + 0.5), end))
    reads = Reads(engine)
    first, second = NOW + timedelta(seconds=10), NOW + timedelta(seconds=40)
    assert reads.stages_finished(first, second) == [("inject_token", 2.5), ("dispatch_deploy", 3.5), ("confirm_deploy", 4.5)]
    assert reads.stages_finished(NOW - timedelta(seconds=1), first) == [("validate_identity", 0.5), ("check_permission", 1.5)]


def test_every_read_says_when_the_database_is_away() -> None:
    reads = Reads(make_engine(f"postgresql+psycopg://tidegate_app:x@127.0.0.1:{free_port()}/tidegate"))
    for read in (
        reads.ping,
        reads.queue_age,
        reads.counts_by_state,
        reads.may_change_audit,
        reads.audit,
        lambda: reads.deliveries(1),
        lambda: reads.deployments(1),
        lambda: reads.delivery(FIRST),
        lambda: reads.deployment(FIRST),
        lambda: reads.stages_finished(NOW, NOW),
    ):
        with pytest.raises(StoreUnavailable):
            read()

"""The outbox on a real Postgres: told once the step is committed, at least once, by one worker at a time, for a day."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from app.domain.audit import AuditEntry
from app.domain.errors import BadConfiguration, SinkRefused, SinkUnavailable
from app.domain.notice import Notice, StoredNotice
from app.pipeline.intake.expire import expire
from app.pipeline.ports.services import Guard, SinkBinding
from app.pipeline.tell.notify import GIVEN_UP_AFTER, LEASE, MOST, Round, due_sinks, notify
from app.pipeline.tell.tell import tell
from app.store.reads import Reads
from tests.fakes import FakeSink
from tests.pipeline.conftest import Line

HELD = "deployment:held"


class Died(BaseException):
    """A worker that is gone in the middle of what it does."""


@dataclass
class Post:
    """The line with sinks: `ops` wants what is held, anywhere; what others want is up to the test."""

    line: Line
    sinks: dict[str, FakeSink] = field(default_factory=dict)
    bindings: dict[str, SinkBinding] = field(default_factory=dict)

    def sink(self, name: str, *events: str, environments: tuple[str, ...] = ()) -> FakeSink:
        made = self.sinks[name] = FakeSink()
        self.bindings[name] = SinkBinding(events or (HELD,), frozenset(environments), lambda: made)
        return made

    def tell(self, event: str = HELD, *, environment: str | None = "production", **over: object) -> Notice:
        """Do what a step does: write, commit."""
        services = self.line.services
        made = Notice(services.ids.new(), services.clock.now(), event, "a subject", "a text", {"n": 1})
        notice = replace(made, **over)  # type: ignore[arg-type]
        with services.store.unit() as unit:
            tell(services, unit, notice, environment=environment)
        return notice

    def notify(self, sink: str = "ops") -> Round:
        return notify(self.line.services, sink)

    def due(self) -> list[str]:
        return due_sinks(self.line.services)

    def rows(self, *, undelivered: bool = False) -> list[StoredNotice]:
        with self.line.services.store.reading() as unit:
            return unit.notices.newest(1000, undelivered=undelivered)

    def row(self) -> StoredNotice:
        (row,) = self.rows()
        return row

    def wait(self) -> float:
        """Tell in how many seconds the only notice is due."""
        due_at = self.row().due_at
        assert due_at is not None
        return round((due_at - self.line.clock.now()).total_seconds())

    def undelivered(self) -> list[AuditEntry]:
        return [e for e in Reads(self.line.engine).audit(limit=1000) if e.action == "notice:undelivered"]


@pytest.fixture
def post(line: Line) -> Post:
    former, made = line.services.guard, Post(line)

    def guard() -> Guard:
        return replace(former(), sinks=dict(made.bindings))

    line.services = replace(line.services, guard=guard)
    made.sink("ops")
    return made


def ids(sink: FakeSink) -> list[str]:
    return [notice.id for notice in sink.told]


def test_a_step_that_rolls_back_tells_nothing(post: Post) -> None:
    services = post.line.services
    made = Notice(services.ids.new(), services.clock.now(), HELD, "s", "t", {})
    with pytest.raises(RuntimeError), services.store.unit() as unit:
        tell(services, unit, made, environment="production")
        raise RuntimeError
    assert (post.rows(), post.due()) == ([], [])


def test_what_a_step_told_arrives_whole_and_once(post: Post) -> None:
    notice = post.tell(subject="ü", text="one\ntwo", detail={"a": [1, None, {"b": "ü"}]})
    assert post.due() == ["ops"]
    assert post.notify() == Round(sent=1)
    assert post.sinks["ops"].told == [notice]
    assert (post.row().sent_at is not None, post.row().due_at, post.due(), post.notify()) == (True, None, [], Round())
    assert post.undelivered() == []


@pytest.mark.parametrize(
    ("event", "environment", "told"),
    [
        (HELD, "production", {"ops", "all", "here", "two"}),
        (HELD, "staging", {"ops", "all", "two"}),
        (HELD, None, {"ops", "all", "two"}),
        ("deployment:denied", "production", {"all", "two"}),
        ("deployment:heldup", "production", {"all"}),
        ("config:taken", None, set()),
        ("deploymentx:held", "production", set()),
    ],
)
def test_a_sink_is_told_what_it_wants_and_nothing_else(post: Post, event: str, environment: str | None, told: set[str]) -> None:
    post.sink("all", "deployment:*")
    post.sink("here", environments=("production", "canary"))
    post.sink("two", HELD, "deployment:denied")
    post.sink("none", "session:*")
    post.tell(event, environment=environment)
    assert set(post.due()) == told


def test_an_outsiders_nul_and_half_surrogate_do_not_fail_the_step(post: Post) -> None:
    post.tell(subject="\0\ud800", text="\0\n\ud800", detail={"\0": ["\ud800"]})
    assert post.notify() == Round(sent=1)
    assert post.sinks["ops"].told[0].detail == {"\ufffd": ["\ufffd"]}


def test_a_crash_between_sending_and_marking_sends_again_under_the_same_id_after_the_lease(post: Post) -> None:
    notice, sink = post.tell(), post.sinks["ops"]

    def die(notice: Notice) -> None:
        sink.told.append(notice)
        sink.on_emit = lambda _: None
        raise Died

    sink.on_emit = die
    with pytest.raises(Died):
        post.notify()
    assert (post.due(), post.notify(), ids(sink)) == ([], Round(), [notice.id])
    post.line.clock.move(LEASE.total_seconds() + 1)
    assert (post.due(), post.notify(), ids(sink)) == (["ops"], Round(sent=1), [notice.id] * 2)


def test_two_workers_send_each_notice_once_between_them(post: Post) -> None:
    told, lock, sink = [post.tell().id for _ in range(3 * MOST)], threading.Lock(), post.sinks["ops"]
    under_way: set[str] = set()

    def emit(notice: Notice) -> None:
        with lock:
            assert notice.id not in under_way
            under_way.add(notice.id)

    sink.on_emit = emit
    with ThreadPoolExecutor(4) as workers:
        rounds = [each.result(60) for each in [workers.submit(post.notify) for _ in range(4)]]
    assert sum(each.sent for each in rounds) == len(told) == len(sink.told)
    assert sorted(ids(sink)) == sorted(told)


def test_what_one_worker_has_no_other_takes_and_the_sink_is_not_due(post: Post) -> None:
    post.tell()
    second = post.tell()
    seen: list[object] = []

    def look(notice: Notice) -> None:
        if not seen:
            seen.append(post.due())
            seen.append(post.notify())

    post.sinks["ops"].on_emit = look
    assert post.notify() == Round(sent=1)
    assert seen == [[], Round(sent=1)]
    assert len(set(ids(post.sinks["ops"]))) == 2 and ids(post.sinks["ops"])[0] == second.id


def test_a_dead_sink_is_tried_once_and_a_live_one_is_told_all(post: Post) -> None:
    dead, live = post.sink("dead"), post.sinks["ops"]
    dead.fault = SinkUnavailable("no connection (ConnectError)")
    told = [post.tell().id for _ in range(5)]
    assert post.due() == ["dead", "ops"]
    rounds = {name: post.notify(name) for name in post.due()}
    assert rounds == {"dead": Round(fault="no connection (ConnectError)"), "ops": Round(sent=5)}
    assert (dead.tried, ids(live), post.due()) == (1, told, [])


def test_a_dead_sink_is_left_alone_by_all_of_its_notices(post: Post) -> None:
    sink = post.sinks["ops"]
    sink.fault = SinkUnavailable("away")
    for _ in range(30):
        post.tell()
    for _ in range(3600):
        post.line.clock.move(1)
        if post.due():
            post.notify()
    assert sink.tried < 20  # 5 s, 10 s … 5 min: 7 tries in the first 315 s, one in 5 minutes after that
    sink.fault = None
    post.line.clock.move(301)
    assert (post.notify().sent, post.notify().sent, post.due()) == (MOST, 30 - MOST, [])


def test_the_pause_doubles_up_to_five_minutes(post: Post) -> None:
    post.tell()
    post.sinks["ops"].fault = SinkUnavailable("away")
    pauses = []
    for number in range(9):
        assert post.notify() == Round(fault="away")
        assert (post.row().tries, post.row().fault) == (number + 1, "away")
        pauses.append(post.wait())
        post.line.clock.move(pauses[-1] - 2)
        assert (post.due(), post.notify()) == ([], Round())
        post.line.clock.move(3)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_sink_that_is_back_is_told_first_what_it_was_not_told_in_vain(post: Post) -> None:
    sink = post.sinks["ops"]
    sink.fault = SinkUnavailable("away")
    first = post.tell()
    post.notify()
    second, third = post.tell(), post.tell()
    sink.fault = None
    post.line.clock.move(6)
    post.notify()
    assert ids(sink) == [second.id, third.id, first.id]
    assert all(row.fault is None and row.sent_at for row in post.rows())


def test_a_notice_that_a_sink_chokes_on_does_not_hold_up_the_others(post: Post) -> None:
    sink, bad = post.sinks["ops"], post.tell()

    def choke(notice: Notice) -> None:
        if notice.id == bad.id:
            raise SinkUnavailable("HTTP 500")

    sink.on_emit = choke
    post.notify()
    for _ in range(10):
        post.line.clock.move(301)
        good = [post.tell().id for _ in range(3)]
        assert post.notify() == Round(sent=3, fault="HTTP 500")
        assert ids(sink)[-3:] == good


def test_after_a_day_it_is_given_up_once_on_the_audit_log(post: Post) -> None:
    notice, sink = post.tell(), post.sinks["ops"]
    sink.fault = SinkUnavailable("away\nfor long\x1b")
    post.line.clock.move(GIVEN_UP_AFTER.total_seconds() - 60)
    post.notify()
    assert post.undelivered() == []
    post.line.clock.move(60)
    assert post.notify().fault == "away for long"
    assert (post.row().due_at, post.row().given_up_at is not None, post.due()) == (None, True, [])
    (entry,) = post.undelivered()
    assert (entry.actor, entry.correlation_id, entry.deployment_id) == ("tidegate:gate", notice.id, None)
    told = {"sink": "ops", "event": HELD, "notice": notice.id, "tries": 2, "reason": "away for long"}
    assert entry.detail == told
    post.line.clock.move(86_400)
    assert (post.notify(), len(post.undelivered())) == (Round(), 1)
    assert [row.notice.id for row in post.rows(undelivered=True)] == [notice.id]


def test_a_gate_that_was_down_for_days_still_tries(post: Post) -> None:
    post.tell()
    post.line.clock.move(7 * 86_400)
    assert post.notify() == Round(sent=1)


def test_what_is_refused_is_given_up_at_once_and_the_rest_goes_on(post: Post) -> None:
    bad, sink = post.tell(), post.sinks["ops"]
    good = post.tell()

    def refuse(notice: Notice) -> None:
        if notice.id == bad.id:
            raise SinkRefused("HTTP 422 no")

    sink.on_emit = refuse
    assert post.notify() == Round(sent=1, given_up=1, fault="HTTP 422 no")
    assert ids(sink) == [good.id]
    assert [(e.detail["notice"], e.detail["reason"]) for e in post.undelivered()] == [(bad.id, "HTTP 422 no")]


def test_a_sink_that_left_the_configuration_may_come_back(post: Post) -> None:
    post.tell()
    binding = post.bindings.pop("ops")
    assert post.notify() == Round(fault="no sink of this name is configured")
    post.bindings["ops"] = binding
    post.line.clock.move(6)
    assert post.notify() == Round(sent=1)


def test_a_sink_that_cannot_be_made_is_tried_again(post: Post) -> None:
    def fails() -> FakeSink:
        raise BadConfiguration(["nothing is as it was"])

    post.tell()
    post.bindings["ops"] = SinkBinding((HELD,), frozenset(), fails)
    assert post.notify() == Round(fault="nothing is as it was")


def test_what_nobody_foresaw_is_tried_again_and_raised_for_the_log_without_its_words(post: Post) -> None:
    post.tell()
    post.sinks["ops"].fault = ZeroDivisionError("secret-word")
    with pytest.raises(ZeroDivisionError):
        post.notify()
    assert (post.row().fault, post.wait()) == ("an unexpected ZeroDivisionError; the log tells more", 5)


def test_one_go_is_bounded_and_says_that_there_is_more(post: Post) -> None:
    for _ in range(MOST + 1):
        post.tell()
    assert post.notify() == Round(sent=MOST, has_more=True)
    assert post.notify() == Round(sent=1)


def test_a_worker_that_is_to_end_takes_nothing_more(post: Post) -> None:
    post.tell()
    assert notify(post.line.services, "ops", is_stopping=lambda: True) == Round()
    assert post.due() == ["ops"]


@pytest.mark.parametrize("fault", [SinkUnavailable("late"), SinkRefused("late"), None])
def test_who_lost_the_lease_undoes_nothing_of_who_took_it(post: Post, fault: Exception | None) -> None:
    """A worker slept while it sent; another one has sent it meanwhile."""
    post.tell()
    sink = post.sinks["ops"]

    def sleep(notice: Notice) -> None:
        sink.on_emit = lambda _: None
        post.line.clock.move(LEASE.total_seconds() + 1)
        assert post.notify() == Round(sent=1)
        if fault is not None:
            raise fault

    sink.on_emit = sleep
    post.notify()
    assert (post.row().sent_at is not None, post.row().given_up_at, post.row().tries) == (True, None, 2)
    assert post.undelivered() == []


def test_who_lost_the_lease_does_not_give_up_what_another_has(post: Post) -> None:
    post.tell()
    sink, seen = post.sinks["ops"], []

    def first(notice: Notice) -> None:
        sink.on_emit = second
        post.line.clock.move(LEASE.total_seconds() + 1)
        services = post.line.services
        with services.store.unit() as unit:
            seen.append(unit.notices.claim("ops", services.clock.now(), services.clock.now() + LEASE))
        raise SinkRefused("late")

    def second(notice: Notice) -> None:
        raise AssertionError

    sink.on_emit = first
    post.notify()
    assert seen[0] is not None and seen[0].tries == 2
    assert (post.row().given_up_at, post.undelivered(), post.due()) == (None, [], [])


def test_what_ended_is_kept_for_a_week(post: Post) -> None:
    post.tell()
    post.notify()
    refused = post.tell()
    post.sinks["ops"].fault = SinkRefused("no")
    post.notify()
    waiting = post.tell()
    post.line.clock.move(timedelta(days=7).total_seconds() - 60)
    expire(post.line.services)
    assert len(post.rows()) == 3
    post.line.clock.move(120)
    expire(post.line.services)
    assert [row.notice.id for row in post.rows()] == [waiting.id]
    assert [e.detail["notice"] for e in post.undelivered()] == [refused.id]

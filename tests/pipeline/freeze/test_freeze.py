"""Freezing and ending it: what is refused, what is audited, who is faster, and decisions that take notice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import event

from app.domain.decision import Decision, DecisionRequest, Effect
from app.domain.deployment import Stage, State
from app.domain.errors import BadRequest, GateError, NotAllowed, NotFound
from app.domain.event import Account
from app.domain.freeze import Freeze
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.freeze.draft import FreezeDraft
from app.pipeline.freeze.freeze import Upcoming, end, freeze, freezes_at, upcoming
from app.store.reads import Reads
from tests.fakes import FakeClock, FakePolicy
from tests.pipeline.conftest import Line, environment
from tests.pipeline.freezes import BERLIN, NEW_YORK, frozen_from, utc

ROOT_USER = Account("os", "root", "root")
HOUR = timedelta(hours=1)
POLICY = """
@id("deployers") permit (principal in Group::"deployers", action, resource);
@id("frozen") @reason("wait for the freeze to end")
forbid (principal, action == Action::"deploy", resource)
when { context.frozen } unless { principal in Group::"release-managers" };
"""


class StandingClock(FakeClock):
    """A clock that stands where a test put it."""

    def __init__(self) -> None:
        self.at = utc("2026-12-01 12:00")

    def now(self) -> datetime:
        return self.at


class Noticing(FakePolicy):
    """Denies what is frozen, as a policy that asks `context.frozen`."""

    def decide(self, request: DecisionRequest) -> Decision:
        decision = super().decide(request)
        return replace(decision, effect=Effect.DENY, reason="frozen") if request.context["frozen"] else decision


@pytest.fixture
def clock(line: Line) -> StandingClock:
    """Stop the line's clock, and have environments in two time zones."""
    clock = StandingClock()
    line.services = replace(line.services, clock=clock)
    line.environments[:] = [environment(time_zone=BERLIN), environment("staging", time_zone=NEW_YORK)]
    return clock


def wanted(name: str = "year-end", **over: Any) -> FreezeDraft:
    values = {"environment": "production", "reason": "nobody is in", "starts": "2026-12-18 15:00", "ends": "2027-01-04 08:00"}
    return FreezeDraft(name, **(values | over))


def in_force(line: Line, name: str = "production", at: datetime | None = None) -> list[str]:
    with line.services.store.reading() as unit:
        return [each.name for each in freezes_at(unit, name, at or line.services.clock.now())]


def audited(line: Line) -> list[tuple[str, str, Any]]:
    return [(e.action, e.actor, e.detail) for e in Reads(line.engine).audit() if e.action.startswith("freeze:")]


def version(line: Line) -> int:
    with line.services.store.reading() as unit:
        return unit.access.version()


def test_a_freeze_is_in_force_from_its_start_until_its_end(line: Line, clock: StandingClock) -> None:
    made = freeze(line.services, wanted(), ROOT_USER)
    assert (made.time_zone, made.starts_at, made.lasts) == (BERLIN, datetime(2026, 12, 18, 15), timedelta(days=16, hours=17))
    moments = ("2026-12-18 13:59:59", "2026-12-18 14:00", "2027-01-04 06:59:59", "2027-01-04 07:00")
    assert [in_force(line, at=utc(moment)) for moment in moments] == [[], ["year-end"], ["year-end"], []]
    assert in_force(line, "staging", utc("2026-12-24")) == []
    end(line.services, "year-end", ROOT_USER)
    assert in_force(line, at=utc("2026-12-24")) == []


def test_what_is_in_force_is_asked_in_one_statement(line: Line, clock: StandingClock) -> None:
    for name in ("one", "two"):
        freeze(line.services, wanted(name), ROOT_USER)
    asked: list[str] = []
    event.listen(line.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert in_force(line, at=utc("2026-12-24")) == ["one", "two"]
    assert len(asked) == 1


def test_a_freeze_of_everything_is_one_of_each_environment(line: Line, clock: StandingClock) -> None:
    made = freeze(line.services, wanted(environment=None, starts=None, ends=None, lasts=HOUR, time_zone="UTC"), ROOT_USER)
    assert made.starts_at == datetime(2026, 12, 1, 12)
    assert in_force(line) == in_force(line, "staging") == in_force(line, "of-tomorrow") == ["year-end"]
    assert [each.freeze.name for each in upcoming(line.services, "staging")] == ["year-end"]


def test_a_freeze_of_everything_needs_a_time_zone_where_there_are_several(line: Line, clock: StandingClock) -> None:
    with pytest.raises(BadRequest, match=r"several time zones \(America/New_York, Europe/Berlin\); say which one is meant"):
        freeze(line.services, wanted(environment=None), ROOT_USER)
    line.environments.pop()
    assert freeze(line.services, wanted(environment=None), ROOT_USER).time_zone == BERLIN


def test_adding_and_ending_are_audited_and_make_whoever_decides_ask_again(line: Line, clock: StandingClock) -> None:
    before = version(line)
    made = freeze(line.services, wanted(rule="FREQ=WEEKLY;BYDAY=FR;COUNT=2", ends=None, lasts=65 * HOUR), ROOT_USER)
    assert version(line) == before + 1
    end(line.services, made.id[-12:], Account("os", "eve", "eve"))
    assert version(line) == before + 2
    told = {
        "freeze": made.id,
        "name": "year-end",
        "environment": "production",
        "reason": "nobody is in",
        "time_zone": BERLIN,
        "starts_at": "2026-12-18T15:00:00",
        "lasts": 234_000,
        "rule": "FREQ=WEEKLY;BYDAY=FR;COUNT=2",
        "until": "2026-12-25T15:00:00",
    }
    assert audited(line) == [("freeze:added", "os:root", told), ("freeze:ended", "os:eve", told)]


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"name": "Year End"}, "a freeze's name has 1 to 63 characters"),
        ({"name": ""}, "a freeze's name"),
        ({"name": "a" * 64}, "a freeze's name"),
        ({"name": "a\n"}, "a freeze's name"),
        ({"reason": " "}, "a freeze has a reason"),
        ({"reason": "a\x1b[31m"}, "a freeze has a reason"),
        ({"reason": "a" * 501}, "a freeze has a reason"),
        ({"time_zone": "Europe/Nowhere"}, "'Europe/Nowhere' is not a time zone"),
        ({"starts": "tomorrow"}, "'tomorrow' is not a time: 2026-12-18 15:00"),
        ({"starts": ""}, "is not a time"),
        ({"ends": "2027-02-30 08:00"}, "is not a time"),
        ({"ends": "9999-12-31 23:59"}, "is not a time"),
        ({"starts": "0001-01-01 00:00"}, "is not a time"),
        ({"ends": None}, "a freeze needs either its end or its length, and not both"),
        ({"lasts": HOUR}, "a freeze needs either its end or its length, and not both"),
        ({"ends": "2026-12-18 15:00"}, "a freeze ends after it starts"),
        ({"ends": "2026-12-18 14:00"}, "a freeze ends after it starts"),
        ({"ends": "2026-12-18T15:00+01:00"}, "a freeze ends after it starts"),
        ({"ends": None, "lasts": timedelta()}, "a freeze ends after it starts"),
        ({"ends": None, "lasts": -HOUR}, "a freeze ends after it starts"),
        ({"ends": None, "lasts": timedelta.max}, "lasts at most 3660 days"),
        ({"ends": None, "lasts": timedelta(days=367), "rule": "yearly"}, "a recurring one 366"),
        ({"starts": "2026-11-30 12:00", "ends": "2026-12-01 13:00"}, "over already; it is 2026-12-01 13:00:00 in Europe/Berlin"),
        ({"starts": "2026-11-01", "ends": "2026-11-02", "rule": "FREQ=DAILY;COUNT=3"}, "over already"),
        ({"rule": "fortnightly"}, "recurrence rule: FREQ is one of"),
        ({"rule": ""}, "recurrence rule: "),
        ({"rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "never occurs"),
        ({"rule": "FREQ=DAILY;UNTIL=20261201"}, "never occurs"),
    ],
)
def test_what_cannot_be_a_freeze_is_told_and_nothing_is_kept(line: Line, clock: StandingClock, over: Any, why: str) -> None:
    before = version(line)
    with pytest.raises(BadRequest, match=why) as told:
        freeze(line.services, wanted(**over), ROOT_USER)
    assert "\n" not in str(told.value)
    assert (upcoming(line.services, everything=True), audited(line), version(line)) == ([], [], before)


def test_an_environment_that_is_not_there_is_not_found(line: Line, clock: StandingClock) -> None:
    for call in (lambda: freeze(line.services, wanted(environment="prod"), ROOT_USER), lambda: upcoming(line.services, "prod")):
        with pytest.raises(NotFound, match="there is no environment prod"):
            call()


@pytest.mark.parametrize(
    ("over", "begins", "ends"),
    [
        # instants, with offsets or on the wall, in the zone that is asked for
        ({"starts": "2026-12-18T15:00Z", "ends": "2027-01-04 08:00"}, "2026-12-18 15:00", "2027-01-04 07:00"),
        ({"starts": "2026-12-18", "ends": "2026-12-19"}, "2026-12-17 23:00", "2026-12-18 23:00"),
        ({"time_zone": "Asia/Tokyo"}, "2026-12-18 06:00", "2027-01-03 23:00"),
        # a single one that lasts some hours does so, where the clock is put forward
        ({"starts": "2027-03-28 01:30", "ends": None, "lasts": 2 * HOUR}, "2027-03-28 00:30", "2027-03-28 02:30"),
        ({"starts": "2027-03-27 17:00", "ends": None, "lasts": 65 * HOUR}, "2027-03-27 16:00", "2027-03-30 09:00"),
        # and is longer than that by the hour, where it is put back
        ({"starts": "2027-10-31 01:30", "ends": None, "lasts": 2 * HOUR}, "2027-10-30 23:30", "2027-10-31 02:30"),
        # the hour that is shown twice
        ({"starts": "2027-10-31T02:30+02:00", "ends": "2027-10-31T02:30+01:00"}, "2027-10-31 00:30", "2027-10-31 02:30"),
        ({"starts": "2027-10-31T02:50+02:00", "ends": "2027-10-31T02:10+01:00"}, "2027-10-31 00:50", "2027-10-31 02:10"),
    ],
)
def test_times_are_taken_on_the_wall_or_as_instants(line: Line, clock: StandingClock, over: Any, begins: str, ends: str) -> None:
    freeze(line.services, wanted(**over), ROOT_USER)
    (found,) = upcoming(line.services)
    assert found.window is not None and not found.is_in_force
    assert (found.window.begins_at, found.window.ends_at) == (utc(begins), utc(ends))


def test_a_name_is_taken_until_its_freeze_is_ended_or_over(line: Line, clock: StandingClock) -> None:
    first = freeze(line.services, wanted(), ROOT_USER)
    with pytest.raises(NotAllowed, match="there is an open freeze year-end; end it first: tidegate freeze end year-end"):
        freeze(line.services, wanted(environment="staging"), ROOT_USER)
    clock.at = utc("2027-01-04 07:00")
    again = {"starts": "2027-12-18 15:00", "ends": "2028-01-04 08:00"}
    second = freeze(line.services, wanted(**again), ROOT_USER)
    assert [action for action, _, _ in audited(line)] == ["freeze:added", "freeze:ended", "freeze:added"]
    end(line.services, "year-end", ROOT_USER)
    third = freeze(line.services, wanted(**again), ROOT_USER)
    known = [(each.freeze.id, each.freeze.ended_by) for each in upcoming(line.services, everything=True)]
    assert known == [(first.id, "os:root"), (second.id, "os:root"), (third.id, None)]


def test_a_name_goes_before_the_end_of_an_id(line: Line, clock: StandingClock) -> None:
    first = freeze(line.services, wanted("first"), ROOT_USER)
    second = freeze(line.services, wanted(first.id), ROOT_USER)
    assert end(line.services, first.id, ROOT_USER).id == second.id
    assert end(line.services, first.id.upper(), ROOT_USER).id == first.id


@pytest.mark.parametrize("name", ["", "-", "nothing", "%", "_", "\\", "a" * 10_000, "0", "\ud800", "\0"])
def test_what_no_one_freeze_is_called_is_not_found(line: Line, clock: StandingClock, name: str) -> None:
    made = freeze(line.services, wanted("one"), ROOT_USER)
    for meant in (name, made.id[-6:], f"{made.id[:-1]}%"):
        with pytest.raises(NotFound, match="there is no open freeze"):
            end(line.services, meant, ROOT_USER)
    assert len(upcoming(line.services)) == 1


def at_once(count: int, act: Callable[[], Freeze]) -> list[Freeze | GateError]:
    """Do something several times, started together."""
    ready = Barrier(count)

    def run(_: int) -> Freeze | GateError:
        ready.wait()
        try:
            return act()
        except GateError as fault:
            return fault

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


def test_of_two_that_end_a_freeze_at_once_one_does(line: Line, clock: StandingClock) -> None:
    for _ in range(5):
        freeze(line.services, wanted(), ROOT_USER)
        done = at_once(4, lambda: end(line.services, "year-end", ROOT_USER))
        assert sorted(type(each).__name__ for each in done) == ["Freeze", "NotFound", "NotFound", "NotFound"]
    assert [action for action, _, _ in audited(line)] == ["freeze:added", "freeze:ended"] * 5


@pytest.mark.parametrize("is_over", [False, True], ids=["free name", "name of one that is over"])
def test_of_two_that_take_a_name_at_once_one_does(line: Line, clock: StandingClock, is_over: bool) -> None:
    if is_over:
        freeze(line.services, wanted(starts=None, ends=None, lasts=HOUR), ROOT_USER)
        clock.at += HOUR
    done = at_once(4, lambda: freeze(line.services, wanted(), ROOT_USER))
    assert sorted(type(each).__name__ for each in done) == ["Freeze", "NotAllowed", "NotAllowed", "NotAllowed"]
    assert [action for action, _, _ in audited(line)] == ["freeze:added", "freeze:ended"] * is_over + ["freeze:added"]


def test_upcoming_tells_what_is_in_force_what_comes_and_what_is_over(line: Line, clock: StandingClock) -> None:
    freeze(line.services, wanted("now", starts=None, ends=None, lasts=HOUR), ROOT_USER)
    freeze(line.services, wanted("weekends", rule="FREQ=WEEKLY;BYDAY=FR", ends=None, lasts=65 * HOUR), ROOT_USER)
    freeze(line.services, wanted("ended", time_zone="UTC", environment=None), ROOT_USER)
    end(line.services, "ended", ROOT_USER)

    def told(found: list[Upcoming]) -> list[tuple[str, bool, str]]:
        return [(u.freeze.name, u.is_in_force, f"{u.window.begins_at:%m-%d %H}" if u.window else "") for u in found]

    assert told(upcoming(line.services)) == [("now", True, "12-01 12"), ("weekends", False, "12-18 14")]
    clock.at = utc("2026-12-19 03:00")
    assert told(upcoming(line.services)) == [("weekends", True, "12-18 14")]
    everything = told(upcoming(line.services, everything=True))
    assert everything == [("now", False, ""), ("weekends", True, "12-18 14"), ("ended", False, "")]
    assert told(upcoming(line.services, "staging", everything=True)) == [("ended", False, "")]


def test_what_another_version_wrote_and_nobody_understands_freezes_and_is_listed(line: Line, clock: StandingClock) -> None:
    with line.services.store.unit() as unit:
        unit.freezes.add(frozen_from("2026-11-01 00:00", 1, "FREQ=MOONLY"))
    assert in_force(line) == ["quiet"]
    (found,) = upcoming(line.services)
    assert (found.is_in_force, found.window) == (True, None)
    assert found.fault and "FREQ is one of" in found.fault
    with pytest.raises(NotAllowed):
        freeze(line.services, wanted("quiet"), ROOT_USER)
    end(line.services, "quiet", ROOT_USER)
    assert in_force(line) == []


def test_a_decision_sees_the_freezes_of_its_environment(line: Line) -> None:
    soon = {"starts": None, "ends": None, "lasts": HOUR}
    freeze(line.services, wanted("both", environment=None, **soon), ROOT_USER)
    freeze(line.services, wanted("one", **soon), ROOT_USER)
    deployment = line.run(line.push("a"), Stage.CHECK_PERMISSION)
    assert deployment.state is State.PERMITTED
    context = line.policy.asked[-1].context
    assert (context["frozen"], context["freezes"]) == (True, ["both", "one"])
    end(line.services, "both", ROOT_USER)
    end(line.services, "one", ROOT_USER)
    line.run(deployment)
    context = line.policy.asked[-1].context
    assert (context["frozen"], context["freezes"]) == (False, [])


def test_a_freeze_that_comes_between_permission_and_start_stops_the_start(line: Line) -> None:
    line.policy = Noticing()
    deployment = line.run(line.push("a"), Stage.INJECT_TOKEN)
    assert deployment.state is State.GRANTED
    freeze(line.services, wanted(starts=None, ends=None, lasts=HOUR), ROOT_USER)
    assert (line.run(deployment).state, line.now(deployment).reason) == (State.DENIED, "frozen")
    assert line.target.started == []


def test_a_freeze_that_comes_while_the_start_is_decided_stops_it_too(line: Line) -> None:
    class Racing(Noticing):
        def decide(self, request: DecisionRequest) -> Decision:
            decision = super().decide(request)
            if len(self.asked) == 2:  # it was permitted for the second time: now the environment is frozen
                freeze(line.services, wanted(starts=None, ends=None, lasts=HOUR), ROOT_USER)
            return decision

    line.policy = Racing()
    assert line.run(line.push("a")).state is State.DENIED
    assert [request.context["frozen"] for request in line.policy.asked] == [False, False, True]
    assert line.target.started == []


@pytest.mark.parametrize(("groups", "state"), [((), State.DENIED), (("release-managers",), State.SUCCEEDED)])
def test_policies_decide_who_may_in_spite_of_a_freeze(line: Line, groups: tuple[str, ...], state: State) -> None:
    line.policy = CedarPolicy({"a.cedar": POLICY})  # type: ignore[assignment]
    alice = line.identity.people["gogs:2"]
    line.identity.people["gogs:2"] = replace(alice, groups=alice.groups | set(groups))
    freeze(line.services, wanted(starts=None, ends=None, lasts=HOUR), ROOT_USER)
    assert line.run(line.push("a")).state is state
    end(line.services, "year-end", ROOT_USER)
    assert line.run(line.push("b")).state is State.SUCCEEDED

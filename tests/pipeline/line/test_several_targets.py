"""An environment with several targets: what runs is waited for, and what is gone from the configuration holds nothing up."""

from __future__ import annotations

import pytest

from app.domain.deployment import Progress, State
from app.domain.errors import TargetFailed
from app.integrations.targets.protocol import Report
from tests.fakes import FakeTarget
from tests.pipeline.conftest import Line, environment, sha

RUNNING = Report(Progress.RUNNING)


@pytest.fixture
def pair(line: Line) -> Line:
    """A line whose environment has the targets `box` and `crate`, with a release on both."""
    line.targets["crate"] = FakeTarget()
    line.environments = [environment(targets=("box", "crate"))]
    line.run(line.push("good"))
    return line


def started(line: Line) -> list[list[str]]:
    return [[order.sha for order in target.started] for target in line.targets.values()]


def test_invariant_6_a_failure_waits_for_the_targets_that_are_still_at_it(pair: Line) -> None:
    bad = pair.push("bad")
    pair.target.answers = [RUNNING]
    pair.targets["crate"].answers = [TargetFailed("no room")]
    pair.target.polls = [RUNNING, Report(Progress.SUCCEEDED)]
    assert pair.run(bad).state is State.DISPATCHED
    assert started(pair)[0] == [sha("good"), sha("bad")]  # nothing new while it runs
    ended = pair.run(bad)
    assert (ended.state, ended.reason) == (State.FAILED, "crate: no room")
    assert started(pair) == [[sha("good"), sha("bad"), sha("good")], [sha("good"), sha("good")]]


def test_invariant_6_a_failing_poll_waits_for_the_other_target(pair: Line) -> None:
    bad = pair.push("bad")
    for target in pair.targets.values():
        target.answers = [RUNNING]
    pair.target.polls = [Report(Progress.FAILED, "it broke")]
    pair.targets["crate"].polls = [RUNNING, Report(Progress.SUCCEEDED)]
    assert pair.run(bad).state is State.DISPATCHED
    ended = pair.run(bad)
    assert (ended.state, ended.reason) == (State.FAILED, "box: it broke")


def test_a_target_that_fails_keeps_the_next_from_being_started(pair: Line) -> None:
    pair.target.answers = [TargetFailed("no")]
    assert pair.run(pair.push("bad")).reason == "box: no"
    assert sha("bad") not in started(pair)[1]


def test_a_target_that_left_the_configuration_ends_what_runs_on_it(pair: Line) -> None:
    bad = pair.push("bad")
    pair.targets["crate"].answers = [RUNNING]
    pair.targets["crate"].polls = [RUNNING]
    assert pair.run(bad).state is State.DISPATCHED
    del pair.targets["crate"]
    pair.environments = [environment()]
    ended = pair.run(bad)
    assert ended.state is State.FAILED and "no longer has this target" in (ended.reason or "")
    assert pair.run(pair.push("next")).state is State.SUCCEEDED  # the slot is free


def test_invariant_7_an_environment_that_left_the_configuration_confirms_nothing(line: Line) -> None:
    line.run(line.push("good"))
    gone = line.push("gone")
    line.target.answers = [RUNNING]
    line.target.polls = [RUNNING, Report(Progress.SUCCEEDED)]
    assert line.run(gone).state is State.DISPATCHED
    line.environments = []
    ended = line.run(gone)
    assert ended.state is State.FAILED and "no longer has an environment production" in (ended.reason or "")
    assert [order.sha for order in line.target.started] == [sha("good"), sha("gone")]  # nor is it brought back

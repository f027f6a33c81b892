"""A stage that raises: what may pass waits with the reason in sight, what cannot pass ends, and nothing hangs for ever."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from sqlalchemy import text

from app.domain.audit import AuditAction
from app.domain.deployment import Progress, Stage, State
from app.domain.errors import BadConfiguration, RepositoryUnavailable, SealBroken, TargetFailed, UnknownCommit
from app.integrations.targets.protocol import Report
from app.pipeline.evidence import gather
from app.pipeline.line import identify
from app.pipeline.line.dispatch import dispatch
from app.pipeline.line.settle import settle
from tests.fakes import FakeTarget
from tests.pipeline.conftest import VERBS, Line, environment, sha

RUNNING = Report(Progress.RUNNING)
UTC_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"


def raising(fault: Exception) -> Callable[..., NoReturn]:
    def act(*_: Any) -> NoReturn:
        raise fault

    return act


def test_what_may_pass_says_why_it_waits_until_it_goes_on(line: Line) -> None:
    deployment = line.push("one")
    line.repositories.fault = RepositoryUnavailable("git fetch: no route to host")
    with pytest.raises(RepositoryUnavailable):
        line.run(deployment)
    waiting = line.now(deployment)
    assert waiting.state is State.PLANNED
    assert re.fullmatch(f"git fetch: no route to host; so since {UTC_TIME}, tried again until {UTC_TIME}", waiting.reason or "")
    line.repositories.fault = None
    assert line.run(deployment).reason is None


def test_one_that_waits_for_the_environment_says_for_whom(line: Line) -> None:
    first, second = line.push("one"), line.push("two")
    line.target.answers = [RUNNING]
    line.target.polls = [RUNNING]
    line.run(first)
    assert line.now(first).reason == "the target is still working"
    assert line.run(second).reason == f"waiting for {first.id}"


def test_a_commit_that_cannot_be_found_at_dispatch_ends_and_brings_nothing_back(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.run(line.push("good"))
    holder, lost = line.push("holder"), line.push("lost")
    line.target.answers = [RUNNING]
    line.target.polls = [RUNNING] * 3
    line.run(holder)
    line.run(lost, last=Stage.INJECT_TOKEN)
    monkeypatch.setattr(line.repositories, "head", raising(UnknownCommit("no such ref")))
    assert line.run(lost).state is State.GRANTED  # the holder's turn, and no reason to ask git yet
    line.target.polls = [Report(Progress.SUCCEEDED)]
    line.run(holder)
    ended = line.now(lost)
    assert (ended.state, ended.reason) == (State.FAILED, "no such ref")
    assert [order.sha for order in line.target.started] == [sha("good"), sha("holder")]
    with line.services.store.unit() as unit:
        assert unit.slots.lock("production") is None


def test_what_nobody_expected_is_tried_again_and_ends_after_hours(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = line.push("one")
    monkeypatch.setattr(line.repositories, "authors", raising(KeyError("hunter2")))
    with pytest.raises(KeyError):
        line.run(deployment)
    assert (line.now(deployment).reason or "").startswith("validate_identity met an unexpected KeyError; the log tells more; so ")
    line.clock.move(line.services.limits.give_up_after + 1)
    ended = line.run(deployment)
    assert ended.state is State.FAILED and "hunter2" not in (ended.reason or "")


def test_invariant_15_a_passing_fault_ends_after_its_time_with_its_last_reason_and_a_notice(line: Line) -> None:
    deployment = line.push("one")
    line.repositories.fault = RepositoryUnavailable("git fetch: no route to host")
    for _ in range(3):
        with pytest.raises(RepositoryUnavailable):
            line.run(deployment)
        line.clock.move(line.services.limits.keep_trying / 4)
    line.repositories.fault = RepositoryUnavailable("git fetch: access denied")
    line.clock.move(line.services.limits.keep_trying / 4)
    ended = line.run(deployment)
    assert ended.state is State.FAILED
    assert (ended.reason or "").startswith("git fetch: access denied; given up: it has been so since ")
    assert line.actions(deployment)[-1] == AuditAction.DEPLOYMENT_FAILED


def test_invariant_15_time_in_which_it_was_not_tried_does_not_count(line: Line) -> None:
    """The gate or its database was away for days. The first fault after that is no reason to end everything that waits."""
    deployment = line.push("one")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE deployments SET updated_at = now() - interval '10 days'"))
    line.repositories.fault = RepositoryUnavailable("git fetch: no route to host")
    with pytest.raises(RepositoryUnavailable):
        line.run(deployment)
    assert line.now(deployment).state is State.PLANNED


def test_invariant_15_a_held_one_whose_repository_is_away_now_and_then_keeps_its_time(line: Line) -> None:
    deployment = line.push("one")
    with line.services.store.unit() as unit:
        since = unit.deployments.note_fault(deployment.id)
        unit.deployments.defer(deployment.id, line.clock.now(), "it was looked at, without a fault")
        assert since is not None and (unit.deployments.note_fault(deployment.id) or since) > since


def test_invariant_15_a_target_that_works_for_ever_gives_the_environment_back(line: Line) -> None:
    """The runner of a command was stopped (SIGSTOP), say: it holds its lock, and never ends."""
    deployment = line.push("one")
    line.target.answers = [RUNNING]
    line.target.polls = [RUNNING] * 3
    assert line.run(deployment).state is State.DISPATCHED
    line.clock.move(line.services.limits.give_up_after + 1)
    ended = line.run(deployment)
    assert ended.state is State.FAILED
    assert (ended.reason or "").startswith("box: has been working since ")
    assert line.run(line.push("two")).state is State.SUCCEEDED


@pytest.mark.parametrize("stage", [Stage.VALIDATE_IDENTITY, Stage.CHECK_PERMISSION, Stage.INJECT_TOKEN, Stage.DISPATCH_DEPLOY])
def test_invariant_15_rules_that_cannot_be_loaded_are_said_and_waited_out(
    line: Line, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    """The faulty file was there when the process started, so there is no version to go on with."""
    deployment = line.push("one")
    for earlier in list(Stage)[: list(Stage).index(stage)]:
        VERBS[earlier](line.services, deployment.id)
    broken = replace(line.services, guard=raising(BadConfiguration(["tidegate.toml:1: no"])))
    with pytest.raises(BadConfiguration):
        VERBS[stage](broken, deployment.id)
    assert "tidegate.toml:1: no; so since" in (line.now(deployment).reason or "")
    assert line.run(deployment).state is State.SUCCEEDED


def test_invariant_15_a_result_that_cannot_be_written_ends_too(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is in the writing, after the look outside: it has a reason in sight and an end, as any other."""
    deployment = line.push("one")
    original = gather.evidence_of
    monkeypatch.setattr(identify, "evidence_of", lambda *a: {**original(*a), "authors": [object()]})
    with pytest.raises(TypeError):
        line.run(deployment)
    assert "unexpected TypeError" in (line.now(deployment).reason or "")
    line.clock.move(line.services.limits.give_up_after + 1)
    assert line.run(deployment).state is State.FAILED


def test_a_poll_that_raises_does_not_keep_the_environment_for_ever(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = line.push("one")
    line.target.answers = [RUNNING]
    monkeypatch.setattr(line.target, "poll", raising(ValueError("bad json")))
    with pytest.raises(ValueError, match="bad json"):
        line.run(deployment)
    line.clock.move(line.services.limits.give_up_after + 1)
    settle(line.services, deployment.id)
    assert line.now(deployment).state is State.FAILED
    assert line.run(line.push("two")).state is State.SUCCEEDED


def test_a_faulty_configuration_ends_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = line.push("one")
    line.run(deployment, last=Stage.INJECT_TOKEN)
    monkeypatch.setattr(line.policy, "decide", raising(BadConfiguration(["tidegate.toml:1: no"])))
    with pytest.raises(BadConfiguration):
        dispatch(line.services, deployment.id)
    monkeypatch.undo()
    assert line.run(deployment).state is State.SUCCEEDED


def test_a_token_that_cannot_be_minted_waits_for_what_runs_and_then_fails(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.targets["crate"] = FakeTarget()
    line.environments = [environment(targets=("box", "crate"))]
    deployment = line.push("one")
    line.target.answers = [RUNNING]
    line.target.polls = [RUNNING, Report(Progress.SUCCEEDED)]
    line.target.on_start = lambda: monkeypatch.setattr(line.services.tokens, "mint", raising(SealBroken("wrong master key")))
    assert line.run(deployment).state is State.DISPATCHED
    ended = line.run(deployment)
    assert (ended.state, ended.reason) == (State.FAILED, "crate: wrong master key")


def test_giving_up_says_what_went_wrong_last(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = line.push("one")
    monkeypatch.setattr(line.services.tokens, "mint", raising(BadConfiguration(["TIDEGATE_MASTER_KEY: is not set"])))
    for _ in range(line.services.limits.dispatch_attempts + 1):
        line.run(deployment)
    ended = line.now(deployment)
    assert ended.state is State.FAILED
    assert "gave up after 5 attempts: TIDEGATE_MASTER_KEY: is not set" in (ended.reason or "")


@pytest.mark.parametrize("said", ["ends\x00here", "\x1b]0;title\x07\x1b[2J", "one\ntwo", "\u202egnp.exe", "\ud800"])
def test_whatever_a_target_says_can_be_kept_and_shown(line: Line, said: str) -> None:
    line.target.answers = [TargetFailed(said)]
    ended = line.run(line.push("one"))
    assert ended.state is State.FAILED and (ended.reason or "").isprintable()


def test_a_mirror_that_was_lost_is_fetched_before_the_export(line: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    line.run(line.push("one"))
    fetched: list[str] = []
    monkeypatch.setattr(line.repositories, "fetch", lambda _key, _ref, commit: fetched.append(commit) or commit)
    line.target.started[0].export(tmp_path)
    assert fetched == [sha("one")]
    assert (tmp_path / "sha").read_text() == sha("one")

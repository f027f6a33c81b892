"""The straight line, step by step, on a real Postgres: what ends how, and what must never happen."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from app.domain.deployment import Deployment, Progress, Stage, State, Trigger, Wake
from app.domain.errors import Forbidden, RepositoryUnavailable, StaleDispatch, TargetFailed, TargetUnavailable, UnknownCommit
from app.domain.event import Account, Event, EventKind
from app.integrations.repositories.protocol import COMMITS_LISTED
from app.integrations.targets.protocol import Report
from app.pipeline.intake.replay import replay
from app.pipeline.intake.sweep import sweep
from app.pipeline.line.dispatch import dispatch
from app.pipeline.line.rollback import rollback
from app.pipeline.line.settle import settle
from tests.fakes import CANARY, person
from tests.pipeline.conftest import ALICE, BOB, CHARLIE, REPOSITORY, WITH_HEALTH, Line, environment, sha

OPERATOR = Account("os", "alice", "alice")


def test_an_allowed_push_becomes_a_release_with_a_complete_trail(line: Line) -> None:
    deployment = line.run(line.push("one"))
    assert deployment.state is State.SUCCEEDED
    assert deployment.principal == "alice"
    assert line.target.started[0].sha == sha("one")
    assert line.actions(deployment) == [
        "deployment:planned",
        "deployment:identified",
        "deployment:permitted",
        "deployment:granted",
        "deployment:dispatching",
        "deployment:dispatched",
        "deployment:succeeded",
    ]


def test_invariant_7_an_account_linked_to_nobody_is_denied_with_what_would_change_that(line: Line) -> None:
    deployment = line.run(line.push("one", actor=CHARLIE))
    assert deployment.state is State.DENIED
    assert "gogs:4" in (deployment.reason or "") and "tidegate access link gogs:4" in (deployment.reason or "")
    assert line.target.started == []


def test_a_person_without_permission_is_denied(line: Line) -> None:
    assert line.run(line.push("one", actor=BOB)).state is State.DENIED
    assert line.target.started == []


def test_invariant_7_an_inactive_person_is_denied(line: Line) -> None:
    line.identity.people["gogs:2"] = person("alice", "gogs:2", active=False)
    assert line.run(line.push("one")).state is State.DENIED


def test_invariant_2_one_act_makes_one_deployment_under_whatever_delivery_id(line: Line) -> None:
    line.push("one")
    again = Event(EventKind.PUSH, REPOSITORY, "refs/heads/main", sha("zero"), sha("one"), ALICE)
    assert line.deliver(again) == []
    with line.engine.connect() as connection:
        reasons = connection.execute(text("SELECT reason FROM deliveries WHERE state = 'ignored'")).scalars().all()
    assert len(reasons) == 1 and "already planned" in reasons[0]


def test_invariant_3_a_stage_that_ran_is_a_no_op(line: Line) -> None:
    deployment = line.push("one")
    line.run(deployment)
    before = line.actions(deployment)
    for _ in range(2):
        line.run(deployment)
    assert line.actions(deployment) == before
    assert len(line.target.started) == 1


def test_invariant_3_stages_out_of_turn_do_nothing(line: Line) -> None:
    deployment = line.push("one")
    assert dispatch(line.services, deployment.id).goes_on is False
    assert line.now(deployment).state is State.PLANNED


def test_invariant_4_a_crash_after_the_start_asks_the_target_and_does_not_start_again(line: Line) -> None:
    deployment = line.push("one")
    line.run(deployment, last=Stage.INJECT_TOKEN)

    class Killed(BaseException):
        """As a signal would end it."""

    def die() -> None:
        raise Killed

    line.target.on_start = die
    with pytest.raises(Killed):
        dispatch(line.services, deployment.id)
    assert line.now(deployment).state is State.DISPATCHING
    line.target.on_start = None
    line.target.polls = [Report(Progress.SUCCEEDED, "was done")]
    assert dispatch(line.services, deployment.id).outcome == "another worker is starting it"  # the lease still runs
    _expire_leases(line)
    assert line.run(deployment).state is State.SUCCEEDED
    assert line.target.started == []


def test_invariant_4_where_the_target_cannot_tell_it_is_started_again_under_the_same_key(line: Line) -> None:
    deployment = line.push("one")
    line.target.answers = [TargetUnavailable()]
    assert line.run(deployment).state is State.DISPATCHING
    assert line.run(deployment).state is State.SUCCEEDED
    order = line.target.started[0]
    assert order.dispatch.attempts == 2 and order.dispatch.fence == 2


def test_invariant_4_a_lost_lease_writes_nothing(line: Line) -> None:
    deployment = line.push("one")

    def steal() -> None:
        line.target.on_start = None
        _expire_leases(line)
        with line.services.store.unit() as unit:
            dispatch_id = unit.dispatches.of(deployment.id)[0].dispatch.id
            assert unit.dispatches.claim(dispatch_id, "another", 60) is not None

    line.target.on_start = steal
    line.run(deployment)
    assert line.now(deployment).state is State.DISPATCHING


def test_a_target_that_stays_away_fails_the_deployment_after_its_attempts(line: Line) -> None:
    deployment = line.push("one")
    line.target.answers = [TargetUnavailable("away") for _ in range(20)]
    for _ in range(line.services.limits.dispatch_attempts + 1):
        line.run(deployment)
    assert line.now(deployment).state is State.FAILED
    assert line.target.started == []


def test_invariant_5_a_commit_that_left_its_ref_is_not_dispatched(line: Line) -> None:
    deployment = line.push("one")
    line.run(deployment, last=Stage.INJECT_TOKEN)
    line.repositories.heads["refs/heads/main"] = [sha("other")]
    ended = line.run(deployment)
    assert ended.state is State.SUPERSEDED and "no longer contains" in (ended.reason or "")


def test_invariant_5_a_late_delivery_does_not_take_the_environment_back(line: Line) -> None:
    line.repositories.heads["refs/heads/main"] = [sha("old"), sha("new")]
    line.run(line.push("new", known=False))
    late = line.run(line.push("old", known=False))
    assert late.state is State.SUPERSEDED and "already contains" in (late.reason or "")


def test_a_rewound_branch_deploys_its_new_head(line: Line) -> None:
    line.repositories.heads["refs/heads/main"] = [sha("old"), sha("new")]
    line.run(line.push("new", known=False))
    line.repositories.heads = {"refs/heads/main": [sha("old")], "kept": [sha("old"), sha("new")]}
    assert line.run(line.push("old", known=False)).state is State.SUCCEEDED


def test_invariant_6_one_at_a_time_and_a_newer_waiting_one_supersedes_an_older(line: Line) -> None:
    first, second, third = line.push("one"), line.push("two"), line.push("three")
    line.target.answers = [Report(Progress.RUNNING)]
    line.target.polls = [Report(Progress.RUNNING), Report(Progress.SUCCEEDED)]
    assert line.run(first).state is State.DISPATCHED
    assert line.run(second).state is State.GRANTED
    assert line.run(third).state is State.GRANTED
    assert line.now(second).state is State.SUPERSEDED
    assert len(line.target.started) == 1
    line.run(first)
    assert line.now(first).state is State.SUCCEEDED
    assert line.now(third).state is State.SUCCEEDED  # woken by the end of the first


def test_the_end_of_a_dispatch_wakes_the_newest_that_waits_and_nobody_else(line: Line) -> None:
    first = line.push("one")
    line.run(first, last=Stage.DISPATCH_DEPLOY)
    waiting = [line.push(word) for word in ("two", "three", "four")]
    for each in waiting:
        line.run(each, last=Stage.INJECT_TOKEN)
    dispatched = dispatch(line.services, waiting[0].id)
    assert (dispatched.outcome, dispatched.wakes) == ("superseded", ())  # the slot is not free: nobody could use a wake
    ended = settle(line.services, first.id)
    newest = waiting[-1]
    assert ended.wakes == (Wake(newest.id, newest.correlation_id, "production", Stage.DISPATCH_DEPLOY),)
    line.run(newest.id)
    assert [line.now(each).state for each in waiting] == [State.SUPERSEDED, State.SUPERSEDED, State.SUCCEEDED]


def test_what_the_order_refuses_asks_neither_git_nor_policy(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = line.push("one"), line.push("two"), line.push("three")
    line.run(first, last=Stage.DISPATCH_DEPLOY)
    for each in (second, third):
        line.run(each, last=Stage.INJECT_TOKEN)
    monkeypatch.setattr(line.repositories, "head", pytest.fail)
    monkeypatch.setattr(line.policy, "decide", pytest.fail)
    assert dispatch(line.services, second.id).outcome == "superseded"
    assert dispatch(line.services, third.id).outcome == f"waiting for {first.id}"


def test_what_holds_a_slot_is_woken_again_soon_however_long_it_has_stood(line: Line) -> None:
    """All others of its environment wait for it; what does not hold one is woken the later the longer it stands."""
    holder, waiting = line.push("one"), line.push("two")
    line.target.answers = [Report(Progress.RUNNING)]
    line.run(holder, last=Stage.DISPATCH_DEPLOY)
    line.run(waiting, last=Stage.INJECT_TOKEN)
    line.clock.move(120)
    sweep(line.services)
    line.clock.move(line.services.limits.sweep_after + 1)
    line.wakes.runs.clear()
    sweep(line.services)
    assert line.wakes.runs == [Wake(holder.id, holder.correlation_id, "production", Stage.CONFIRM_DEPLOY)]


def test_invariant_6_a_newer_one_that_is_denied_supersedes_nothing(line: Line) -> None:
    first, second = line.push("one"), line.push("two", actor=CHARLIE)
    assert line.run(second).state is State.DENIED
    assert line.run(first).state is State.SUCCEEDED


def test_invariant_6_an_older_one_that_comes_last_is_superseded(line: Line) -> None:
    first, second = line.push("one"), line.push("two")
    assert line.run(second).state is State.SUCCEEDED
    assert line.run(first).state is State.SUPERSEDED


def test_invariant_8_rights_lost_between_permission_and_dispatch_deny(line: Line) -> None:
    deployment = line.push("one")
    line.run(deployment, last=Stage.INJECT_TOKEN)
    line.identity.people["gogs:2"] = person("alice", "gogs:2", active=False)
    ended = line.run(deployment)
    assert ended.state is State.DENIED and "not active" in (ended.reason or "")


def test_invariant_9_the_token_is_in_no_table(line: Line) -> None:
    line.run(line.push("one"))
    with line.engine.connect() as connection:
        for table in ("deliveries", "deployments", "stages", "dispatches", "audit_entries", "versions"):
            rows = connection.execute(text(f"SELECT t::text FROM {table} t")).scalars().all()
            assert not any(CANARY in row for row in rows)


def test_a_failed_health_check_brings_the_last_good_release_back_once(line: Line) -> None:
    line.environments = [environment(health=WITH_HEALTH)]
    line.run(line.push("good"))
    bad = line.push("bad")
    line.health.answers = [False, False, True]
    assert line.run(bad).state is State.DISPATCHED
    line.clock.move(10)
    assert line.run(bad).state is State.FAILED
    assert [o.sha for o in line.target.started] == [sha("good"), sha("bad"), sha("good")]
    assert _newest(line).trigger is Trigger.FAILURE and _newest(line).state is State.SUCCEEDED


def test_a_redeployment_that_fails_is_not_followed_by_another(line: Line) -> None:
    line.run(line.push("good"))
    line.target.answers = [TargetFailed("no"), TargetFailed("no again")]
    line.run(line.push("bad"))
    with line.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM deployments")).scalar_one() == 3


def test_a_push_received_during_a_failure_deploys_after_the_redeployment(line: Line) -> None:
    line.run(line.push("good"))
    bad, fix = line.push("bad"), line.push("fix")
    line.run(fix, last=Stage.CHECK_PERMISSION)
    line.target.answers = [StaleDispatch("no")]
    line.run(bad)
    assert line.run(fix).state is State.SUCCEEDED
    assert [o.sha for o in line.target.started] == [sha("good"), sha("good"), sha("fix")]


def test_a_first_deployment_that_fails_has_nothing_to_go_back_to(line: Line) -> None:
    line.target.answers = [TargetFailed("no")]
    assert line.run(line.push("one")).state is State.FAILED
    assert line.run(line.push("two")).state is State.SUCCEEDED  # the slot is free again


def test_an_operators_rollback_is_a_deployment_like_any_other(line: Line) -> None:
    line.identity.people["os:alice"] = person("alice", "os:alice")
    line.run(line.push("one"))
    line.run(line.push("two"))
    back = line.run(rollback(line.services, "production", None, OPERATOR))
    assert back.state is State.SUCCEEDED and back.sha == sha("one") and back.principal == "alice"
    assert line.policy.asked[-1].action.value == "rollback"


def test_a_rollback_by_an_unlinked_operator_is_denied(line: Line) -> None:
    line.run(line.push("one"))
    line.run(line.push("two"))
    with pytest.raises(Forbidden, match="is not linked to a person"):
        rollback(line.services, "production", sha("one")[:7], OPERATOR)
    assert len(line.target.started) == 2


def test_a_replay_is_the_operators_own_act(line: Line) -> None:
    first = line.run(line.push("one"))
    assert first.delivery_id is not None
    again = replay(line.services, first.delivery_id, BOB)[0]
    assert again.trigger is Trigger.REPLAY
    assert line.run(again).state is State.DENIED  # bob may not, though alice's push could


def test_a_tag_is_pinned_to_its_commit_when_planned_and_waits_for_the_forge(line: Line) -> None:
    line.environments = [environment(deploys=("tag:v*",))]
    tag = Event(EventKind.TAG, REPOSITORY, "refs/tags/v1", None, None, ALICE)
    line.repositories.heads["refs/tags/v1"] = [sha("tagged")]
    line.repositories.fault = RepositoryUnavailable()
    assert line.deliver(tag) == []
    line.repositories.fault = None
    line.clock.move(60)
    (deployment,) = line.deliver(None, reason="x")
    assert deployment.sha == sha("tagged")


def test_a_tag_that_does_not_exist_is_ignored_with_the_reason(line: Line) -> None:
    line.environments = [environment(deploys=("tag:v*",))]
    line.repositories.fault = UnknownCommit()
    assert line.deliver(Event(EventKind.TAG, REPOSITORY, "refs/tags/v9", None, sha("gone"), ALICE)) == []
    with line.engine.connect() as connection:
        assert "resolved" in connection.execute(text("SELECT reason FROM deliveries")).scalar_one()


def test_a_repository_that_is_away_delays_and_loses_nothing(line: Line) -> None:
    deployment = line.push("one")
    line.repositories.fault = RepositoryUnavailable()
    with pytest.raises(RepositoryUnavailable):
        line.run(deployment)
    line.repositories.fault = None
    line.clock.move(60)
    assert sweep(line.services) == 1
    wake = Wake(deployment.id, deployment.correlation_id, "production", Stage.VALIDATE_IDENTITY)
    assert line.wakes.runs[-1] == wake
    assert line.run(deployment).state is State.SUCCEEDED


def test_invariant_7_an_environment_that_left_the_configuration_denies(line: Line) -> None:
    deployment = line.push("one")
    line.environments = []
    assert line.run(deployment).state is State.DENIED


def test_invariant_11_what_leads_to_nothing_says_why(line: Line) -> None:
    other = Event(EventKind.PUSH, REPOSITORY, "refs/heads/feature", None, sha("one"), ALICE)
    assert line.deliver(other) == []
    with line.engine.connect() as connection:
        assert "refs/heads/feature" in connection.execute(text("SELECT reason FROM deliveries")).scalar_one()


def test_two_workers_on_one_deployment_start_it_once(line: Line) -> None:
    deployment = line.push("one")
    line.run(deployment, last=Stage.INJECT_TOKEN)
    threads = [threading.Thread(target=dispatch, args=(line.services, deployment.id)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(line.target.started) == 1


def _expire_leases(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE dispatches SET lease_until = now() - interval '1 second'"))


def _newest(line: Line) -> Deployment:
    with line.engine.connect() as connection:
        newest = connection.execute(text("SELECT id::text FROM deployments ORDER BY id DESC LIMIT 1")).scalar_one()
    return line.now(str(newest))


def test_more_commits_than_are_read_count_as_of_unknown_authors(line: Line) -> None:
    line.repositories.emails = ["alice@example.com"] * (COMMITS_LISTED + 1)
    deployment = line.push("one")
    line.run(deployment, last=Stage.VALIDATE_IDENTITY)
    with line.services.store.unit() as unit:
        identified = unit.deployments.result(deployment.id, Stage.VALIDATE_IDENTITY)
    assert identified is not None and identified.detail["authors_known"] is False

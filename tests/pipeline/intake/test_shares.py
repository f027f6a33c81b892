"""Fair shares on a real Postgres: few of an environment are under way, nobody's flood is in another's way, none is forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, Progress, Stage, State, Wake
from app.domain.errors import RepositoryUnavailable
from app.domain.event import Account, Event, EventKind, Repository
from app.integrations.targets.protocol import Report
from app.pipeline.intake.admit import IN_LANE
from app.pipeline.intake.plan import BATCH, plan, resolve
from app.pipeline.intake.replay import replay
from app.pipeline.intake.sweep import sweep
from app.pipeline.line.rollback import rollback
from tests.fakes import person
from tests.pipeline.conftest import ALICE, CHARLIE, REPOSITORY, VERBS, Line, environment, sha

OTHER = Repository("gogs", 2, "acme/blog", "acme", 7)
WINDOW = 4


def store(line: Line, repository: Repository, words: list[str], actor: Account = ALICE) -> list[str]:
    """Put pushes to main into the inbox without planning them; return the deliveries' ids."""
    ids = []
    line.repositories.heads.setdefault("refs/heads/main", []).extend(sha(word) for word in words)
    for word in words:
        event = Event(EventKind.PUSH, repository, "refs/heads/main", None, sha(word), actor)
        new_id = line.services.ids.new()
        now = line.clock.now()
        line.services.inbox.put(Delivery(new_id, "gogs", new_id, "push", b"{}", event, None, now, DeliveryState.PENDING)).result(
            30
        )
        ids.append(new_id)
    return ids


def plan_all(line: Line) -> list[Wake]:
    """Plan until nothing is left; return who may get under way."""
    wakes: list[Wake] = []
    planned = plan(line.services)
    wakes += planned.wakes
    while planned.has_more:
        planned = plan(line.services, planned.after)
        wakes += planned.wakes
    return wakes


def under_way(line: Line) -> int:
    with line.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM deployments WHERE due_at IS NOT NULL")).scalar_one())


def states(line: Line) -> dict[str, int]:
    with line.engine.connect() as connection:
        rows = connection.execute(text("SELECT state, count(*) FROM deployments GROUP BY state")).all()
    return {row[0]: row[1] for row in rows}


def positions(line: Line, wakes: list[Wake]) -> list[int]:
    return [line.now(wake.deployment_id).position for wake in wakes]


def work(line: Line, wakes: list[Wake]) -> int:
    """Do what workers do with these messages, first come first served; return how many there were at most."""
    queue, longest = list(wakes), 0
    while queue:
        longest = max(longest, len(queue))
        wake = queue.pop(0)
        outcome = VERBS[wake.stage](line.services, wake.deployment_id)
        stages = list(Stage)
        if outcome.goes_on:
            queue.append(replace(wake, stage=stages[stages.index(wake.stage) + 1]))
        queue.extend([*outcome.wakes, *line.wakes.runs])
        line.wakes.runs.clear()
    return longest


def test_a_flood_has_only_a_window_of_messages_and_ends_whole_without_the_sweeper(line: Line) -> None:
    store(line, REPOSITORY, [f"push {n}" for n in range(60)])
    wakes = plan_all(line)
    assert len(wakes) == WINDOW
    assert positions(line, wakes) == sorted(positions(line, wakes))
    longest = work(line, wakes)
    assert longest <= 3 * WINDOW  # one of its own for each, and one more for those granted when the slot becomes free
    assert sum(states(line).values()) == 60
    assert set(states(line)) <= {"succeeded", "superseded"}
    assert under_way(line) == 0
    assert line.target.started[-1].sha == sha("push 59")
    started = [order.dispatch.position for order in line.target.started]
    assert started == sorted(started)


def test_the_oldest_are_admitted_first_and_only_as_many_as_leave(line: Line) -> None:
    store(line, REPOSITORY, [f"push {n}" for n in range(8)], actor=CHARLIE)
    wakes = plan_all(line)
    outcome = VERBS[Stage.VALIDATE_IDENTITY](line.services, wakes[0].deployment_id)
    assert line.now(wakes[0].deployment_id).state is State.DENIED
    (following,) = outcome.wakes
    assert positions(line, [following]) == [positions(line, wakes)[-1] + 1]
    assert under_way(line) == WINDOW


def test_an_environment_that_deploys_for_long_lets_the_newest_grant_supersede_all_older_ones(line: Line) -> None:
    line.target.answers = [Report(Progress.RUNNING)]
    line.target.polls = [Report(Progress.RUNNING)] * 50
    store(line, REPOSITORY, [f"push {n}" for n in range(20)])
    work(line, plan_all(line))
    assert states(line) == {"dispatched": 1, "granted": 1, "superseded": 18}
    with line.engine.connect() as connection:
        granted = connection.execute(text("SELECT sha FROM deployments WHERE state = 'granted'")).scalar_one()
    assert granted == sha("push 19")


def test_one_environments_flood_takes_no_place_of_another(line: Line) -> None:
    line.environments.append(environment("blog", repository="gogs:acme/blog"))
    store(line, REPOSITORY, [f"push {n}" for n in range(BATCH * 3)])
    plan_all(line)
    store(line, OTHER, ["lonely"])
    (wake,) = plan_all(line)
    assert wake.environment == "blog"


def test_a_lone_delivery_is_planned_in_the_next_round_however_many_wait_before_it(line: Line) -> None:
    line.environments.append(environment("blog", repository="gogs:acme/blog"))
    store(line, REPOSITORY, [f"push {n}" for n in range(BATCH * 4)])
    store(line, OTHER, ["lonely"])
    planned = plan(line.services)
    assert planned.has_more
    assert [d.environment for d in planned.deployments].count("blog") == 1
    assert len(planned.deployments) == BATCH + 2  # the oldest, and the next of each repository


def test_the_rounds_go_on_where_the_last_one_ended_so_that_every_repository_has_its_turn(line: Line) -> None:
    store(line, REPOSITORY, [f"push {n}" for n in range(BATCH * 4)])
    for n in range(BATCH + 10):
        store(line, Repository("gogs", 100 + n, f"acme/r{n}", "acme", 7), ["x"])
    first = plan(line.services)
    assert first.after != ""
    plan(line.services, first.after)
    with line.engine.connect() as connection:
        query = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND event #>> '{repository,id}' <> '1'"
        assert connection.execute(text(query)).scalar_one() == 0


def test_bodies_are_not_read_to_plan(line: Line) -> None:
    store(line, REPOSITORY, ["one"])
    with line.services.store.unit() as unit:
        (delivery,) = unit.deliveries.claim_pending(line.clock.now(), 1)
    assert delivery.body == b""


def test_a_tag_that_one_planner_resolves_is_left_alone_by_the_others(line: Line) -> None:
    line.environments = [environment(deploys=("tag:v*",))]
    line.repositories.heads["refs/tags/v1"] = [sha("tagged")]
    seen: list[int] = []
    fetch = line.repositories.fetch

    def resolve(repository: str, ref: str, object_id: str | None) -> str:
        seen.append(len(plan(line.services).deployments))  # another planner, while this one asks the forge
        return fetch(repository, ref, object_id)

    line.repositories.fetch = resolve  # type: ignore[method-assign]
    made = line.deliver(Event(EventKind.TAG, REPOSITORY, "refs/tags/v1", None, None, ALICE))
    assert [d.sha for d in made] == [sha("tagged")]
    assert seen == [0]


def test_a_lost_wake_of_an_admitted_one_is_sent_again_by_the_sweeper(line: Line) -> None:
    store(line, REPOSITORY, [f"push {n}" for n in range(10)])
    wakes = plan_all(line)  # and they are lost
    assert sweep(line.services) == 0
    line.clock.move(11)
    assert sweep(line.services) == WINDOW
    assert sorted(positions(line, line.wakes.runs)) == positions(line, wakes)


def test_a_place_that_a_race_left_empty_is_filled_by_the_next_sweep_whatever_its_patience(line: Line) -> None:
    store(line, REPOSITORY, [f"push {n}" for n in range(10)])
    line.services = replace(line.services, limits=replace(line.services.limits, sweep_after=3600))
    plan_all(line)
    with line.engine.begin() as connection:  # as if the planner had seen a full window that emptied before its commit
        connection.execute(text("UPDATE deployments SET state = 'denied', due_at = NULL WHERE due_at IS NOT NULL"))
    sweep(line.services)
    assert len(line.wakes.runs) == WINDOW
    assert under_way(line) == WINDOW


def test_what_stands_still_for_long_keeps_nobody_else_out(line: Line) -> None:
    """Without a fault: a stage is slow, or its message waits. After a passing fault others need not wait so long."""
    store(line, REPOSITORY, [f"push {n}" for n in range(10)])
    plan_all(line)
    sweep(line.services)
    assert under_way(line) == WINDOW
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE deployments SET updated_at = now() - interval '6 minutes' WHERE due_at IS NOT NULL"))
    sweep(line.services)
    assert under_way(line) == 2 * WINDOW


def test_an_operators_rollback_and_replay_do_not_stand_in_line(line: Line) -> None:
    operator = Account("os", "alice", "alice")
    line.identity.people["os:alice"] = person("alice", "os:alice")
    first = line.run(line.push("one"))
    line.run(line.push("two"))
    store(line, REPOSITORY, [f"push {n}" for n in range(20)])
    plan_all(line)
    back = rollback(line.services, "production", None, operator)
    assert line.wakes.runs == [Wake(back.id, back.correlation_id, "production", Stage.VALIDATE_IDENTITY)]
    assert line.run(back).state is State.SUCCEEDED
    assert first.delivery_id is not None
    (again,) = replay(line.services, first.delivery_id, operator)
    assert line.wakes.runs[-1].deployment_id == again.id


def test_invariant_6_an_older_one_behind_the_window_is_superseded_when_its_turn_comes(line: Line) -> None:
    older = [line.now(d) for d in planned_ids(line, 10)]
    newest = max(older, key=lambda d: d.position)
    assert line.run(newest).state is State.SUCCEEDED
    for deployment in sorted(older, key=lambda d: d.position)[:-1]:
        line.run(deployment)
        assert line.now(deployment).state is State.SUPERSEDED
    assert len(line.target.started) == 1


def test_invariant_6_denied_newer_ones_supersede_nothing_in_a_full_lane(line: Line) -> None:
    store(line, REPOSITORY, ["allowed"])
    store(line, REPOSITORY, [f"denied {n}" for n in range(12)], actor=CHARLIE)
    work(line, plan_all(line))
    assert states(line) == {"succeeded": 1, "denied": 12}
    assert line.target.started[0].sha == sha("allowed")


def test_a_deployment_that_has_ended_is_never_due_again(line: Line) -> None:
    ended = line.run(line.push("one"))
    with line.services.store.unit() as unit:
        unit.deployments.defer(ended.id, line.clock.now() - timedelta(seconds=1), "too late")
    assert sweep(line.services) == 0


def planned_ids(line: Line, count: int) -> list[str]:
    store(line, REPOSITORY, [f"push {n}" for n in range(count)])
    made: list[Deployment] = []
    planned = plan(line.services)
    made += planned.deployments
    return [d.id for d in made]


def stuck(line: Line, words: list[str]) -> list[str]:
    """Plan pushes that meet a passing fault at their first stage, and run each once; return their ids."""
    line.repositories.fault = RepositoryUnavailable("git fetch: the connection timed out")
    store(line, REPOSITORY, words)
    ids = []
    wakes = plan_all(line)
    while wakes:
        for wake in wakes:
            ids.append(wake.deployment_id)
            with pytest.raises(RepositoryUnavailable):
                VERBS[wake.stage](line.services, wake.deployment_id)
        line.wakes.runs.clear()
        sweep(line.services)
        wakes = list(line.wakes.runs)
    line.repositories.fault = None
    return ids


@pytest.mark.parametrize("count", [WINDOW, 3 * WINDOW])
def test_invariant_15_stuck_ones_give_their_places_back_and_an_urgent_fix_passes_at_once(line: Line, count: int) -> None:
    before = stuck(line, [f"stuck {n}" for n in range(count)])
    assert len(before) == count
    fix = line.push("urgent fix")
    with line.engine.connect() as connection:
        assert connection.execute(text("SELECT due_at FROM deployments WHERE id = :id"), {"id": fix.id}).scalar_one() is not None
    assert line.run(fix).state is State.SUCCEEDED
    recovered = [line.run(deployment_id) for deployment_id in before]
    assert {d.state for d in recovered} == {State.SUPERSEDED}, "the fix came later and is released"


def test_invariant_15_one_that_recovers_takes_its_turn(line: Line) -> None:
    (first,) = stuck(line, ["first"])
    assert line.run(first).state is State.SUCCEEDED
    assert line.run(line.push("second")).state is State.SUCCEEDED


def test_a_fault_that_all_meet_does_not_let_a_whole_backlog_in(line: Line) -> None:
    """Each that gives its place back lets another in. If the forge is away, that would be all of them, within seconds."""
    met = stuck(line, [f"push {n}" for n in range(12 * WINDOW)])
    assert len(met) == 9 * WINDOW
    assert states(line) == {"planned": 12 * WINDOW}


def test_one_behind_a_full_window_says_what_it_waits_for(line: Line) -> None:
    store(line, REPOSITORY, [f"push {n}" for n in range(WINDOW + 1)])
    wakes = plan_all(line)
    with line.engine.connect() as connection:
        rows = connection.execute(text("SELECT id::text, reason FROM deployments WHERE reason IS NOT NULL")).all()
    assert [row[1] for row in rows] == [IN_LANE] and rows[0][0] not in {wake.deployment_id for wake in wakes}
    assert work(line, wakes) and under_way(line) == 0


def test_a_delivery_that_the_database_refuses_holds_up_no_other_and_ends(line: Line) -> None:
    """Whatever a row holds that cannot be written, it takes no other delivery of its batch along."""
    line.environments[:] = [environment(deploys=("branch:**",))]
    letters = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(1_400))  # no index row holds them, nor compressed
    for word, ref in (("one", "refs/heads/main"), ("poison", f"refs/heads/{letters}"), ("two", "refs/heads/other")):
        line.repositories.heads.setdefault(ref, []).append(sha(word))
        event, new_id, now = (
            Event(EventKind.PUSH, REPOSITORY, ref, None, sha(word), ALICE),
            line.services.ids.new(),
            line.clock.now(),
        )
        line.services.inbox.put(Delivery(new_id, "gogs", new_id, "push", b"{}", event, None, now, DeliveryState.PENDING)).result(
            30
        )
    planned = plan(line.services)
    assert planned.deployments == () and len(planned.unresolved) == 3
    first, poison, last = planned.unresolved
    assert [d.sha for d in resolve(line.services, first).deployments] == [sha("one")]
    assert [d.sha for d in resolve(line.services, last).deployments] == [sha("two")]
    for _ in range(line.services.limits.resolve_attempts):
        with pytest.raises(DBAPIError):
            resolve(line.services, poison)
    assert resolve(line.services, poison).deployments == ()
    with line.services.store.reading() as unit:
        ended = unit.deliveries.get(poison)
    assert ended is not None and (ended.reason or "").startswith("it cannot be planned: an unexpected OperationalError")

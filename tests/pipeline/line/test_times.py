"""Due times and the order of releases, when the forge is away for long or a clock is set back."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from sqlalchemy import text

from app.domain.delivery import Delivery, Receipt
from app.domain.deployment import State
from app.domain.errors import RepositoryBusy, RepositoryUnavailable
from app.domain.event import Account, Event, EventKind
from app.pipeline.intake.plan import resolve
from app.pipeline.intake.sweep import sweep
from app.pipeline.line.rollback import rollback
from tests.fakes import person
from tests.pipeline.conftest import ALICE, REPOSITORY, Line, environment, plan_and_resolve, sha

TAG = Event(EventKind.TAG, REPOSITORY, "refs/tags/v1", None, None, ALICE)


def test_a_tag_outlives_an_hour_without_the_forge(line: Line) -> None:
    line.environments = [environment(deploys=("tag:v*",))]
    line.repositories.heads["refs/tags/v1"] = [sha("tagged")]
    line.repositories.fault = RepositoryUnavailable("no route to host")
    assert line.deliver(TAG) == []
    for _ in range(12):
        line.clock.move(300)
        assert plan_and_resolve(line.services) == []
    line.repositories.fault = None
    line.clock.move(300)
    assert [d.sha for d in plan_and_resolve(line.services)] == [sha("tagged")]


def test_a_tag_that_stays_unresolved_is_ignored_in_the_end(line: Line) -> None:
    line.environments = [environment(deploys=("tag:v*",))]
    line.repositories.fault = RepositoryUnavailable("no route to host")
    line.deliver(TAG)
    for _ in range(line.services.limits.resolve_attempts):
        line.clock.move(301)
        plan_and_resolve(line.services)
    with line.engine.connect() as connection:
        state, reason = connection.execute(text("SELECT state, reason FROM deliveries")).one()
    assert (state, reason) == ("ignored", "the tag cannot be resolved: no route to host")


def test_a_clock_that_is_set_back_holds_nothing_up(line: Line) -> None:
    deployment = line.push("one")
    line.clock.move(-7200)
    assert sweep(line.services) == 1
    assert line.wakes.runs[-1].deployment_id == deployment.id


def test_a_new_delivery_is_planned_by_a_clock_that_runs_behind(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.repositories.heads["refs/heads/main"] = [sha("one")]
    line.clock.move(30)

    put = line.services.inbox.put

    def put_and_step_back(delivery: Delivery) -> Future[Receipt]:
        receipt = put(delivery)
        line.clock.move(-60)
        return receipt

    monkeypatch.setattr(line.services.inbox, "put", put_and_step_back)
    assert line.deliver(Event(EventKind.PUSH, REPOSITORY, "refs/heads/main", None, sha("one"), ALICE))


def test_the_last_release_is_the_last_in_order_whatever_the_clock_says(line: Line) -> None:
    line.identity.people["os:alice"] = person("alice", "os:alice")
    first = line.run(line.push("one"))
    line.run(line.push("two"))
    line.run(line.push("three"))
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE deployments SET updated_at = now() + interval '1 hour' WHERE id = :id"), {"id": first.id})
    back = line.run(rollback(line.services, "production", None, Account("os", "alice", "alice")))
    assert (back.state, back.sha) == (State.SUCCEEDED, sha("two"))


def test_invariant_15_a_tag_that_meets_an_unexpected_fault_ends_and_holds_up_no_other(line: Line) -> None:
    line.environments = [environment(deploys=("branch:main", "tag:v*"))]
    line.repositories.fault = KeyError("hunter2")
    with pytest.raises(KeyError):
        line.deliver(TAG)
    for _ in range(line.services.limits.resolve_attempts - 1):
        line.clock.move(301)
        with pytest.raises(KeyError):
            plan_and_resolve(line.services)
    with line.engine.connect() as connection:
        state, reason = connection.execute(text("SELECT state, reason FROM deliveries")).one()
    assert (state, reason) == ("ignored", "it cannot be planned: an unexpected KeyError; the log tells more")


def test_invariant_15_a_busy_repository_takes_none_of_a_tags_tries(line: Line) -> None:
    line.environments = [environment(deploys=("tag:v*",))]
    line.repositories.heads["refs/tags/v1"] = [sha("tagged")]
    left: list[str] = []
    line.repositories.fault = RepositoryBusy(when_free=lambda name, call: left.append(name) or call())
    assert line.deliver(TAG) == []
    with line.engine.connect() as connection:
        assert connection.execute(text("SELECT state, tries FROM deliveries")).one() == ("pending", 0)
    line.repositories.fault = None
    assert line.wakes.resolves == left
    (made,) = resolve(line.services, left[0]).deployments
    assert made.sha == sha("tagged") and resolve(line.services, left[0]).deployments == ()

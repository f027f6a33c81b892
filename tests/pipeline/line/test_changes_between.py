"""What changes between planning and dispatch: the configuration and the rights of the last moment count (invariants 7, 8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.domain.deployment import Deployment, Stage, State
from app.domain.event import Account, Event, EventKind
from app.pipeline.line.rollback import rollback
from tests.fakes import person
from tests.pipeline.conftest import ALICE, REPOSITORY, Line, environment, sha

OPERATOR = Account("os", "alice", "alice")


def granted(line: Line) -> Deployment:
    deployment = line.push("one")
    line.run(deployment, last=Stage.INJECT_TOKEN)
    return deployment


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"repository": "gogs:acme/other"}, "deploys gogs:acme/other"),
        ({"repository": "gitea:acme/shop"}, "deploys gitea:acme/shop"),
        ({"repository_id": 99}, "with the number 1"),
        ({"deploys": ("branch:release/*", "tag:v*")}, "no longer deploys refs/heads/main"),
    ],
)
def test_invariant_8_an_environment_that_was_pointed_elsewhere_takes_nothing_of_before(
    line: Line, now: dict[str, Any], reason: str
) -> None:
    deployment = granted(line)
    line.environments = [environment(**now)]
    ended = line.run(deployment)
    assert ended.state is State.DENIED and reason in (ended.reason or "")
    assert line.target.started == []


def test_a_release_of_another_repository_is_not_brought_back(line: Line) -> None:
    line.identity.people["os:alice"] = person("alice", "os:alice")
    line.run(line.push("one"))
    line.environments = [environment(repository="gogs:acme/other")]
    assert line.run(rollback(line.services, "production", sha("one"), OPERATOR)).state is State.DENIED


def test_a_renamed_repository_is_known_by_its_number(line: Line) -> None:
    line.identity.people["os:alice"] = person("alice", "os:alice")
    line.run(line.push("one"))
    line.environments = [environment(repository="gogs:acme/store", repository_id=1)]
    assert line.run(rollback(line.services, "production", sha("one"), OPERATOR)).state is State.SUCCEEDED


def test_invariant_7_policies_see_the_repository_as_the_configuration_spells_it(line: Line) -> None:
    """Forges take names in any case; a policy that forbids `acme/shop` must not lose a push that says `Acme/Shop`."""
    shouted = replace(REPOSITORY, full_name="Acme/SHOP")
    line.repositories.heads["refs/heads/main"] = [sha("one")]
    (deployment,) = line.deliver(Event(EventKind.PUSH, shouted, "refs/heads/main", None, sha("one"), ALICE))
    assert line.run(deployment).state is State.SUCCEEDED
    assert {asked.repository for asked in line.policy.asked} == {"gogs:acme/shop"}


def test_a_rollback_that_races_a_newer_push_gives_way_to_it(line: Line) -> None:
    line.identity.people["os:alice"] = person("alice", "os:alice")
    line.run(line.push("one"))
    line.run(line.push("two"))
    back = rollback(line.services, "production", None, OPERATOR)
    line.run(back, last=Stage.INJECT_TOKEN)
    push = line.push("three")
    assert line.run(push).state is State.SUCCEEDED
    ended = line.run(back)
    assert ended.state is State.SUPERSEDED
    assert line.target.started[-1].sha == sha("three")


def test_a_push_that_was_received_before_a_rollback_does_not_undo_it(line: Line) -> None:
    line.identity.people["os:alice"] = person("alice", "os:alice")
    line.run(line.push("one"))
    line.run(line.push("two"))
    late = line.push("three")
    assert line.run(rollback(line.services, "production", sha("one"), OPERATOR)).state is State.SUCCEEDED
    assert line.run(late).state is State.SUPERSEDED
    assert line.target.started[-1].sha == sha("one")

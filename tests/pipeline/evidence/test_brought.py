"""Evidence about commits on real git: nothing that is new to an environment comes along unseen."""

from __future__ import annotations

import pytest

from app.domain.deployment import Deployment, Stage, State
from app.domain.event import Event, EventKind
from app.integrations.repositories.mirror import Mirror
from tests.integrations.repositories.test_mirror import MAIN, Origin, mirror, origin
from tests.pipeline.conftest import ALICE, REPOSITORY, Line, environment

__all__ = ("mirror", "origin")  # fixtures


@pytest.fixture
def gate(line: Line, mirror: Mirror) -> Line:
    line.repositories = mirror  # type: ignore[assignment]
    line.environments[0] = environment(deploys=("branch:*", "tag:*"))
    return line


def push(line: Line, before: str | None, sha: str, ref: str = MAIN) -> Deployment:
    kind = EventKind.PUSH if ref.startswith("refs/heads/") else EventKind.TAG
    (made,) = line.deliver(Event(kind, REPOSITORY, ref, before, sha, ALICE))
    return made


def known(line: Line, made: Deployment) -> tuple[bool, list[str]]:
    result = line.result(made, Stage.VALIDATE_IDENTITY)
    assert result is not None
    return result.detail["authors_known"], result.detail["authors"]


def test_what_an_earlier_push_brought_in_vain_does_not_come_along_unseen(gate: Line, origin: Origin) -> None:
    first = origin.commit("first")
    assert gate.run(push(gate, None, first)).state is State.SUCCEEDED
    evil = origin.commit("evil", email="eve@example.com")
    gate.run(push(gate, first, evil), last=Stage.VALIDATE_IDENTITY)
    good = origin.commit("good")
    made = push(gate, evil, good)
    gate.run(made, last=Stage.VALIDATE_IDENTITY)
    assert known(gate, made) == (False, ["alice@example.com", "eve@example.com"])


def test_what_is_on_a_branch_that_has_gone_on_is_seen(gate: Line, origin: Origin) -> None:
    origin.commit("base")
    evil = origin.commit("evil", branch="feature", email="eve@example.com")
    origin.commit("more", branch="feature")
    made = push(gate, None, evil, "refs/heads/feature")
    gate.run(made, last=Stage.VALIDATE_IDENTITY)
    assert known(gate, made) == (False, ["alice@example.com", "eve@example.com"])


def test_a_tag_on_what_is_known_is_judged_by_its_commit(gate: Line, origin: Origin) -> None:
    evil = origin.commit("evil", email="eve@example.com")
    gate.run(push(gate, None, evil), last=Stage.VALIDATE_IDENTITY)
    origin.git("tag", "v1")
    origin.git("push", "-q", "origin", "v1")
    made = push(gate, None, evil, "refs/tags/v1")
    gate.run(made, last=Stage.VALIDATE_IDENTITY)
    assert known(gate, made) == (False, ["eve@example.com"])


def test_a_release_of_another_repository_is_no_base(gate: Line, origin: Origin) -> None:
    first = origin.commit("first", email="eve@example.com")
    gate.run(push(gate, None, first))
    with gate.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE deployments SET repository_id = 77, full_name = 'acme/other'")
    second = origin.commit("second")
    made = push(gate, first, second)
    gate.run(made, last=Stage.VALIDATE_IDENTITY)
    assert known(gate, made) == (False, ["alice@example.com", "eve@example.com"]), "nothing was accepted, so all history is new"


def test_of_a_new_ref_that_counts_which_the_release_does_not_hold(gate: Line, origin: Origin) -> None:
    origin.commit("old", email="gone@example.com")
    first = origin.commit("first")
    assert gate.run(push(gate, None, first)).state is State.SUCCEEDED
    second = origin.commit("second", email="eve@example.com")
    origin.git("tag", "v2")
    origin.git("push", "-q", "origin", "v2")
    made = push(gate, None, second, "refs/tags/v2")
    gate.run(made, last=Stage.VALIDATE_IDENTITY)
    assert known(gate, made) == (False, ["eve@example.com"])


def test_invariant_12_all_history_of_a_first_deployment_is_new(gate: Line, origin: Origin) -> None:
    """Also by a tag, and also if another branch that is deployed holds it already."""
    old = origin.commit("old", email="gone@example.com")
    first = origin.commit("first")
    gate.repositories.fetch("gogs:acme/shop", MAIN, first)
    origin.git("tag", "v1")
    origin.git("push", "-q", "origin", "v1")
    made = push(gate, None, first, "refs/tags/v1")
    gate.run(made, last=Stage.VALIDATE_IDENTITY)
    assert known(gate, made) == (False, ["alice@example.com", "gone@example.com"])
    made = push(gate, old, first)
    gate.run(made, last=Stage.VALIDATE_IDENTITY)
    assert known(gate, made) == (False, ["alice@example.com", "gone@example.com"]), "what the ref held before was not released"

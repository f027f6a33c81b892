"""Checked pushes: each is stored once, the bases come back as they were, and releases are told apart from other deployments."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Engine

from app.domain.deployment import State
from app.domain.push import CheckedPush
from app.store.unit import SqlStore
from tests.answers.values import DEPLOYMENT

NOW = datetime(2026, 9, 1, tzinfo=UTC)
PUSH = CheckedPush("gogs", 5, "refs/heads/main", "a" * 40, str(uuid4()), NOW, "b" * 40, "gogs:71", ("b" * 40, "c" * 40))


def test_a_push_comes_back_with_its_account_and_bases(engine: Engine) -> None:
    others = [replace(PUSH, sha="d" * 40, bases=()), replace(PUSH, sha="e" * 40, bases=None)]
    with SqlStore(engine).unit() as unit:
        unit.pushes.keep([PUSH, *others])
        found = unit.pushes.of_commits("gogs", 5, [push.sha for push in (PUSH, *others)])
    assert sorted(found, key=lambda push: push.sha) == [PUSH, *others]


def test_the_first_decision_stays_and_another_account_is_another_push(engine: Engine) -> None:
    later = replace(PUSH, decision_id=str(uuid4()), bases=None)
    with SqlStore(engine).unit() as unit:
        unit.pushes.keep([PUSH])
        unit.pushes.keep([later, replace(later, account="gogs:72")])
        found = unit.pushes.of_commits("gogs", 5, [PUSH.sha])
    assert {push.account: push.bases for push in found} == {"gogs:71": PUSH.bases, "gogs:72": None}


def test_another_repository_and_forge_has_its_own(engine: Engine) -> None:
    with SqlStore(engine).unit() as unit:
        unit.pushes.keep([PUSH])
        assert unit.pushes.of_commits("gogs", 6, [PUSH.sha]) == unit.pushes.of_commits("other", 5, [PUSH.sha]) == []


def test_only_what_succeeded_was_released(engine: Engine) -> None:
    repository = replace(DEPLOYMENT.repository, id=5)
    with SqlStore(engine).unit() as unit:
        for sha, state in (("a", State.SUCCEEDED), ("b", State.DENIED), ("c", State.FAILED)):
            deployment = replace(DEPLOYMENT, sha=sha * 40, state=state, repository=repository)
            unit.deployments.add(
                replace(deployment, id=str(uuid4()), correlation_id=str(uuid4()), delivery_id=None, release_id=None), None
            )
        assert unit.pushes.released("gogs", 5, [sha * 40 for sha in "abcd"]) == {"a" * 40}
        assert unit.pushes.released("gogs", 6, ["a" * 40]) == set()

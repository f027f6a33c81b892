"""Going back is looked at like any other deployment, and works without the forge; what nobody looked at is not called clean."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from app.domain.deployment import Deployment, Progress, State, Trigger
from app.domain.errors import NotFound
from app.domain.event import Account
from app.integrations.repositories.mirror import Mirror
from app.integrations.targets.protocol import Report
from app.pipeline.line.rollback import rollback
from app.store.reads import Reads
from tests.integrations.repositories.test_mirror import KEY as REPOSITORY
from tests.integrations.repositories.test_mirror import Origin
from tests.pipeline.conftest import Line
from tests.pipeline.evidence.cast import found, push, released

OPERATOR = Account("os", "alice", "alice")
KEY = "AKIA" + "QYLPMN5HFIQR7XYA"


@pytest.fixture
def shop(gate: Line) -> Line:
    gate.identity.people["os:alice"] = gate.identity.people["gogs:2"]
    return gate


def by_override(line: Line, release: Deployment) -> Deployment:
    """Have a release come by an override, as a person's own act against the policies."""
    with line.engine.begin() as connection:
        text = "UPDATE deployments SET trigger = 'override', purpose = 'the shop is down' WHERE id = %s"
        connection.exec_driver_sql(text, (release.id,))
    return release


def with_secret(line: Line, origin: Origin) -> tuple[Deployment, Deployment]:
    """Release a commit that holds a key, and one that no longer does."""
    (origin.work / "config.py").write_text(f'aws_access_key_id = "{KEY}"\n')
    leak = released(line, push(line, None, origin.commit("leak")))
    (origin.work / "config.py").unlink()
    return leak, released(line, push(line, leak.sha, origin.commit("clean")))


def kinds(evidence: dict[str, list[dict[str, str]]]) -> list[str]:
    return [finding["kind"] for finding in evidence["findings"]]


def test_a_rollback_is_inspected_against_the_release_that_stands(shop: Line, origin: Origin) -> None:
    leak, _ = with_secret(shop, origin)
    evidence = found(shop, rollback(shop.services, "production", leak.id, OPERATOR))
    assert kinds(evidence) == ["secret"] and evidence["inspected"] and "config.py" in evidence["paths"]
    assert evidence["authors"] == ["alice@example.com"] and evidence["involved_known"] and not evidence["forced"]


def test_an_overrides_release_is_not_chosen_for_going_back(shop: Line, origin: Origin) -> None:
    good = released(shop, push(shop, None, origin.commit("good")))
    forced = by_override(shop, released(shop, push(shop, good.sha, origin.commit("forced"))))
    released(shop, rollback(shop.services, "production", forced.id, OPERATOR))  # and going back to it does not make it good
    released(shop, push(shop, forced.sha, origin.commit("newest")))
    back = rollback(shop.services, "production", None, OPERATOR)
    assert back.sha == good.sha
    named = rollback(shop.services, "production", forced.id, OPERATOR)
    (planned, *_) = Reads(shop.engine).audit(deployment_id=named.id)
    assert planned.detail["by_override"] == forced.id


def test_without_another_release_nothing_is_chosen(shop: Line, origin: Origin) -> None:
    forced = by_override(shop, released(shop, push(shop, None, origin.commit("forced"))))
    released(shop, push(shop, forced.sha, origin.commit("newest")))
    with pytest.raises(NotFound, match="or only by an override"):
        rollback(shop.services, "production", None, OPERATOR)


def test_a_failure_brings_back_the_last_release_that_was_not_an_overrides(shop: Line, origin: Origin) -> None:
    good = released(shop, push(shop, None, origin.commit("good")))
    forced = by_override(shop, released(shop, push(shop, good.sha, origin.commit("forced"))))
    shop.target.answers = [Report(Progress.FAILED, "broken")]
    failed = push(shop, forced.sha, origin.commit("broken"))
    shop.run(failed)
    newest = Reads(shop.engine).deployments(1)[0]
    assert shop.now(failed).state is State.FAILED
    assert (newest.trigger, newest.sha) == (Trigger.FAILURE, good.sha)


def test_going_back_needs_no_forge_and_takes_what_was_kept_of_the_release(shop: Line, origin: Origin, mirror: Mirror) -> None:
    leak, _ = with_secret(shop, origin)
    origin.bare.rename(origin.bare.with_name("gone.git"))
    shutil.rmtree(mirror._places.path(REPOSITORY))
    evidence = found(shop, rollback(shop.services, "production", leak.id, OPERATOR))
    assert kinds(evidence) == ["secret"] and evidence["inspected"] and evidence["signatures"] == "none"


@pytest.mark.parametrize("claim", [None, {"bases": [], "findings": [], "inspected": True, "paths_known": True}])
def test_what_nobody_looked_at_is_not_called_clean(
    shop: Line, origin: Origin, mirror: Mirror, claim: dict[str, object] | None
) -> None:
    """Nothing was kept, or an earlier version claimed of a rollback that everything was looked at."""
    leak, _ = with_secret(shop, origin)
    unseen = replace(leak, id=shop.services.ids.new(), trigger=Trigger.REPLAY, state=State.SUCCEEDED, delivery_id=None)
    with shop.services.store.unit() as unit:
        unit.deployments.add(unseen, None)
    if claim is not None:
        with shop.engine.begin() as connection:
            row = "INSERT INTO stages VALUES (%s, 'validate_identity', 'identified', CAST(%s AS jsonb), now(), now())"
            connection.exec_driver_sql(row, (unseen.id, json.dumps(claim)))
    origin.bare.rename(origin.bare.with_name("gone.git"))
    shutil.rmtree(mirror._places.path(REPOSITORY))
    evidence = found(shop, rollback(shop.services, "production", unseen.id, OPERATOR))
    assert kinds(evidence) == [] and not evidence["inspected"] and not evidence["paths_known"] and not evidence["authors_known"]

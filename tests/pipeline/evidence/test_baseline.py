"""A baseline is a base like a release, for every fact; and without one the denial names it."""

from __future__ import annotations

import pytest

from app.domain.audit import AuditAction
from app.domain.deployment import Stage, State
from app.domain.errors import Forbidden, RateLimited, RepositoryUnavailable
from app.domain.event import Account
from app.domain.push import Baseline
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.approve.baseline import accept_history
from app.store.reads import Reads
from tests.integrations.repositories.test_mirror import Origin
from tests.pipeline.conftest import ALICE, BOB, Line
from tests.pipeline.evidence.cast import check, found, push, released

KNOWN = """
@id("d") permit (principal, action == Action::"deploy", resource);
@id("known") @reason("authors must be known") forbid (principal, action, resource) unless { context.authors_known };
"""


def accept(line: Line, sha: str) -> None:
    row = Baseline("production", "gogs:acme/shop", sha, "alice", line.clock.now(), "what ran before")
    with line.services.store.unit() as unit:
        assert unit.baselines.add(row) and not unit.baselines.add(row)
        unit.access.raise_version()


def test_a_denied_first_deployment_names_the_command_and_goes_through_after_it(gate: Line, origin: Origin) -> None:
    gate.policy = CedarPolicy({"a.cedar": KNOWN})  # type: ignore[assignment]
    old = origin.commit("old", email="gone@example.com")
    denied = gate.run(push(gate, None, origin.commit("new")))
    assert denied.state is State.DENIED
    assert "`tidegate environment baseline production COMMIT --reason WHY`" in (denied.reason or "")
    accept(gate, old)
    made = push(gate, denied.sha, origin.commit("newer"))
    evidence = found(gate, made)
    assert not evidence["is_first"] and evidence["authors_known"] and set(evidence["bases"]) == {denied.sha, old}
    assert gate.run(made).state is State.SUCCEEDED


def test_a_newcomers_first_push_needs_no_baseline(gate: Line, origin: Origin) -> None:
    gate.policy = CedarPolicy({"a.cedar": KNOWN})  # type: ignore[assignment]
    origin.commit("README")
    evidence = found(gate, made := push(gate, None, origin.commit("more")))
    assert evidence["authors_known"] and evidence["involved_known"] and evidence["paths_known"] and evidence["inspected"]
    assert gate.run(made).state is State.SUCCEEDED


def test_a_baseline_set_meanwhile_counts_at_once(gate: Line, origin: Origin) -> None:
    old = origin.commit("old", email="gone@example.com")
    made = push(gate, None, origin.commit("new"))
    assert not found(gate, made)["authors_known"]
    accept(gate, old)
    gate.run(made, last=Stage.CHECK_PERMISSION)
    assert gate.policy.asked[-1].context["authors_known"] is True


def test_checks_and_pushes_need_not_cover_what_is_accepted(gate: Line, origin: Origin) -> None:
    old = origin.commit("old")
    accept(gate, old)
    new = origin.commit("new")
    check(gate, new, old)
    evidence = found(gate, push(gate, old, new))
    assert evidence["checked_at_push"] and evidence["involved_known"]


def test_an_older_baseline_adds_nothing_to_what_is_compared(gate: Line, origin: Origin) -> None:
    old, first = origin.commit("old"), origin.commit("first")
    accept(gate, old)
    released(gate, push(gate, None, first))
    evidence = found(gate, push(gate, first, origin.commit("second")))
    assert evidence["bases"] == [first] and evidence["paths"] == ["second"]


def test_a_newer_baseline_takes_the_place_of_the_release(gate: Line, origin: Origin) -> None:
    first = origin.commit("first")
    released(gate, push(gate, None, first))
    imported = origin.commit("imported", email="gone@example.com")
    accept(gate, imported)
    evidence = found(gate, push(gate, imported, origin.commit("second")))
    assert evidence["authors_known"] and evidence["bases"] == [imported] and evidence["paths"] == ["second"]


def test_a_rollback_in_between_is_what_stands(gate: Line, origin: Origin) -> None:
    """The evidence was gathered against a release that was then taken back: what it had brought is new again."""
    first = released(gate, push(gate, None, origin.commit("first")))
    second = released(gate, push(gate, first.sha, origin.commit("second", email="alice@example.com")))
    made = push(gate, second.sha, origin.commit("third"))
    assert found(gate, made)["paths"] == ["third"]
    with gate.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE deployments SET state = 'failed' WHERE id = %s", (second.id,))
    gate.run(made, last=Stage.CHECK_PERMISSION)
    assert gate.policy.asked[-1].context["paths"] == ["second", "third"]


def test_the_right_is_asked_for_before_git_is_and_a_refusal_is_audited_and_limited(
    gate: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever runs commands here could have anything fetched, and try for ever without a trace."""
    right = '@id("alice") permit (principal == Principal::"alice", action == Action::"baseline", resource);'
    gate.policy = CedarPolicy({"a.cedar": right})  # type: ignore[assignment]

    def fetch(*_: object) -> str:
        raise RepositoryUnavailable("git was asked")

    monkeypatch.setattr(gate.services.guard().repositories, "fetch", fetch)

    def accept_as(by: Account) -> None:
        accept_history(gate.services, "production", "a" * 40, ref="refs/heads/main", reason="as it was", by=by)

    for _ in range(10):
        with pytest.raises(Forbidden, match="no policy permits bob to baseline to production"):
            accept_as(BOB)
    with pytest.raises(RateLimited):
        accept_as(BOB)
    refused = [entry for entry in Reads(gate.engine).audit() if entry.action == AuditAction.RIGHT_REFUSED]
    assert len(refused) == 10 and {(e.actor, e.detail["right"], e.detail["sha"]) for e in refused} == {
        ("bob", "baseline", "a" * 40)
    }
    with pytest.raises(RepositoryUnavailable, match="git was asked"):
        accept_as(ALICE)

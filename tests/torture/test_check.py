"""A checker that cannot fail is worth nothing: a small sound history passes, and each kind of wrong done to it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.torture.check import check
from tests.torture.check_trails import LEFT_BEHIND, was_superseded
from tests.torture.history import (
    Answer,
    DeliveryRow,
    DeploymentRow,
    DispatchRow,
    Entry,
    History,
    Mark,
    StageRow,
    Struck,
)
from tests.torture.requests import Expected, Request

ENVIRONMENT, TARGET, REF = "api-production", "count-3", "refs/heads/main"
OLD, NEW, ASIDE = "a" * 40, "b" * 40, "c" * 40
WAY = ("planned", "identified", "permitted", "granted", "dispatching", "dispatched", "succeeded")
STAGES = ("validate_identity", "check_permission", "inject_token", "dispatch_deploy", "confirm_deploy")
RESULTS = ("identified", "permitted", "granted", "dispatched", "succeeded")


def request(number: int, sha: str, sender: str = "alice", **over: object) -> Request:
    expected = Expected("event", frozenset({202}), "was already planned", ((ENVIRONMENT, REF, sha),))
    return replace(Request(number, f"forge-{number}", "push", sha.encode(), "signed", sender, expected), **over)  # type: ignore[arg-type]


def accept(history: History, asked: Request, *, at: float, state: str = "planned", reason: str | None = None) -> None:
    """Let a request be sent, answered and stored."""
    history.requests[asked.delivery] = asked
    history.answers.append(Answer(asked.act, asked.delivery, 0, at, at + 0.1, 202, "accepted"))
    row = DeliveryRow(f"inbox-{asked.act}", asked.act, asked.delivery, asked.header, asked.digest, state, reason)
    history.deliveries.append(row)
    verbs = ["received"] if state == "planned" else ["received", "ignored"]
    for verb in verbs:
        note(history, f"delivery:{verb}", delivery=row.id)


def note(history: History, action: str, *, deployment: str | None = None, delivery: str | None = None) -> None:
    history.entries.append(Entry(len(history.entries) + 1, action, "alice", deployment, delivery, {}))


def deploy(history: History, number: int, sha: str, *, at: float, way: tuple[str, ...] = WAY, **over: object) -> DeploymentRow:
    """Let a delivery become a deployment that goes this way."""
    row = DeploymentRow(
        f"deployment-{number}",
        number,
        f"inbox-{number}",
        ENVIRONMENT,
        REF,
        sha,
        "gogs:2",
        "push",
        None,
        way[-1],
        None,
        at,
        at + 3,
    )
    row = replace(row, **over)  # type: ignore[arg-type]
    history.deployments.append(row)
    for verb in way:
        note(history, f"deployment:{verb}", deployment=row.id)
    before = [v for v in way[:-1] if v in RESULTS]
    results = [*before, way[-1]]
    history.stages += [StageRow(row.id, s, r) for s, r in zip(STAGES, results, strict=False)]
    if "dispatching" in way:
        done = "succeeded" if way[-1] == "succeeded" else "failed"
        history.dispatches.append(DispatchRow(f"dispatch-{number}", row.id, ENVIRONMENT, TARGET, number, 1, done, ""))
        for what, after in (("start", 1.0), ("done" if done == "succeeded" else "failed", 2.0)):
            history.marks.append(Mark(at + after, what, TARGET, f"dispatch-{number}", row.id, sha))
    return row


@pytest.fixture
def history() -> History:
    """Two pushes, one after the other, both deployed."""
    history = History(1, parents={OLD: (), NEW: (OLD,), ASIDE: (OLD,)})
    history.moves = [(0.0, "acme/api", REF, OLD), (9.0, "acme/api", REF, NEW)]
    for number, sha, at in ((1, OLD, 1.0), (2, NEW, 10.0)):
        accept(history, request(number, sha), at=at)
        deploy(history, number, sha, at=at)
    history.decisive[ENVIRONMENT] = NEW
    history.shown[TARGET] = NEW
    return history


def change(rows: list[Any], index: int, **over: object) -> None:
    rows[index] = replace(rows[index], **over)


def test_a_sound_history_passes(history: History) -> None:
    assert check(history) == []


@pytest.mark.parametrize("words", LEFT_BEHIND)
def test_a_commit_is_left_behind_only_if_its_ref_has_left_it(history: History, words: str) -> None:
    reason = f"{REF} {words} it"
    older, newer = history.deployments
    assert not was_superseded(history, older, reason), "the ref still holds it, whatever was granted since"
    assert not was_superseded(history, newer, reason), "the ref stands on it"
    history.moves.append((20.0, "acme/api", REF, ASIDE))
    assert was_superseded(history, newer, reason)


def forged_is_accepted(h: History) -> None:
    asked = request(3, ASIDE, expected=Expected("refused", frozenset({401})))
    h.requests[asked.delivery] = asked
    h.answers.append(Answer(3, asked.delivery, 0, 5, 6, 202, "accepted"))


def forged_is_stored(h: History) -> None:
    accept(h, request(3, ASIDE, expected=Expected("refused", frozenset({401}))), at=5)
    h.answers.pop()
    h.answers.append(Answer(3, "forge-3", 0, 5, 6, 401, "no"))


def accepted_is_lost(h: History) -> None:
    asked = request(3, ASIDE)
    h.requests[asked.delivery] = asked
    h.answers.append(Answer(3, asked.delivery, 0, 5, 6, 202, "accepted"))


def stored_twice(h: History) -> None:
    h.deliveries.append(replace(h.deliveries[1], id="inbox-again"))


def nobody_sent_it(h: History) -> None:
    accept(h, request(3, OLD), at=5, state="ignored", reason="was already planned")
    h.answers.pop()
    del h.requests["forge-3"]


def an_ignored_one_is_planned(h: History) -> None:
    accept(h, request(3, ASIDE, expected=Expected("ignored", frozenset({202}), "test delivery")), at=5)


def accepted_and_never_planned(h: History) -> None:
    accept(h, request(3, ASIDE), at=5, state="ignored", reason="was already planned")


def one_act_twice(h: History) -> None:
    accept(h, request(3, NEW), at=14)
    deploy(h, 3, NEW, at=14)


def out_of_nowhere(h: History) -> None:
    deploy(h, 3, ASIDE, at=14)
    h.shown[TARGET] = h.decisive[ENVIRONMENT] = ASIDE


def rollback_that_nobody_asked_for(h: History) -> None:
    deploy(h, 3, OLD, at=14, trigger="rollback", actor="os:root", delivery_id=None, release_id="deployment-1")
    h.shown[TARGET] = h.decisive[ENVIRONMENT] = OLD


def still_pending(h: History) -> None:
    change(h.deliveries, 1, state="pending")


def still_under_way(h: History) -> None:
    change(h.deployments, 1, state="dispatched")


def a_step_is_missing_in_the_log(h: History) -> None:
    h.entries.remove(next(e for e in h.entries if e.action == "deployment:granted"))


def a_step_is_in_the_log_twice(h: History) -> None:
    note(h, "deployment:succeeded", deployment="deployment-1")


def the_log_goes_backward(h: History) -> None:
    h.entries[0], h.entries[1] = h.entries[1], h.entries[0]


def a_stage_has_no_result(h: History) -> None:
    h.stages.pop(2)


def a_stage_says_otherwise(h: History) -> None:
    change(h.stages, -1, outcome="failed")


def no_entry_of_the_receipt(h: History) -> None:
    h.entries.remove(next(e for e in h.entries if e.action == "delivery:received"))


def superseded_by_nothing(h: History) -> None:
    accept(h, request(3, ASIDE), at=14)
    deploy(h, 3, ASIDE, at=14, way=(*WAY[:4], "superseded"), reason="superseded by somebody")


def left_behind_by_a_ref_that_holds_it(h: History) -> None:
    accept(h, request(3, ASIDE), at=14)
    deploy(h, 3, ASIDE, at=14, way=(*WAY[:4], "superseded"), reason="main no longer contains it")


def failed_without_a_cause(h: History) -> None:
    accept(h, request(3, ASIDE), at=14)
    deploy(h, 3, ASIDE, at=14, way=(*WAY[:5], "failed"), reason="who knows")
    h.marks.pop()


def mallory_deploys(h: History) -> None:
    change(h.deployments, 1, actor="gogs:66")


def alice_is_denied(h: History) -> None:
    accept(h, request(3, ASIDE), at=14)
    deploy(h, 3, ASIDE, at=14, way=("planned", "denied"))


def done_twice(h: History) -> None:
    h.marks += [replace(h.marks[-2], at=12.5), replace(h.marks[-1], at=12.6)]


def two_at_once(h: History) -> None:
    change(h.marks, 1, at=11.5)  # the first ends after the second began


def out_of_order(h: History) -> None:
    change(h.dispatches, 0, position=9)


def begun_after_the_end(h: History) -> None:
    change(h.deployments, 1, updated=10.5)


def called_twice_at_once(h: History) -> None:
    h.marks.append(replace(h.marks[2], at=11.5, what="joined", note="two callers"))


def a_bad_token(h: History) -> None:
    h.marks.append(replace(h.marks[2], what="bad", note="token: wrong sha"))


def another_commit_at_the_target(h: History) -> None:
    change(h.marks, 3, sha=ASIDE)


def unknown_dispatch(h: History) -> None:
    h.marks.append(replace(h.marks[2], dispatch="dispatch-9", what="again"))


def success_that_was_not_done(h: History) -> None:
    h.marks.pop()


def wrong_in_the_end(h: History) -> None:
    h.shown[TARGET] = OLD


def wrong_marker(h: History) -> None:
    h.markers["folder-3"] = {"dispatch-1": OLD}


def a_leak(h: History) -> None:
    h.leaks.append("the webhook-secret stands in Postgres")


def too_much_memory(h: History) -> None:
    h.megabytes["worker"] = 9000.0


def an_alarming_line(h: History) -> None:
    h.log_lines.append("Traceback")


WRONGS: dict[Callable[[History], None], str] = {
    forged_is_accepted: "answer",
    forged_is_stored: "inbox",
    accepted_is_lost: "inbox",
    stored_twice: "inbox",
    nobody_sent_it: "inbox",
    still_pending: "inbox",
    an_ignored_one_is_planned: "outcome",
    accepted_and_never_planned: "deployment",
    one_act_twice: "deployment",
    out_of_nowhere: "deployment",
    rollback_that_nobody_asked_for: "deployment",
    still_under_way: "ended",
    a_step_is_missing_in_the_log: "trail",
    a_step_is_in_the_log_twice: "trail",
    the_log_goes_backward: "trail",
    no_entry_of_the_receipt: "trail",
    a_stage_has_no_result: "stages",
    a_stage_says_otherwise: "stages",
    superseded_by_nothing: "ending",
    left_behind_by_a_ref_that_holds_it: "ending",
    failed_without_a_cause: "ending",
    mallory_deploys: "rights",
    alice_is_denied: "rights",
    done_twice: "once",
    two_at_once: "overlap",
    out_of_order: "order",
    begun_after_the_end: "too late",
    called_twice_at_once: "two callers",
    a_bad_token: "token",
    another_commit_at_the_target: "dispatch",
    unknown_dispatch: "dispatch",
    wrong_marker: "dispatch",
    success_that_was_not_done: "done",
    wrong_in_the_end: "final",
    a_leak: "leak",
    too_much_memory: "memory",
    an_alarming_line: "log",
}


@pytest.mark.parametrize(("wrong", "rule"), WRONGS.items(), ids=lambda v: getattr(v, "__name__", v))
def test_each_wrong_is_told(history: History, wrong: Callable[[History], None], rule: str) -> None:
    wrong(history)
    assert rule in {violation.rule for violation in check(history)}


def test_an_answer_that_never_came_promises_nothing(history: History) -> None:
    asked = request(3, ASIDE)
    history.requests[asked.delivery] = asked
    history.answers += [Answer(3, asked.delivery, n, 5 + n, 6 + n, status, "") for n, status in enumerate((None, 503))]
    assert check(history) == []


def test_a_repeat_may_be_told_so(history: History) -> None:
    history.answers.append(Answer(2, "forge-2", 1, 20, 21, 200, "already received; nothing is done twice"))
    accept(history, request(3, NEW), at=22, state="ignored", reason="refs/heads/main at … was already planned; replay it")
    assert check(history) == []


def test_a_newer_one_may_supersede_and_a_force_push_may_leave_behind(history: History) -> None:
    accept(history, request(0, ASIDE), at=0.5)
    deploy(history, 0, ASIDE, at=0.5, way=(*WAY[:4], "superseded"), reason="superseded by deployment-1")
    history.moves[:0] = [(-2.0, "acme/api", REF, "d" * 40), (-1.0, "acme/api", REF, OLD)]
    accept(history, request(3, "d" * 40), at=14)
    deploy(history, 3, "d" * 40, at=14, way=("planned", "failed"), reason=f"{REF} of gogs:acme/api does not hold it")
    assert check(history) == []


def test_a_failure_brings_the_last_release_back(history: History) -> None:
    accept(history, request(3, ASIDE), at=14)
    deploy(history, 3, ASIDE, at=14, way=(*WAY[:5], "failed"), reason="count-3: HTTP 500")
    again = deploy(
        history, 4, NEW, at=17, trigger="failure", actor="tidegate:gate", delivery_id=None, release_id="deployment-2", position=3
    )
    assert again.position == 3
    change(history.dispatches, -1, position=3)
    assert check(history) == []
    change(history.deployments, -1, release_id="deployment-1")
    assert {v.rule for v in check(history)} == {"deployment"}


def test_a_lost_lease_excuses_a_second_caller(history: History) -> None:
    called_twice_at_once(history)
    history.struck.append(Struck(0, "long-stop", "deployer", 11.0, 11.4))
    assert check(history) == []

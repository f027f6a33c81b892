"""Voting, overriding, reviewing and proposing over HTTP, by people with a session and by agents with none."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.deployment import State
from app.pipeline.approve.propose import propose_policy
from app.pipeline.line.authorize import authorize
from tests.configurations import FORGE, STAGING, environment, table
from tests.held import PAT, POLICIES, RIGHTS, held, hub, state
from tests.web.gate import Browser, Gate

PEOPLE = f"""\
{PAT}
[[people]]
subject = "alice"
groups = ["leads", "on-call", "team"]
emails = ["alice@example.com"]
accounts = ["gogs:71", "hub:71"]
[[people]]
subject = "robot"
kind = "agent"
owner = "alice"
groups = ["team"]
accounts = ["hub:91"]
"""
RULES = POLICIES + RIGHTS
CLEARER = RULES.replace("members of team deploy", "all of team")
NOBODY = "01890000-0000-7000-8000-000000000001"


def configure(gate: Gate, people: str = PEOPLE) -> None:
    staging = environment({"repository": "hub:acme/shop", "deploys": ["branch:main"]}, STAGING)
    gate.configure(people=people, more=table("forges.hub", FORGE, hub(gate.folder)) + staging)


@pytest.fixture
def alice(gate: Gate, browser: Browser) -> Browser:
    """Alice, signed in; her requests carry her session's token."""
    for old in (gate.folder / "policies").glob("*.cedar"):
        old.unlink()
    (gate.folder / "policies" / "own.cedar").write_text(RULES)
    configure(gate)
    browser.sign_in()
    browser.http.headers["x-csrf-token"] = browser.api("GET", "/me").json()["csrf_token"]
    return browser


def votes(browser: Browser, deployment: str, verdict: str = "approve", **over: Any) -> httpx.Response:
    return browser.api("POST", f"/deployments/{deployment}/votes", {"verdict": verdict, "comment": "seen", **over})


def test_a_person_approves_and_it_goes_on(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits = held(gate.process, tmp_path)
    (listed,) = alice.api("GET", "/approvals").json()["approvals"]
    assert listed["deployment"] == waits.id and listed["may_vote"] and listed["missing"] == ["1 more"]
    answer = votes(alice, waits.id)
    assert answer.status_code == 201, answer.text
    assert answer.json()["subject"] == "alice" and answer.json()["verdict"] == "approve"
    authorize(gate.process.services, waits.id)
    assert state(gate.process, waits) is State.PERMITTED
    detail = alice.api("GET", f"/deployments/{waits.id}").json()
    assert [each["subject"] for each in detail["votes"]] == ["alice"] and alice.api("GET", "/approvals").json() == {
        "approvals": []
    }
    assert votes(alice, waits.id).status_code == 409


def test_a_person_cancels_with_the_right_to(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits = held(gate.process, tmp_path)
    path = f"/deployments/{waits.id}/cancel"
    assert alice.api("POST", path, {"comment": "not today"}).status_code == 403
    right = '@id("cancel") permit (principal in Group::"leads", action == Action::"cancel", resource);'
    (gate.folder / "policies" / "own.cedar").write_text(RULES + right)
    configure(gate)
    ended = alice.api("POST", path, {"comment": "not today"})
    assert (ended.status_code, ended.json()["state"]) == (200, "denied"), ended.text
    assert ended.json()["reason"] == "cancelled by alice: not today"
    assert alice.api("POST", path, {}).status_code == 409


def test_one_reject_ends_it(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits = held(gate.process, tmp_path)
    assert votes(alice, waits.id, "reject").status_code == 201
    authorize(gate.process.services, waits.id)
    assert state(gate.process, waits) is State.DENIED
    assert gate.process.reads.deployment(waits.id).deployment.reason


@pytest.mark.parametrize(
    ("number", "author"), [("71", "pat@example.com"), ("90", "alice@example.com"), ("91", "pat@example.com")]
)
def test_who_asked_who_wrote_and_who_answers_for_an_agent_do_not_approve(
    gate: Gate, alice: Browser, tmp_path: Path, number: str, author: str
) -> None:
    waits = held(gate.process, tmp_path, number=number, author=author)
    (listed,) = alice.api("GET", "/approvals").json()["approvals"]
    assert not listed["may_vote"] and "was involved in it" in listed["why_not"]
    refused = votes(alice, waits.id)
    assert refused.status_code == 403 and "alice was involved in it" in refused.json()["detail"]
    assert state(gate.process, waits) is State.HELD


def test_who_may_not_approve_hears_the_policy_and_what_would_change_it(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits = held(gate.process, tmp_path)
    configure(gate, people=PEOPLE.replace('"leads", ', ""))
    refused = votes(alice, waits.id)
    assert refused.status_code == 403 and refused.headers["content-type"].startswith("application/problem+json")
    assert 'policies that could: "leads" (members of leads approve)' in refused.json()["detail"]
    assert "it would be allowed if alice is a member of leads" in refused.json()["detail"]


def test_a_sign_in_that_is_too_old_does_not_vote(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits = held(gate.process, tmp_path)
    with gate.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sessions SET signed_in_at = signed_in_at - interval '2 hours' WHERE subject = 'alice'")
    refused = votes(alice, waits.id)
    assert refused.status_code == 403 and "sign in again" in refused.json()["detail"]


def test_two_at_once_count_as_one(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits = held(gate.process, tmp_path)
    codes: list[int] = []
    together = [threading.Thread(target=lambda: codes.append(votes(alice, waits.id).status_code)) for _ in range(4)]
    for each in together:
        each.start()
    for each in together:
        each.join()
    assert sorted(codes) == [201, 409, 409, 409]
    assert gate.rows("SELECT count(*) FROM votes") == [(1,)]


def test_a_vote_takes_the_sessions_token_and_the_gates_own_page(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits = held(gate.process, tmp_path)
    path = f"/deployments/{waits.id}/votes"
    assert alice.api("POST", path, {"verdict": "approve"}, **{"x-csrf-token": "no"}).status_code == 403
    assert alice.api("POST", path, {"verdict": "approve"}, origin="https://evil.example").status_code == 403
    stranger = httpx.post(f"{gate.url}/api/v1{path}", json={"verdict": "approve"}, headers={"origin": gate.url}, timeout=20)
    assert stranger.status_code == 401
    assert state(gate.process, waits) is State.HELD and gate.rows("SELECT count(*) FROM votes") == [(0,)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 400),
        ({"verdict": "perhaps"}, 400),
        ({"verdict": "approve", "as": "bob"}, 400),
        ([], 400),
        ({"verdict": "approve", "comment": "x" * 3000}, 400),
    ],
)
def test_a_vote_that_is_none_is_refused(gate: Gate, alice: Browser, tmp_path: Path, body: Any, code: int) -> None:
    waits = held(gate.process, tmp_path)
    refused = alice.api("POST", f"/deployments/{waits.id}/votes", body)
    assert refused.status_code == code and refused.json()["detail"]
    assert alice.api("POST", f"/deployments/{NOBODY}/votes", {"verdict": "approve"}).status_code == 404
    assert alice.api("POST", "/deployments/x/votes", {"verdict": "approve"}).status_code == 404


def test_an_override_takes_a_purpose_and_a_second_factor_and_is_listed_for_review(
    gate: Gate, alice: Browser, tmp_path: Path
) -> None:
    waits = held(gate.process, tmp_path)
    path = f"/deployments/{waits.id}/override"
    bare = alice.api("POST", path, {"purpose": "the shop is down, nobody is awake"})
    assert bare.status_code == 403 and "second factor" in bare.json()["detail"]
    with gate.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sessions SET mfa_at = signed_in_at WHERE subject = 'alice'")
    assert alice.api("POST", path, {"purpose": "short"}).status_code == 400
    made = alice.api("POST", path, {"purpose": "the shop is down, nobody is awake"})
    assert made.status_code == 201, made.text
    (one,) = alice.api("GET", "/overrides").json()["overrides"]
    assert alice.api("GET", "/overrides?unreviewed=true").json() == {"overrides": []}, "it has not gone out yet"
    own = alice.api("POST", f"/overrides/{made.json()['id']}/review", {"comment": "fine"})
    assert own.status_code == 403 and "another person must review it" in own.json()["detail"]
    assert gate.audit("deployment:overridden")[-1]["detail"]["purpose"] == "the shop is down, nobody is awake"
    assert one


def test_nobody_decides_about_a_proposal_of_ones_own(alice: Browser) -> None:
    body = {"kind": "policy", "file": "own.cedar", "text": CLEARER, "reason": "it is clearer so"}
    made = alice.api("POST", "/proposals", body)
    assert made.status_code == 201, made.text
    for word in ("accept", "reject"):
        refused = alice.api("POST", f"/proposals/{made.json()['id']}/{word}", {})
        assert refused.status_code == 403 and "another person must decide" in refused.json()["detail"]


def test_what_an_agent_proposes_a_person_looks_at_and_decides_once(gate: Gate, alice: Browser) -> None:
    services = gate.process.services
    robot = services.guard().identity.principal("robot")
    assert robot is not None
    name = propose_policy(services, robot, "own.cedar", CLEARER, reason="it is clearer so").id
    shown = alice.api("GET", f"/proposals/{name}").json()
    assert shown["proposer"] == "robot" and '+@id("team") @reason("all of team")' in shown["diff"]
    assert [each["id"] for each in alice.api("GET", "/proposals?open=true").json()["proposals"]] == [name]
    owner = alice.api("POST", f"/proposals/{name}/accept", {})
    assert owner.status_code == 403 and "alice answers for robot" in owner.json()["detail"]
    assert alice.api("POST", f"/proposals/{name}/reject", {"comment": "no"}).status_code == 200
    assert alice.api("POST", f"/proposals/{name}/reject", {"comment": "no"}).status_code == 409
    assert alice.api("POST", f"/proposals/{name}/accept", {}).status_code == 409
    assert (gate.folder / "policies" / "own.cedar").read_text() == RULES


@pytest.mark.parametrize(
    "change",
    [
        {"text": "permit ("},
        {"file": "../own.cedar"},
        {"reason": "short"},
        {"kind": "configuration"},
        {"text": '@id("x") permit (principal, action, resource) when { context.nope };'},
    ],
)
def test_a_proposal_that_would_be_refused_later_is_refused_now(alice: Browser, change: dict[str, str]) -> None:
    body = {"kind": "policy", "file": "own.cedar", "text": RULES, "reason": "it is clearer so", **change}
    refused = alice.api("POST", "/proposals", body)
    assert refused.status_code == 400 and refused.json()["detail"]
    assert alice.api("GET", "/proposals").json() == {"proposals": []}

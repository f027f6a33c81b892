"""What skipped the check is met at deploy, and reported; and the forge's delivery page tells what became of a delivery."""

from __future__ import annotations

import hmac
import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future

import httpx
import pytest

from app.domain.delivery import Receipt
from app.domain.deployment import Deployment
from app.domain.errors import StoreUnavailable
from app.integrations.forges.pre_receive import remove
from app.pipeline.intake.plan import plan
from app.pipeline.line.authorize import authorize
from app.pipeline.line.identify import identify
from app.web.receiver.outcomes import AT_ONCE, Outcomes
from tests.pipeline.ask.cast import ACCOUNTS, POLICIES, REPOSITORY_ID, Hub, Person, configure
from tests.web.gate import Gate

CHECKED = """\
@id("only-checked")
@reason("what skipped the check is not deployed")
forbid (principal, action == Action::"deploy", resource) unless { context.checked_at_push };
"""
APPROVED = """\
@id("two-pairs-of-eyes")
@reason("somebody else must say yes")
forbid (principal, action == Action::"deploy", resource) unless { context.approvals.met };
"""
SINK = '[sinks.me]\nkind = "webhook"\nurl = "http://127.0.0.1:1"\nsecret = "file:{}/hook"\nevents = ["deployment:unchecked"]\n'


def deliver(
    gate: Gate, sha: str, *, name: str = "alice", delivery: str | None = None, ref: str = "refs/heads/main"
) -> httpx.Response:
    user = {"id": ACCOUNTS[name], "login": name, "username": name}
    repository = {"id": REPOSITORY_ID, "full_name": "acme/shop", "owner": {"id": 1, "username": "acme"}}
    event = {
        "ref": ref,
        "before": "0" * 40,
        "after": sha,
        "commits": [],
        "repository": repository,
        "sender": user,
        "pusher": user,
    }
    body = json.dumps(event).encode()
    headers = {
        "content-type": "application/json",
        "x-gogs-event": "push",
        "x-gogs-delivery": delivery or str(uuid.uuid4()),
        "x-gogs-signature": hmac.digest(b"webhook-secret", body, "sha256").hex(),
    }
    return httpx.post(f"{gate.url}/hooks/gogs", content=body, headers=headers, timeout=20)


def decided(gate: Gate) -> Deployment:
    """Plan what was delivered and have it decided."""
    services = gate.process.services
    (made,) = plan(services).deployments
    identify(services, made.id)
    authorize(services, made.id)
    return gate.process.reads.deployment(made.id).deployment


def test_what_was_checked_is_deployed_and_what_skipped_the_check_is_reported(alice: Person, hub: Hub, gate: Gate) -> None:
    configure(gate, policies=POLICIES, more=SINK.format(gate.folder))
    sha = alice.commit()
    assert alice.push("main").returncode == 0
    deliver(gate, sha)
    assert decided(gate).state == "permitted"
    entry = gate.audit("deployment:permitted")[-1]["detail"]
    assert entry["request"]["request"]["context"]["checked_at_push"] and "unchecked" not in entry
    assert gate.rows("SELECT event FROM notices") == []
    remove(hub.bare)  # as when somebody merges in the forge's pages
    hub.bare.joinpath("hooks", "pre-receive").unlink()
    sha = alice.commit()
    assert alice.push("main").returncode == 0
    deliver(gate, sha)
    assert decided(gate).state == "permitted"
    entry = gate.audit("deployment:permitted")[-1]["detail"]
    assert not entry["request"]["request"]["context"]["checked_at_push"]
    assert entry["unchecked"].startswith(f"no check let {sha[:12]} onto refs/heads/main")
    assert [event for (event,) in gate.rows("SELECT event FROM notices")] == ["deployment:unchecked"]


def test_a_policy_can_keep_back_what_skipped_the_check(alice: Person, hub: Hub, gate: Gate) -> None:
    configure(gate, policies=POLICIES + CHECKED)
    hub.bare.joinpath("hooks", "pre-receive").unlink()
    sha = alice.commit()
    assert alice.push("main").returncode == 0
    first = deliver(gate, sha, delivery="d-1")
    assert first.status_code == 202 and first.text.splitlines()[-1] == f"tidegate delivery show {first.headers['x-request-id']}"
    assert "no deployment has followed from it" in deliver(gate, sha, delivery="d-1").text
    assert decided(gate).state == "denied"
    again = deliver(gate, sha, delivery="d-1")
    assert again.status_code == 200
    assert again.text.splitlines() == [
        "already received; nothing is done twice",
        'production: denied by "only-checked" (what skipped the check is not deployed): '
        f"no check before a push let commit {sha[:12]} onto refs/heads/main; no check looked at commit {sha[:12]}; "
        "it would be allowed if it comes through the check before pushes",
        first.text.splitlines()[-1],
    ]


def test_a_commit_that_was_allowed_onto_another_ref_is_not_checked_on_this_one(alice: Person, hub: Hub, gate: Gate) -> None:
    sha = alice.commit()
    assert alice.push("HEAD:refs/heads/topic").returncode == 0
    hub.bare.joinpath("hooks", "pre-receive").unlink()
    assert alice.push("main").returncode == 0
    deliver(gate, sha)
    decided(gate)
    assert not gate.audit("deployment:permitted")[-1]["detail"]["request"]["request"]["context"]["checked_at_push"]


@pytest.mark.parametrize(
    ("name", "policies", "line"),
    [
        (
            "alice",
            POLICIES + APPROVED,
            'production: held by "two-pairs-of-eyes" (somebody else must say yes); '
            "it would be allowed if enough other people approve",
        ),
        (
            "alice",
            POLICIES
            + '@id("owners") forbid (principal, action == Action::"deploy", resource) unless { principal in Group::"x" };',
            'production: denied by "owners"; it would be allowed if the one who acts is a member of x',
        ),
        ("charlie", POLICIES, "production: denied, before any policy was asked"),
        (
            "alice",
            '@id("p") permit (principal, action == Action::"push", resource);',
            "production: denied, since no policy permits it",
        ),
    ],
)
def test_the_page_names_policies_and_no_person(alice: Person, gate: Gate, name: str, policies: str, line: str) -> None:
    sha = alice.commit()
    assert alice.push("main").returncode == 0
    configure(gate, policies=policies)
    deliver(gate, sha, name=name, delivery="d-1")
    decided(gate)
    again = deliver(gate, sha, name=name, delivery="d-1")
    assert again.text.splitlines()[1] == line
    assert name not in again.text


def duplicate() -> Future[Receipt]:
    kept: Future[Receipt] = Future()
    kept.set_result(Receipt("d", is_duplicate=True, reason=None))
    return kept


def test_who_looks_too_long_or_in_vain_costs_only_the_lines() -> None:
    go_on = threading.Event()

    def slow(_: str) -> list[str]:
        go_on.wait(20)
        return ["late"]

    outcomes = Outcomes(slow, seconds=0.2)
    began = time.monotonic()
    waiting = [outcomes.of(duplicate()) for _ in range(AT_ONCE + 3)]
    assert [each.result(10)[1] for each in waiting] == [()] * (AT_ONCE + 3)
    assert time.monotonic() - began < 10
    go_on.set()

    def away(_: str) -> list[str]:
        raise StoreUnavailable

    assert Outcomes(away).of(duplicate()).result(10)[1] == ()
    assert Outcomes(lambda _: ["one"]).of(duplicate()).result(10)[1] == ["one"]


def test_what_is_new_or_could_not_be_kept_is_looked_up_by_nobody() -> None:
    looked: list[str] = []
    look: Callable[[str], list[str]] = lambda name: looked.append(name) or []  # noqa: E731
    new: Future[Receipt] = Future()
    new.set_result(Receipt("d", is_duplicate=False, reason=None))
    assert Outcomes(look).of(new).result(10)[1] == ()
    lost: Future[Receipt] = Future()
    lost.set_exception(StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        Outcomes(look).of(lost).result(10)
    assert looked == []

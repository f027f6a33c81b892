"""Approvals on a whole running stack, whose parts die while it waits; a sink hears of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.bootstrap import Process, build
from app.domain.approval import Verdict
from app.domain.deployment import Stage, State, Trigger
from app.domain.errors import NotAllowed
from app.domain.session import Session, StoredSession
from app.integrations.system import operator, write_private
from app.pipeline.approve.acting_person import Person, person_behind
from app.pipeline.approve.override import override
from app.pipeline.approve.vote import vote
from app.settings import load_settings
from app.stack.scene import Scene
from app.store.reads import Reads
from tests.e2e.test_durability import WHOLE_TRAIL, ended, someone_stands, standing_at
from tests.integrations.targets.cast import Service, says, serving
from tests.waiting import until

POLICY = """
@id("leads-approve") permit (principal in Group::"operators", action == Action::"approve", resource);
@id("two-person-rule") @reason("another person approves what goes to production")
forbid (principal, action == Action::"deploy", resource == Environment::"production") unless { context.approvals.met };
@id("operators-override") permit (principal in Group::"operators", action == Action::"override", resource)
when { context.session.mfa_age < 900 };
"""
ISSUER = """
[issuers.corp]
kind = "oidc"
issuer = "https://id.example"
audience = "urn:gate"

[sinks.chat]
kind = "webhook"
events = ["deployment:*"]
url = "{url}"
secret = "file:{folder}/chat"
"""


@dataclass
class Gate:
    """The scene, with the two-person rule in force, and an operator who has signed in."""

    scene: Scene
    process: Process
    chat: Service

    def push(self, word: str) -> str:
        """Push as alice; return the deployment, which is held."""
        made = self.scene.push(word, account=self.scene.alice)
        until(lambda: self.state(made) is State.HELD, f"{word} is held")
        return made

    def state(self, deployment_id: str) -> State:
        return self.process.reads.deployment(deployment_id).deployment.state

    @property
    def operator(self) -> Person:
        """The operating-system user, with the newest sign-in."""
        services = self.process.services
        return person_behind(services, services.guard(), operator())

    def approve(self, deployment_id: str) -> None:
        vote(self.process.services, deployment_id, self.operator, Verdict.APPROVE, "looked at it")


@pytest.fixture
def gate(scene: Scene) -> Iterator[Gate]:
    config, policy = scene.folder / "tidegate.toml", scene.folder / "policies" / "two.cedar"
    former = config.read_text()
    write_private(scene.folder / "chat", "a-secret-of-the-chat")
    with serving() as chat:
        chat.answer = says(200, b"")
        config.write_text(former + ISSUER.format(url=chat.url, folder=scene.folder))
        policy.write_text(POLICY)
        process = build(load_settings(scene.env), pool_size=2)
        sign_in(process)
        yield Gate(scene, process, chat)
        config.write_text(former)
        policy.unlink()
        process.engine.dispose()


def sign_in(process: Process) -> None:
    """Leave the session that a sign-in at the issuer leaves."""
    now, new = process.clock.now(), process.ids.new()
    facts = Session(new, "operator", "corp", now, now, "", ("mfa",), "192.0.2.7", "DE", "https://id.example")
    with process.services.store.unit() as unit:
        unit.sessions.add(StoredSession(new, new, {}, now, now, now + timedelta(hours=1), facts))


def test_a_held_deployment_goes_on_by_itself_with_the_last_vote(gate: Gate, reads: Reads) -> None:
    made = gate.push("two people")
    until(lambda: any(b"deployment:held" in r.body for r in gate.chat.requests), "the sink hears of it")
    told = next(json.loads(r.body) for r in gate.chat.requests if b"deployment:held" in r.body)
    assert "two-person-rule" in json.dumps(told) and made in json.dumps(told)
    gate.approve(made)
    assert ended(reads, made).state is State.SUCCEEDED
    trail = [e.action.partition(":")[2] for e in reads.audit(deployment_id=made)]
    assert trail == [*WHOLE_TRAIL[:2], "held", "approved", *WHOLE_TRAIL[2:]]


def test_workers_that_die_while_it_waits_and_at_the_vote_lose_and_repeat_nothing(gate: Gate, owner: Engine, reads: Reads) -> None:
    supervisor = gate.scene.stack.supervisor
    assert supervisor is not None
    made = gate.push("killed while it waits")
    for name in ("worker", "deployer", "beat"):
        supervisor.kill(name)
    with standing_at(owner, Stage.CHECK_PERMISSION) as standing:
        gate.approve(made)
        until(lambda: someone_stands(standing), "a worker about to let it go on")
        supervisor.kill("worker")
    assert ended(reads, made).state is State.SUCCEEDED
    actions = [e.action for e in reads.audit(deployment_id=made)]
    assert actions.count("deployment:permitted") == actions.count("deployment:dispatching") == 1


def test_a_vote_without_redis_counts_when_it_is_back(gate: Gate, reads: Reads) -> None:
    redis = gate.scene.stack.redis
    assert redis is not None
    made = gate.push("no redis")
    redis.kill()
    gate.approve(made)
    redis.wipe()
    redis.start()
    assert ended(reads, made).state is State.SUCCEEDED


def test_a_newer_push_voids_the_older_and_its_vote(gate: Gate, reads: Reads) -> None:
    older = gate.push("older")
    newer = gate.push("newer")
    assert ended(reads, older).state is State.SUPERSEDED
    with pytest.raises(NotAllowed):
        gate.approve(older)
    gate.approve(newer)
    assert ended(reads, newer).state is State.SUCCEEDED


def test_breaking_the_glass_deploys_and_is_told(gate: Gate, reads: Reads) -> None:
    waiting = gate.push("nobody is there")
    made = override(gate.process.services, waiting, gate.operator, "the shop is down and nobody else is awake").id
    done = ended(reads, made)
    assert (done.state, done.trigger, done.principal) == (State.SUCCEEDED, Trigger.OVERRIDE, "operator")
    assert reads.deployment(waiting).deployment.state is State.SUPERSEDED
    until(lambda: any(b"deployment:overridden" in r.body for r in gate.chat.requests), "the sink hears of it")


def test_a_policy_that_changes_while_it_waits_has_it_asked_for_anew(gate: Gate, reads: Reads) -> None:
    made = gate.push("policies change")
    policy: Path = gate.scene.folder / "policies" / "two.cedar"
    policy.write_text(POLICY + "// newer\n")
    with pytest.raises(NotAllowed, match="the request has changed"):
        gate.approve(made)

    def approved() -> bool:
        gate.approve(made)
        return True

    until(approved, "a new request stands")
    assert ended(reads, made).state is State.SUCCEEDED
    assert [e.action for e in reads.audit(deployment_id=made)].count("deployment:held") == 2

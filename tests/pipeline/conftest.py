"""The pipeline on a real Postgres with fakes around it: `line` runs deliveries through as the workers would."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine

from app.domain.audit import AuditAction
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, Stage, StageResult
from app.domain.environment import Environment, HealthCheck, Zone
from app.domain.event import Account, Event, EventKind, Repository
from app.integrations.inspection.inspector import ContentInspector
from app.integrations.system import SystemIds
from app.pipeline.intake.plan import plan, resolve
from app.pipeline.line.authorize import authorize
from app.pipeline.line.dispatch import dispatch
from app.pipeline.line.grant import grant
from app.pipeline.line.identify import identify
from app.pipeline.line.settle import settle
from app.pipeline.line.stage import Outcome
from app.pipeline.ports.services import Guard, Limits, Services
from app.store.inbox.inbox import SqlInbox
from app.store.reads import Reads
from app.store.unit import SqlStore
from tests.fakes import (
    FakeClock,
    FakeHealth,
    FakeIdentity,
    FakeIssuer,
    FakePolicy,
    FakeRepositories,
    FakeTarget,
    FakeWakes,
    person,
)

VERBS: dict[Stage, Callable[[Services, str], Outcome]] = {
    Stage.VALIDATE_IDENTITY: identify,
    Stage.CHECK_PERMISSION: authorize,
    Stage.INJECT_TOKEN: grant,
    Stage.DISPATCH_DEPLOY: dispatch,
    Stage.CONFIRM_DEPLOY: settle,
}
REPOSITORY = Repository("gogs", 1, "acme/shop", "acme", 7)
ALICE = Account("gogs", "2", "alice")
BOB = Account("gogs", "3", "bob")
CHARLIE = Account("gogs", "4", "charlie")


def sha(name: str) -> str:
    """Make a commit id out of a word."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


@dataclass
class Line:
    """The line with all that a test may turn."""

    services: Services
    engine: Engine
    clock: FakeClock = field(default_factory=FakeClock)
    repositories: FakeRepositories = field(default_factory=FakeRepositories)
    identity: FakeIdentity = field(default_factory=FakeIdentity)
    policy: FakePolicy = field(default_factory=FakePolicy)
    target: FakeTarget = field(default_factory=FakeTarget)
    targets: dict[str, FakeTarget] = field(default_factory=dict)
    health: FakeHealth = field(default_factory=FakeHealth)
    wakes: FakeWakes = field(default_factory=FakeWakes)
    environments: list[Environment] = field(default_factory=list)

    def push(self, word: str, *, actor: Account = ALICE, ref: str = "refs/heads/main", known: bool = True) -> Deployment:
        """Deliver a push of `word` to main and plan it; return its deployment."""
        if known:
            self.repositories.heads.setdefault(ref, []).append(sha(word))
        made = self.deliver(Event(EventKind.PUSH, REPOSITORY, ref, None, sha(word), actor))
        assert len(made) == 1
        return made[0]

    def deliver(
        self, event: Event | None, *, forge_delivery_id: str | None = None, reason: str | None = None
    ) -> list[Deployment]:
        """Put a delivery into the inbox and plan; return the deployments made."""
        new_id = self.services.ids.new()
        state = DeliveryState.PENDING if event else DeliveryState.IGNORED
        self.services.inbox.put(
            Delivery(new_id, "gogs", forge_delivery_id or new_id, "push", b"{}", event, reason, self.clock.now(), state)
        ).result(timeout=30)
        return plan_and_resolve(self.services)

    def run(self, deployment: Deployment | str, last: Stage = Stage.CONFIRM_DEPLOY) -> Deployment:
        """Run the chain from the first stage to `last`, as Celery would; follow the wakes of ended ones."""
        deployment_id = deployment if isinstance(deployment, str) else deployment.id
        for stage, verb in VERBS.items():
            outcome = verb(self.services, deployment_id)
            for wake in outcome.wakes:
                self.run(wake.deployment_id)
            if not outcome.goes_on or stage is last:
                break
        return self.now(deployment_id)

    def now(self, deployment: Deployment | str) -> Deployment:
        """Return the deployment as it is now."""
        deployment_id = deployment if isinstance(deployment, str) else deployment.id
        with self.services.store.unit() as unit:
            found = unit.deployments.get(deployment_id)
        assert found is not None
        return found

    def result(self, deployment: Deployment, stage: Stage) -> StageResult | None:
        """Return a stage's result."""
        with self.services.store.unit() as unit:
            return unit.deployments.result(deployment.id, stage)

    def actions(self, deployment: Deployment) -> list[str]:
        """List the audit actions of a deployment, in order."""
        return [e.action for e in Reads(self.engine).audit(deployment_id=deployment.id, limit=100)]


def plan_and_resolve(services: Services) -> list[Deployment]:
    """Plan one round, and resolve what it left, as two tasks do."""
    planned = plan(services)
    resolved = [deployment for left in planned.unresolved for deployment in resolve(services, left).deployments]
    return [*planned.deployments, *resolved]


def environment(name: str = "production", **over: object) -> Environment:
    """Make an environment that deploys main to the target `box`."""
    values: dict[str, object] = {
        "name": name,
        "repository": "gogs:acme/shop",
        "repository_id": None,
        "deploys": ("branch:main",),
        "targets": ("box",),
        "audience": "https://shop.example/deploy",
    }
    return Environment(**{**values, **over})  # type: ignore[arg-type]


WITH_HEALTH = HealthCheck("http://shop.example/healthz", within=5)


@pytest.fixture
def line(engine: Engine) -> Line:
    """A line with alice and bob as deployers, and charlie who is linked to nobody."""
    line = Line(services=None, engine=engine, environments=[environment()])  # type: ignore[arg-type]
    line.targets = {"box": line.target}
    line.identity.people = {"gogs:2": person("alice", "gogs:2"), "gogs:3": person("bob", "gogs:3", groups=())}
    ids = SystemIds()

    def guard() -> Guard:
        return Guard(
            digest="d",
            environments=tuple(line.environments),
            forges={},
            target_zones={name: Zone("eu", "compute", "eu-central") for name in line.targets},
            targets=line.targets,
            identity=line.identity,
            policy=line.policy,
            repositories=line.repositories,
        )

    line.services = Services(
        clock=line.clock,
        ids=ids,
        store=SqlStore(engine),
        inbox=SqlInbox(engine, lambda d: line.services.recorder.entry(AuditAction.DELIVERY_RECEIVED, about=d, actor="gogs:2")),
        wakes=line.wakes,
        guard=guard,
        tokens=FakeIssuer(),
        health=line.health,
        limits=Limits(lease=1.0),
        holder="test",
        inspector=ContentInspector(),
    )
    return line

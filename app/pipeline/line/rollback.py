"""Ask for an earlier release again: a new deployment, decided and audited like any other.

The right is asked for once before anything is planned, and again in the line.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.domain.audit import AuditAction
from app.domain.decision import Action
from app.domain.deployment import Deployment, Stage, State, Trigger, Wake
from app.domain.errors import Forbidden, NotFound
from app.domain.event import Account
from app.domain.session import Session
from app.pipeline.decide.case import Act
from app.pipeline.decide.judgement import active_principal
from app.pipeline.decide.right import Claim, check_claim
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit


def rollback(
    services: Services, environment: str, release: str | None, actor: Account, session: Session | None = None
) -> Deployment:
    """Plan a deployment of `release` (id or commit prefix), or of the newest good one with another commit than now.

    `session` is the one in which the person asks; without it, the newest one here. Raises NotFound if the environment or such
    a release does not exist, Forbidden (no right) and RateLimited.
    """
    with services.store.reading() as unit:
        earlier = release_to(services, unit, environment, release)
    session = check_rollback(services, earlier, actor, session)
    with services.store.unit() as unit:
        deployment = plan_rollback(services, unit, earlier, actor, session)
    wake_rollback(services, deployment)
    return deployment


def check_rollback(services: Services, release: Deployment, actor: Account, session: Session | None = None) -> Session | None:
    """Ask whether this account may roll back to `release`; return the session that proves it, if there is one.

    Raises Forbidden, which is audited, and RateLimited.
    """
    guard = services.guard()
    fault, principal = active_principal(guard.identity, actor)
    if principal is None:
        raise Forbidden(fault)
    if session is None:
        with services.store.reading() as unit:
            session = unit.sessions.newest(principal.subject, services.clock.now(), guard.issuer_urls)
    act = Act(Trigger.ROLLBACK.value, release.ref, release.sha, actor.login)
    claim = Claim(principal, Action.ROLLBACK, session, release.environment, release.repository.key, act)
    check_claim(services, guard, claim, detail={"release": release.id, "sha": release.sha})
    return session


def release_to(services: Services, unit: Unit, environment: str, release: str | None) -> Deployment:
    """Return the release to go back to: this one (id or commit prefix), or the newest one with another commit than now.

    A release that came by an override is brought back only by name: nobody permitted it but the person who made it.
    Raises NotFound if the environment or such a release does not exist.
    """
    if services.guard().environment(environment) is None:
        raise NotFound(f"there is no environment {environment}")
    current = unit.deployments.last_release(environment)
    if release is not None:
        earlier = unit.deployments.release(environment, release)
    else:
        earlier = unit.deployments.last_good_release(environment, unlike_sha=current.sha) if current else None
    if earlier is None:
        raise NotFound(f"{environment} has no such release to go back to" if release else _why_none(environment))
    return earlier


def _why_none(environment: str) -> str:
    return f"{environment} has no earlier release to go back to, or only by an override (--to names it)"


def plan_rollback(
    services: Services, unit: Unit, release: Deployment, actor: Account, session: Session | None = None
) -> Deployment:
    """Plan a deployment of `release` as this account's own act, to be judged by this session.

    The caller has called `check_rollback`, and calls `wake_rollback` after the commit.
    """
    deployment = deployment_of(
        services,
        release,
        actor=actor,
        trigger=Trigger.ROLLBACK,
        position=unit.deployments.next_position(),
        correlation_id=services.ids.new(),
    )
    unit.deployments.add(deployment, services.clock.now() + timedelta(seconds=services.limits.sweep_after))
    if session is not None:
        unit.sessions.bind(deployment.id, session)
    detail = {"trigger": deployment.trigger, "release": release.id, **note_of(unit, release)}
    unit.audit.append([services.recorder.entry(AuditAction.DEPLOYMENT_PLANNED, detail, about=deployment)])
    return deployment


def note_of(unit: Unit, release: Deployment) -> dict[str, str]:
    """Note of a release that it first came by an override, and by which one."""
    origin = unit.history.origin(release)
    return {"by_override": origin.id} if origin is not None and origin.trigger is Trigger.OVERRIDE else {}


def wake_rollback(services: Services, deployment: Deployment) -> None:
    """Let a planned rollback go on; never raises."""
    services.wakes.run(Wake.of(deployment, Stage.VALIDATE_IDENTITY))


def deployment_of(
    services: Services, release: Deployment, *, actor: Account, trigger: Trigger, position: int, correlation_id: str
) -> Deployment:
    """Make a new deployment of the commit of `release`."""
    now = services.clock.now()
    return replace(
        release,
        id=services.ids.new(),
        position=position,
        delivery_id=None,
        correlation_id=correlation_id,
        actor=actor,
        trigger=trigger,
        release_id=release.id,
        state=State.PLANNED,
        reason=None,
        principal=None,
        purpose=None,  # the release's purpose is not this one's; `approve/override.py` sets its own
        doubt=None,
        created_at=now,
        updated_at=now,
    )

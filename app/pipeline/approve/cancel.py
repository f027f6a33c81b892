"""End a deployment that has not been dispatched yet, as a person's own act with a right of its own (`cancel`).

The policies are asked without evidence: a deployment whose repository cannot be read must be cancellable, too.
"""

from __future__ import annotations

from app.domain.audit import AuditAction
from app.domain.decision import Action, Decision
from app.domain.deployment import NEXT_STAGE, WAITING, Deployment, State
from app.domain.errors import Forbidden, NotAllowed, NotFound
from app.domain.principal import Principal, PrincipalKind
from app.domain.session import Session
from app.domain.text import plain_line
from app.pipeline.decide.case import Act
from app.pipeline.decide.completion import ABSENT, BEST
from app.pipeline.decide.judgement import environment_of, record_of, remember_policy
from app.pipeline.decide.right import Claim, check_claim
from app.pipeline.line.stage import Move, conclude
from app.pipeline.ports.services import Guard, Services

_NOTHING = {name: ABSENT[name] for name in BEST}  # is known of the commits


def cancel(
    services: Services, deployment_id: str, who: Principal, reason: str = "", *, session: Session | None = None
) -> Deployment:
    """End the deployment as denied, and let the next one have its place; return it as it is then.

    The right is judged by this session, or without one (on the command line) by the person's newest. Raises NotFound, NotAllowed
    (it has ended, or its start is under way), RateLimited, and Forbidden, which is audited if the right is missing.
    """
    started_at, guard = services.clock.now(), services.guard()
    with services.store.reading() as unit:
        deployment = _cancellable(unit.deployments.get(deployment_id), deployment_id)
    decision = _right_to_cancel(services, guard, deployment, who, session)
    why = f"cancelled by {who.subject}" + (f": {plain_line(reason)}" if reason.strip() else "")
    with services.store.unit() as unit:
        unit.slots.lock(deployment.environment)  # always before the row, as in a stage
        current = _cancellable(unit.deployments.lock(deployment_id), deployment_id)
        remember_policy(unit, guard)
        detail = {"comment": plain_line(reason), "state": current.state.value, **record_of(decision)}
        unit.audit.append([services.recorder.entry(AuditAction.DEPLOYMENT_CANCELLED, detail, about=current, actor=who.subject)])
        move = Move(State.DENIED, {"cancelled_by": who.subject}, reason=why)
        wakes = conclude(services, unit, current, NEXT_STAGE[current.state], move, started_at).wakes
        ended = unit.deployments.get(deployment_id)
    for wake in wakes:
        services.wakes.run(wake)
    return ended or current


def _cancellable(deployment: Deployment | None, deployment_id: str) -> Deployment:
    if deployment is None:
        raise NotFound(f"there is no deployment {deployment_id}")
    if deployment.has_ended:
        raise NotAllowed(f"deployment {deployment.id} has already ended: it is {deployment.state}")
    if deployment.state not in WAITING:
        raise NotAllowed(
            f"deployment {deployment.id} is {deployment.state}: its start cannot be taken back. Stop it at its target;"
            f" or let it end, and go back: tidegate deployment rollback {deployment.environment}"
        )
    return deployment


def _right_to_cancel(
    services: Services, guard: Guard, deployment: Deployment, who: Principal, session: Session | None
) -> Decision:
    """Decide whether this person may cancel here now; raises Forbidden, RateLimited and NotAllowed."""
    if who.why_barred is not None:
        raise Forbidden(who.why_barred)
    if who.kind is not PrincipalKind.HUMAN:
        raise Forbidden(f"{who.subject} is not a person ({who.kind}), and only people cancel")
    environment = environment_of(guard, deployment)
    if session is None:
        with services.store.reading() as unit:
            session = unit.sessions.newest(who.subject, services.clock.now(), guard.issuer_urls)
    place = (environment.name, environment.repository)
    claim = Claim(who, Action.CANCEL, session, *place, act=Act.of(deployment), evidence=_NOTHING)
    return check_claim(services, guard, claim, about=deployment)

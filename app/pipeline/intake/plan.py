"""Turn pending deliveries into deployments: one per matching environment, its commit pinned. Next: `line/identify.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from app.domain.audit import AuditAction, AuditEntry
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, State, Trigger, Wake
from app.domain.environment import Environment
from app.domain.errors import GateError, RepositoryBusy
from app.domain.event import Event, EventKind
from app.domain.text import plain_line
from app.pipeline.intake.admit import IN_LANE, admit
from app.pipeline.intake.why_no_environment import why_no_environment
from app.pipeline.ports.services import Guard, Services
from app.pipeline.ports.stores.unit import Unit

BATCH = 50


@dataclass(frozen=True, slots=True)
class PlanResult:
    """The result of one round of planning: the deployments, the wakes of those that may get under way, and whether more wait.

    `after` is the repository after which the next round goes on. `unresolved` lists deliveries whose commit must be found first.
    """

    deployments: tuple[Deployment, ...]
    wakes: tuple[Wake, ...]
    has_more: bool
    after: str = ""
    unresolved: tuple[str, ...] = ()


class _DeliveryPlan(NamedTuple):
    """A delivery and the deployments that it asks for."""

    delivery: Delivery
    deployments: tuple[Deployment, ...]


def plan(services: Services, after: str = "") -> PlanResult:
    """Plan the oldest pending deliveries, in the order of receipt; if many wait, also some of each repository.

    Pushes are planned in one transaction. Tags and releases are first resolved at the forge (`resolve`), in other threads.
    """
    guard = services.guard()
    deployments: list[Deployment] = []
    to_resolve: list[Delivery] = []
    now = services.clock.now()
    with services.store.unit() as unit:
        deliveries, has_more, after = _claim(unit, now, after)
        plans: list[_DeliveryPlan] = []
        for delivery in deliveries:
            environments = _matching_environments(guard, delivery)
            if environments and _needs_resolving(delivery):
                to_resolve.append(delivery)
            else:
                plans.append(_plan_of(services, delivery, environments, sha=_pushed_commit(delivery)))
        if to_resolve:
            unit.deliveries.reserve([d.id for d in to_resolve], now + timedelta(seconds=services.limits.sweep_after))
        deployments += _write(services, unit, plans)
        wakes = admit(services, unit, _environments(deployments))
    return PlanResult(tuple(deployments), tuple(wakes), has_more, after, tuple(d.id for d in to_resolve))


def resolve(services: Services, delivery_id: str) -> PlanResult:
    """Find the commit of a tag or release at the forge, and plan its delivery; raises what is unexpected, after noting it."""
    with services.store.reading() as unit:
        delivery = unit.deliveries.get(delivery_id)
    if delivery is None or delivery.state is not DeliveryState.PENDING or not _needs_resolving(delivery):
        return PlanResult((), (), has_more=False)
    try:
        deployments, wakes = _resolve_and_plan(services, services.guard(), delivery)
    except RepositoryBusy as fault:
        fault.when_free(delivery.id, lambda: services.wakes.resolve(delivery.id))
        return PlanResult((), (), has_more=False)
    return PlanResult(tuple(deployments), tuple(wakes), has_more=False)


def _claim(unit: Unit, now: datetime, after: str) -> tuple[list[Delivery], bool, str]:
    """Claim the oldest; if they fill a batch, also the oldest of each of the next repositories, so that no flood blocks them."""
    oldest = unit.deliveries.claim_pending(now, BATCH)
    if len(oldest) < BATCH:
        return oldest, False, ""
    others, after = unit.deliveries.claim_fairly(now, BATCH, newer_than=oldest[-1].position, after=after)
    return oldest + others, True, after


def _environments(deployments: Sequence[Deployment]) -> list[str]:
    return sorted({d.environment for d in deployments})


def _matching_environments(guard: Guard, delivery: Delivery) -> list[Environment]:
    event = delivery.event
    return [e for e in guard.environments if event is not None and e.deploys_event(event)]


def _needs_resolving(delivery: Delivery) -> bool:
    return delivery.event is not None and delivery.event.kind is not EventKind.PUSH


def _pushed_commit(delivery: Delivery) -> str | None:
    return delivery.event.after if delivery.event else None


def _resolve_and_plan(services: Services, guard: Guard, delivery: Delivery) -> tuple[list[Deployment], list[Wake]]:
    event = delivery.event
    assert event is not None
    try:
        sha = guard.repositories.fetch(event.repository.key, event.ref, event.after)
    except RepositoryBusy:
        raise
    except Exception as fault:
        _postpone(services, delivery, fault)
        if not isinstance(fault, GateError):
            raise
        return [], []
    with services.store.unit() as unit:
        if unit.deliveries.claim(delivery.id) is None:
            return [], []  # another planner was faster
        delivery_plan = _plan_of(services, delivery, _matching_environments(guard, delivery), sha=sha)
        deployments = _write(services, unit, [delivery_plan])
        return deployments, admit(services, unit, _environments(deployments))


def _postpone(services: Services, delivery: Delivery, fault: Exception) -> None:
    """Try again later, after a longer pause each time; give up with the reason if trying again cannot help.

    The text of an unexpected fault goes to the log only, since it may hold anything.
    """
    why = plain_line(str(fault) if isinstance(fault, GateError) else f"an unexpected {type(fault).__name__}; the log tells more")
    with services.store.unit() as unit:
        if unit.deliveries.claim(delivery.id) is None:
            return
        tries = unit.deliveries.postpone(delivery.id, services.clock.now(), why)
        if (isinstance(fault, GateError) and fault.permanent) or tries >= services.limits.resolve_attempts:
            reason = f"the tag cannot be resolved: {why}"
            unit.deliveries.finish({delivery.id: reason})
            unit.audit.append([_ignored_entry(services, delivery, reason)])


def _plan_of(services: Services, delivery: Delivery, environments: Sequence[Environment], *, sha: str | None) -> _DeliveryPlan:
    event = delivery.event
    if event is None or sha is None:
        return _DeliveryPlan(delivery, ())
    new = (new_deployment(services, delivery, event, e, sha) for e in environments)
    return _DeliveryPlan(delivery, tuple(replace(deployment, reason=IN_LANE) for deployment in new))


def _write(services: Services, unit: Unit, plans: Sequence[_DeliveryPlan]) -> list[Deployment]:
    """Write all plans at once, and return the new deployments. Those that were planned before are left out (invariant 2)."""
    new_ids = unit.deployments.add_all([d for plan in plans for d in plan.deployments])
    all_new: list[Deployment] = []
    reasons: dict[str, str | None] = {}
    entries: list[AuditEntry] = []
    for each in plans:
        delivery, deployments = each
        new = [d for d in deployments if d.id in new_ids]
        reason = None if new else _why_nothing(services, unit, each)
        reasons[delivery.id] = reason
        if reason is not None:
            entries.append(_ignored_entry(services, delivery, reason))
        entries += [_planned_entry(services, d) for d in new]
        all_new += new
    unit.deliveries.finish(reasons)
    unit.audit.append(entries)
    return all_new


def _ignored_entry(services: Services, delivery: Delivery, reason: str) -> AuditEntry:
    sender = f"forge:{delivery.forge}"
    return services.recorder.entry(AuditAction.DELIVERY_IGNORED, {"reason": reason}, about=delivery, actor=sender)


def _planned_entry(services: Services, deployment: Deployment) -> AuditEntry:
    detail = {"ref": deployment.ref, "repository": deployment.repository.key, "trigger": deployment.trigger}
    return services.recorder.entry(AuditAction.DEPLOYMENT_PLANNED, detail, about=deployment)


def new_deployment(services: Services, delivery: Delivery, event: Event, environment: Environment, sha: str) -> Deployment:
    """Make the deployment that `event` asks for, with the commit pinned."""
    now = services.clock.now()
    return Deployment(
        id=services.ids.new(),
        position=delivery.position,
        delivery_id=delivery.id,
        correlation_id=delivery.id,
        environment=environment.name,
        repository=event.repository,
        ref=event.ref,
        before=event.before,
        sha=sha,
        actor=event.actor,
        trigger=Trigger(event.kind.value),
        release_id=None,
        state=State.PLANNED,
        reason=None,
        principal=None,
        created_at=now,
        updated_at=now,
    )


def _why_nothing(services: Services, unit: Unit, plan: _DeliveryPlan) -> str:
    delivery, planned_before = plan
    event = delivery.event
    if event is None:
        return delivery.reason or "no deployment follows from it"
    if planned_before:
        return f"{event.ref} at {planned_before[0].sha} was already planned; replay it to deploy it again"
    return why_no_environment(services.guard().environments, event, unit.deployments.former_names)

"""Turn pending deliveries into deployments: one per matching environment, its commit pinned. Next: `line/identify.py`.

Pushes of new commits are planned here, many at once. `plan_one.py` plans each delivery that needs more: a question to the
forge, or a look at what is known of its act.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, Wake
from app.domain.errors import GateError, RepositoryBusy
from app.domain.event import EventKind
from app.pipeline.intake.admit import admit
from app.pipeline.intake.draft import DeliveryPlan, ignored_entry, matching_environments, plan_of, planned_entry
from app.pipeline.intake.plan_one import plan_one, postpone
from app.pipeline.intake.why_no_environment import why_no_environment
from app.pipeline.ports.services import Services
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


def plan(services: Services, after: str = "") -> PlanResult:
    """Plan the oldest pending deliveries, in the order of receipt; if many wait, also some of each repository.

    Pushes are planned in one transaction. The others follow one by one in other threads (`resolve`): tags and releases are first
    resolved at the forge, and a ref that came to its commit before may have come there again. If the transaction fails
    unexpectedly, all follow one by one, so that one that cannot be planned holds up no other.
    """
    try:
        return _plan_batch(services, after)
    except GateError:
        raise
    except Exception:  # the task that plans the faulty one alone raises it again, and it is logged there
        return _set_apart(services, after)


def _plan_batch(services: Services, after: str) -> PlanResult:
    guard = services.guard()
    later: list[Delivery] = []
    now = services.clock.now()
    with services.store.unit() as unit:
        deliveries, has_more, after = _claim(unit, now, after)
        plans: list[DeliveryPlan] = []
        for delivery in deliveries:
            environments = matching_environments(guard, delivery)
            if environments and _needs_resolving(delivery):
                later.append(delivery)
            else:
                plans.append(plan_of(services, delivery, environments, sha=_pushed_commit(delivery)))
        deployments, known = _write(services, unit, plans)
        later = sorted([*later, *known], key=lambda delivery: delivery.position)
        if later:
            unit.deliveries.reserve([d.id for d in later], now + timedelta(seconds=services.limits.sweep_after))
        wakes = admit(services, unit, sorted({d.environment for d in deployments}))
    return PlanResult(tuple(deployments), tuple(wakes), has_more, after, tuple(d.id for d in later))


def _set_apart(services: Services, after: str) -> PlanResult:
    """Leave each of these deliveries to a task of its own."""
    now = services.clock.now()
    with services.store.unit() as unit:
        deliveries, has_more, after = _claim(unit, now, after)
        unit.deliveries.reserve([d.id for d in deliveries], now + timedelta(seconds=services.limits.sweep_after))
    return PlanResult((), (), has_more, after, tuple(d.id for d in sorted(deliveries, key=lambda d: d.position)))


def resolve(services: Services, delivery_id: str) -> PlanResult:
    """Plan one delivery by itself; raises what is unexpected, after noting it."""
    with services.store.reading() as unit:
        delivery = unit.deliveries.get(delivery_id)
    if delivery is None or delivery.event is None or delivery.state is not DeliveryState.PENDING:
        return PlanResult((), (), has_more=False)
    try:
        deployments, wakes = plan_one(services, services.guard(), delivery)
    except RepositoryBusy as fault:
        fault.when_free(delivery.id, lambda: services.wakes.resolve(delivery.id))
        return PlanResult((), (), has_more=False)
    except GateError:
        raise
    except Exception as fault:
        postpone(services, delivery, fault)
        raise
    return PlanResult(tuple(deployments), tuple(wakes), has_more=False)


def _claim(unit: Unit, now: datetime, after: str) -> tuple[list[Delivery], bool, str]:
    """Claim the oldest; if they fill a batch, also the oldest of each of the next repositories, so that no flood blocks them."""
    oldest = unit.deliveries.claim_pending(now, BATCH)
    if len(oldest) < BATCH:
        return oldest, False, ""
    others, after = unit.deliveries.claim_fairly(now, BATCH, newer_than=oldest[-1].position, after=after)
    return oldest + others, True, after


def _needs_resolving(delivery: Delivery) -> bool:
    return delivery.event is not None and delivery.event.kind is not EventKind.PUSH


def _pushed_commit(delivery: Delivery) -> str | None:
    return delivery.event.after if delivery.event else None


def _write(services: Services, unit: Unit, plans: Sequence[DeliveryPlan]) -> tuple[list[Deployment], list[Delivery]]:
    """Write all plans at once; return the new deployments, and the deliveries whose ref came to its commit before."""
    new_ids = unit.deployments.add_all([d for plan in plans for d in plan.deployments])
    all_new: list[Deployment] = []
    known: list[Delivery] = []
    reasons: dict[str, str | None] = {}
    entries: list[AuditEntry] = []
    for each in plans:
        delivery, deployments = each
        new = [d for d in deployments if d.id in new_ids]
        if len(new) < len(deployments):
            known.append(delivery)
        else:
            reason = None if new else _why_nothing(services, unit, delivery)
            reasons[delivery.id] = reason
            entries += [ignored_entry(services, delivery, reason)] if reason is not None else []
        entries += [planned_entry(services, d) for d in new]
        all_new += new
    unit.deliveries.finish(reasons)
    unit.audit.append(entries)
    return all_new, known


def _why_nothing(services: Services, unit: Unit, delivery: Delivery) -> str:
    event = delivery.event
    if event is None:
        return delivery.reason or "no deployment follows from it"
    return why_no_environment(services.guard().environments, event, unit.deployments.former_names)

"""Two deliveries of one act name different senders: one of them is false, and the gate cannot tell which.

Nothing that is not dispatched yet goes on without a person (`line/hold.py`). After the dispatch it is an alarm. Whoever knows
the secret can name ever more senders; after a few the deployment ends, so that nobody is asked or told for ever.
"""

from __future__ import annotations

from app.domain.audit import AuditAction
from app.domain.deployment import MOST_SENDERS, WAITING, Deployment, Doubt, Stage, State, Trigger, Wake
from app.domain.text import plain_line
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit
from app.pipeline.tell.tell import deployment_notice, tell

_NEVER_DISPATCHED = (State.DENIED, State.SUPERSEDED)


def is_disputed(planned: Deployment, draft: Deployment) -> bool:
    """Tell whether a second delivery of a planned act names an account that no delivery of this act has named.

    A release of a tag does not say who pushed the tag, so any person may publish it.
    """
    if draft.trigger is Trigger.RELEASE and planned.trigger is not Trigger.RELEASE:
        return False
    doubt = planned.doubt
    return draft.actor.key not in {planned.actor.key, *(doubt.accounts if doubt is not None else ())}


def dispute(services: Services, unit: Unit, planned: Deployment, draft: Deployment) -> tuple[str, list[Wake]]:
    """Note the dispute about a planned deployment, and tell sinks; return the reason, and the wakes to decide it anew."""
    unit.slots.lock(planned.environment)  # always before a deployment's row; nothing is dispatched meanwhile
    current = unit.deployments.lock(planned.id) or planned
    others = current.doubt.accounts if current.doubt is not None else ()
    if current.doubt is not None and current.doubt.is_hopeless:
        return current.doubt.why, []  # told before
    is_hopeless = len(others) + 1 >= MOST_SENDERS
    why = plain_line(f"{_claim(current, draft)}; {_give_up(current) if is_hopeless else _consequence(current)}")
    unit.acts.dispute(current, Doubt(why, (*others, draft.actor.key), services.clock.now()))
    detail = {
        "reason": why,
        "accounts": [current.actor.key, *others, draft.actor.key],
        "state": current.state.value,
        "other_delivery": draft.delivery_id,
    }
    unit.audit.append([services.recorder.entry(AuditAction.DEPLOYMENT_DISPUTED, detail, about=current)])
    tell(services, unit, deployment_notice(services, current, "disputed", why), environment=current.environment)
    is_decided_anew = current.state in WAITING and current.state is not State.PLANNED
    return why, [Wake.of(current, Stage.CHECK_PERMISSION)] if is_decided_anew else []


def _give_up(planned: Deployment) -> str:
    return (
        f"more than {MOST_SENDERS} accounts are named by now: somebody who knows the webhook's secret makes them up. Nothing "
        f"that waits goes on; change the secret, and deploy this as your own act: tidegate delivery replay {planned.delivery_id}"
    )


def _claim(planned: Deployment, draft: Deployment) -> str:
    one, other = planned.actor, draft.actor
    return (
        f"{one.key} ({one.login}) by delivery {planned.delivery_id} and {other.key} ({other.login}) by delivery "
        f"{draft.delivery_id} are both named as the sender of this act"
    )


def _consequence(planned: Deployment) -> str:
    if planned.state in WAITING:
        return f"another person must decide, who may approve it: tidegate approval approve {planned.id}"
    if planned.state in _NEVER_DISPATCHED:
        return f"deployment {planned.id} was {planned.state.value} before, so nothing is dispatched"
    return f"deployment {planned.id} was dispatched before; to go back, run: tidegate deployment rollback {planned.environment}"

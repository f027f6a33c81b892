"""Store notices to sinks in the transaction of a step. They are sent after it (`notify.py`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from app.domain.deployment import Deployment
from app.domain.notice import ALSO_TO, ONLY_PERSON, Notice, notice_event
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit


def tell(services: Services, unit: Unit, notice: Notice, *, environment: str | None) -> None:
    """Store the notice for each sink that wants it; beat has it sent within seconds."""
    sinks = [name for name, binding in services.guard().sinks.items() if binding.wants(notice.event, environment)]
    unit.notices.add(notice, sinks, services.clock.now())


def tell_person(services: Services, unit: Unit, notice: Notice, addresses: Collection[str]) -> None:
    """Store a notice for each sink that wants it, and for the person whom it is about: mail sinks send it there, too."""
    now, person = services.clock.now(), sorted(addresses)
    for name, binding in services.guard().sinks.items():
        wants = binding.wants(notice.event, None)
        mail = {ALSO_TO: person, ONLY_PERSON: not wants} if binding.is_mail and person else {}
        if wants or mail:
            unit.notices.add(replace(notice, detail=notice.detail | mail), [name], now)


def deployment_notice(services: Services, deployment: Deployment, verb: str, reason: str) -> Notice:
    """Make the notice that `deployment:verb` happened, with everything that a reader needs to act on it."""
    what = f"{deployment.sha[:12]} of {deployment.ref} to {deployment.environment}"
    who = deployment.principal or f"{deployment.actor.key} ({deployment.actor.login})"
    lines = [
        f"{who} wants to bring {deployment.sha} of {deployment.ref} in {deployment.repository.key} to {deployment.environment}."
    ]
    lines += [f"Reason: {reason}"] if reason else []
    lines += [f"Purpose: {deployment.purpose}"] if deployment.purpose else []
    lines += [f"See: tidegate deployment show {deployment.id}"]
    return Notice(
        id=services.ids.new(),
        at=services.clock.now(),
        event=notice_event(f"deployment:{verb}"),
        subject=f"{verb}: {what}",
        text="\n".join(lines),
        detail={
            "deployment": deployment.id,
            "environment": deployment.environment,
            "repository": deployment.repository.key,
            "ref": deployment.ref,
            "sha": deployment.sha,
            "who": who,
            "reason": reason,
            "purpose": deployment.purpose or "",
        },
    )

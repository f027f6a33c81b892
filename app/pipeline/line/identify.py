"""Stage 1: prove who acted, and gather the evidence of the commits. Next: `authorize.py`.

The actor is the sender's account, never the payload's pusher or an e-mail.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.deployment import Deployment, Grounds, Stage, State, Trigger
from app.domain.principal import Principal
from app.pipeline.decide.judgement import active_principal
from app.pipeline.evidence.gather import evidence_of
from app.pipeline.line.stage import Move, Outcome, run_stage
from app.pipeline.ports.services import Guard, Services


def identify(services: Services, deployment_id: str) -> Outcome:
    """Run `validate_identity`; raises RepositoryUnavailable if the commits cannot be read now."""
    return run_stage(services, deployment_id, Stage.VALIDATE_IDENTITY, lambda d: _find(services, services.guard(), d))


def _find(services: Services, guard: Guard, deployment: Deployment) -> Move:
    with services.store.reading() as unit:
        grounds = unit.acts.grounds(deployment)  # the version is read before the map is asked: later changes show
    if (dispute := _why_disputed(deployment, grounds)) is not None:
        seen = grounds.why_not_from(deployment.actor.key)
        detail: dict[str, object] = {"account": deployment.actor.key, "pushed_by": sorted(seen)}
        return Move(State.DENIED, detail, reason=dispute, remarks=(("disputed", dispute),))
    if (doubtful := _why_another_repository(guard, deployment, grounds.other_numbers)) is not None:
        return Move(State.DENIED, {"account": deployment.actor.key}, reason=doubtful, remarks=(("disputed", doubtful),))
    fault, principal = active_principal(guard.identity, deployment.actor)
    if principal is None:
        return Move(State.DENIED, {"account": deployment.actor.key}, reason=fault)
    basis = {"access_version": grounds.access_version, "guard": guard.digest}
    detail = {**basis, **_who(deployment, principal), **evidence_of(services, guard, deployment)}
    return Move(State.IDENTIFIED, detail, principal=principal.subject)


def _why_disputed(deployment: Deployment, grounds: Grounds) -> str | None:
    """Say why the delivery's sender did not push this, by what the check before pushes saw; None if it saw nobody push it."""
    sender = deployment.actor
    if deployment.trigger not in (Trigger.PUSH, Trigger.TAG) or not (others := grounds.why_not_from(sender.key)):
        return None
    seen = ", ".join(sorted(others))
    whence = "" if grounds.pushers else f", and never from {deployment.before or 'nothing'} as the delivery says"
    return (
        f"the delivery names {sender.key} ({sender.login}) as the sender, but the check before pushes saw {seen} bring "
        f"{deployment.ref} to {deployment.sha}{whence}; if it is right all the same, deploy it as your own act: "
        f"tidegate delivery replay {deployment.delivery_id}"
    )


def _why_another_repository(guard: Guard, deployment: Deployment, others: Sequence[int]) -> str | None:
    """Say why the repository's number is not believed, or None. Acts and checked pushes are known by it, not by the name.

    A configured number is compared when the delivery is planned (`Environment.deploys_event`).
    """
    environment, repository = guard.environment(deployment.environment), deployment.repository
    is_bound = environment is not None and environment.repository_id is not None
    if is_bound or deployment.is_rollback or not others:
        return None
    return (
        f"the delivery says that {repository.key} has the number {repository.id}, and {deployment.environment} knows it by "
        f"{' and '.join(map(str, others))}: a delivery is false, or the repository was made anew; set repository_id of "
        f"{deployment.environment} in tidegate.toml to the number that the forge's API shows"
    )


def _who(deployment: Deployment, principal: Principal) -> dict[str, object]:
    return {
        "account": deployment.actor.key,
        "login": deployment.actor.login,
        "subject": principal.subject,
        "groups": sorted(principal.groups),
    }

"""Stage 1: prove who acted, and gather the evidence of the commits. Next: `authorize.py`.

The actor is the sender's account, never the payload's pusher or an e-mail.
"""

from __future__ import annotations

from app.domain.deployment import Deployment, Stage, State
from app.domain.principal import Principal
from app.pipeline.decide.judgement import active_principal
from app.pipeline.evidence.gather import evidence_of
from app.pipeline.line.stage import Move, Outcome, run_stage
from app.pipeline.ports.services import Guard, Services


def identify(services: Services, deployment_id: str) -> Outcome:
    """Run `validate_identity`; raises RepositoryUnavailable if the commits cannot be read now."""
    guard = services.guard()
    return run_stage(services, deployment_id, Stage.VALIDATE_IDENTITY, lambda d: _find(services, guard, d))


def _find(services: Services, guard: Guard, deployment: Deployment) -> Move:
    with services.store.reading() as unit:
        version = unit.access.version()  # read before the map is asked, so that later changes show
    fault, principal = active_principal(guard.identity, deployment.actor)
    if principal is None:
        return Move(State.DENIED, {"account": deployment.actor.key}, reason=fault)
    basis = {"access_version": version, "guard": guard.digest}
    detail = {**basis, **_who(deployment, principal), **evidence_of(services, guard, deployment)}
    return Move(State.IDENTIFIED, detail, principal=principal.subject)


def _who(deployment: Deployment, principal: Principal) -> dict[str, object]:
    return {
        "account": deployment.actor.key,
        "login": deployment.actor.login,
        "subject": principal.subject,
        "groups": sorted(principal.groups),
    }

"""Stage 3: say which short-lived credential this deployment may have. Nothing is secret yet. Next: `dispatch.py`."""

from __future__ import annotations

from dataclasses import asdict

from app.domain.deployment import Deployment, Stage, State
from app.domain.grant import Grant, subject_for
from app.pipeline.line.stage import Move, Outcome, run_stage
from app.pipeline.ports.services import Services


def grant(services: Services, deployment_id: str) -> Outcome:
    """Run `inject_token`: write down the claims of the token. The token is minted at dispatch, in memory."""

    def find(deployment: Deployment) -> Move:
        guard = services.guard()
        environment = guard.environment(deployment.environment)
        if environment is None:
            return Move(State.DENIED, reason=f"the configuration no longer has an environment {deployment.environment}")
        zones = tuple(sorted({guard.target_zones[t].name for t in environment.targets}))
        return Move(State.GRANTED, asdict(_grant(deployment, environment.audience, zones)))

    return run_stage(services, deployment_id, Stage.INJECT_TOKEN, find)


def _grant(deployment: Deployment, audience: str, zones: tuple[str, ...]) -> Grant:
    repository = deployment.repository
    return Grant(
        audience=audience,
        subject=subject_for(repository.owner, repository.owner_id, repository.full_name, repository.id, deployment.environment),
        repository=repository.full_name,
        repository_id=repository.id,
        environment=deployment.environment,
        ref=deployment.ref,
        sha=deployment.sha,
        zones=zones,
        actor=deployment.principal or deployment.actor.key,
        deployment_id=deployment.id,
    )

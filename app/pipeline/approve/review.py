"""Review an override afterwards: a person does it who has the right `review`, and had no hand in the override.

A review releases nothing. So if some hands in the commits are not known, it is taken all the same, and its entry says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from app.domain.audit import AuditAction, AuditEntry
from app.domain.decision import Action
from app.domain.deployment import Deployment, Stage, Trigger
from app.domain.errors import Forbidden, NotAllowed, NotFound
from app.domain.session import check_fresh
from app.domain.text import plain_line
from app.pipeline.approve.acting_person import Person
from app.pipeline.decide.case import Act, Case
from app.pipeline.decide.right import Claim, check_claim
from app.pipeline.decide.tally import involved_in
from app.pipeline.ports.services import Services

REVIEWER_SESSION = timedelta(hours=1)


def review(services: Services, deployment_id: str, person: Person, comment: str = "") -> AuditEntry:
    """Note that another person has looked at an override that went out.

    Raises NotFound, NotAllowed, RateLimited, and Forbidden, which is audited if the right is missing.
    """
    check_fresh(person.session, services.clock.now(), REVIEWER_SESSION)
    who = person.principal.subject
    deployment = _override(services, deployment_id)
    if who in (deployment.actor.id, deployment.principal):
        raise Forbidden(f"{who} made this override: another person must review it")
    evidence = _evidence_of_what_went_out(services, deployment)
    if who in _involved(services, deployment, evidence):
        raise Forbidden(f"{who} had a hand in what was deployed (wrote or pushed it): another person must review it")
    _check_right(services, deployment, person, evidence)
    with services.store.unit() as unit:
        if not unit.approvals.review(deployment.id, who, plain_line(comment), at=services.clock.now()):
            raise NotAllowed(f"override {deployment.id} has already been reviewed")
        detail = {"comment": plain_line(comment), "involved_known": evidence["involved_known"]}
        entry = services.recorder.entry(AuditAction.OVERRIDE_REVIEWED, detail, about=deployment, actor=who)
        unit.audit.append([entry])
    return entry


def _override(services: Services, deployment_id: str) -> Deployment:
    with services.store.reading() as unit:
        deployment = unit.deployments.get(deployment_id)
    if deployment is None or deployment.trigger is not Trigger.OVERRIDE:
        raise NotFound(f"there is no override {deployment_id}")
    return deployment


def _evidence_of_what_went_out(services: Services, deployment: Deployment) -> Mapping[str, Any]:
    """Return the evidence of the commits of an override that was dispatched; raises NotAllowed."""
    with services.store.reading() as unit:
        identified = unit.deployments.result(deployment.id, Stage.VALIDATE_IDENTITY)
        if identified is None or not unit.dispatches.of(deployment.id):
            raise NotAllowed(f"override {deployment.id} is {deployment.state} and has not gone out: there is nothing to review")
    return identified.detail


def _involved(services: Services, deployment: Deployment, evidence: Mapping[str, Any]) -> frozenset[str]:
    """List the people who had a hand in it, among them those whose e-mail was claimed since."""
    guard = services.guard()
    claimants = guard.identity.claimants_of(evidence["authors"])
    since = {subject for p in claimants for subject in (p.subject, p.owner) if subject is not None}
    case = Case(guard, (), Act.of(deployment), evidence, (), services.clock.now())
    return involved_in(case, deployment) | since


def _check_right(services: Services, deployment: Deployment, person: Person, evidence: Mapping[str, Any]) -> None:
    place = (deployment.environment, deployment.repository.key)
    act = Act(Action.REVIEW.value, deployment.ref, deployment.sha, person.account.login)
    claim = Claim(person.principal, Action.REVIEW, person.session, *place, act=act, evidence=evidence)
    check_claim(services, services.guard(), claim, about=deployment)

"""The cast of approvals: who pushes, who may approve, and a line with real policies that hold production."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from app.domain.approval import ApprovalSettings, Verdict, Vote
from app.domain.deployment import Deployment, Stage, State
from app.domain.principal import Principal, PrincipalKind
from app.domain.session import Session
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.approve.acting_person import Person
from app.pipeline.approve.vote import vote
from tests.fakes import person
from tests.pipeline.conftest import Line, environment

POLICY = """
@id("deployers-deploy") @reason("members of deployers may deploy")
permit (principal in Group::"deployers", action in [Action::"deploy", Action::"rollback"], resource);
@id("leads-approve") @reason("members of leads may approve; ask for membership")
permit (principal in Group::"leads", action == Action::"approve", resource);
@id("leads-look-after") @reason("members of leads review overrides and change policies")
permit (principal in Group::"leads", action in [Action::"review", Action::"change-policies"], resource);
@id("two-people") @reason("another person must approve")
forbid (principal, action == Action::"deploy", resource == Environment::"production") unless { context.approvals.met };
@id("on-call-overrides")
permit (principal in Group::"on-call", action == Action::"override", resource) when { context.session.mfa_age < 900 };
@id("gate") permit (principal == Principal::"tidegate", action == Action::"rollback", resource);
"""
ROBOT = replace(person("robot", "gogs:9"), kind=PrincipalKind.AGENT, owner="carol")
PEOPLE = {
    "gogs:2": person("alice", "gogs:2", groups=("deployers", "leads", "on-call")),
    "gogs:3": person("bob", "gogs:3", groups=("leads",)),
    "gogs:5": person("dana", "gogs:5", groups=("leads", "on-call")),
    "gogs:6": person("carol", "gogs:6", groups=("leads",)),
    "gogs:7": person("erin", "gogs:7", groups=()),
    "gogs:9": ROBOT,
}


@dataclass
class Held:
    """The line, with production held for approvals."""

    line: Line

    def configure(self, approvals: ApprovalSettings) -> None:
        """Ask for other approvals."""
        self.line.environments[:] = [environment(approvals=approvals)]

    def principal(self, subject: str) -> Principal:
        """Return somebody as the access map has him now."""
        found = self.line.identity.principal(subject)
        assert found is not None
        return found

    def change(self, subject: str, **over: object) -> None:
        """Have the access map say something else of somebody, from now on."""
        people = self.line.identity.people
        (key,) = (key for key, who in people.items() if who.subject == subject)
        people[key] = replace(people[key], **over)  # type: ignore[arg-type]
        with self.line.services.store.unit() as unit:
            unit.access.raise_version()

    def in_person(self, subject: str, *, age: float = 60.0, mfa: bool = True) -> Person:
        """Have somebody act with a sign-in of this age."""
        at = self.line.clock.now() - timedelta(seconds=age)
        session = Session(
            self.line.services.ids.new(), subject, "corp", at, at if mfa else None, "", ("mfa",), "", "", "https://id.example"
        )
        return Person(self.principal(subject), session)

    def vote(self, deployment: Deployment, subject: str, verdict: Verdict = Verdict.APPROVE, **how: Any) -> Vote:
        """Vote as somebody who has just signed in."""
        return vote(self.line.services, deployment.id, self.in_person(subject, **how), verdict, "")

    def held(self, word: str = "one") -> Deployment:
        """Push, and run until it is held."""
        deployment = self.line.run(self.line.push(word))
        assert deployment.state is State.HELD, deployment.reason
        return deployment

    def resumed(self, deployment: Deployment, last: Stage = Stage.CONFIRM_DEPLOY) -> Deployment:
        """Run what was woken."""
        return self.line.run(deployment, last)

    def requests(self, deployment: Deployment) -> list[str]:
        """List the states of all requests of a deployment, oldest first."""
        query = "SELECT state FROM approval_requests WHERE deployment_id = %s ORDER BY requested_at, id"
        with self.line.engine.connect() as connection:
            return [row[0] for row in connection.exec_driver_sql(query, (deployment.id,))]


def holding(line: Line) -> Held:
    """Give the line its people and policies."""
    line.identity.people = dict(PEOPLE)
    line.policy = CedarPolicy({"a.cedar": POLICY})  # type: ignore[assignment]
    return Held(line)

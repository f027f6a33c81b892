"""Tell what a caller may read over HTTP: environments with their deployments, and proposed policies. Deploys nothing.

While no policy in force names the action `read`, people read everything, and agents and machines read nothing but their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.domain.decision import Action, Effect
from app.domain.deployment import Deployment
from app.domain.principal import Principal, PrincipalKind
from app.domain.proposal import Proposal
from app.domain.session import Session
from app.pipeline.decide.right import Claim, decide_claim
from app.pipeline.ports.services import Guard, Services


@dataclass(frozen=True, slots=True)
class Reader:
    """One caller who reads. Each environment is asked about once."""

    services: Services
    guard: Guard
    principal: Principal
    session: Session | None
    _answers: dict[tuple[str, str], bool] = field(default_factory=dict)

    def reads(self, deployment: Deployment) -> bool:
        """Tell whether the caller may see this deployment."""
        return self._may_read(deployment.environment, deployment.repository.key)

    def reads_environment(self, name: str) -> bool:
        """Tell whether the caller may see the deployments of a configured environment."""
        environment = self.guard.environment(name)
        return environment is not None and self._may_read(name, environment.repository)

    def reads_proposal(self, proposal: Proposal) -> bool:
        """Tell whether the caller may see this proposal: an own one, or one about what the caller reads."""
        if proposal.proposer == self.principal.subject:
            return True
        return self._may_read(proposal.environment or "", "")

    def reads_policies(self) -> bool:
        """Tell whether the caller may see proposed policies, and with them those in force."""
        return self._may_read("", "")

    def hidden(self) -> frozenset[str]:
        """List the configured environments that the caller may not see."""
        return frozenset(e.name for e in self.guard.environments if not self._may_read(e.name, e.repository))

    def _may_read(self, environment: str, repository: str) -> bool:
        if not self.guard.policy.names(Action.READ):
            return self.principal.kind is PrincipalKind.HUMAN
        place = (environment, repository)
        if place not in self._answers:
            claim = Claim(self.principal, Action.READ, self.session, *place)
            self._answers[place] = decide_claim(self.services, self.guard, claim).effect is Effect.ALLOW
        return self._answers[place]

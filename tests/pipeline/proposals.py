"""The cast of proposals: what an agent proposes about the line that `approvals.py` holds, and what became of it."""

from __future__ import annotations

from collections.abc import Callable

from app.domain.deployment import Deployment, State
from app.domain.event import Account
from app.domain.proposal import Proposal, ProposalState
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.approve.propose import proposal_named, propose_policy, propose_rollback
from tests.fakes import FakePolicy
from tests.pipeline.approvals import POLICY, ROBOT, Held

FILE = "a.cedar"
CLEARER = POLICY.replace("another person must approve", "somebody else must approve")
WHY = "errors rose tenfold since then"
OPERATOR = Account("os", "root", "root")


def policy_proposal(held: Held, text: str = CLEARER, file: str = FILE) -> Proposal:
    return propose_policy(held.line.services, ROBOT, file, text, reason=WHY)


def releases(held: Held, *words: str) -> list[Deployment]:
    """Release one after the other, by policies that let everything through."""
    strict, held.line.policy = held.line.policy, FakePolicy()
    made = [held.line.run(held.line.push(word)) for word in words]
    assert {each.state for each in made} == {State.SUCCEEDED}
    held.line.policy = strict
    return made


def rollback_proposal(held: Held) -> Proposal:
    return propose_rollback(held.line.services, ROBOT, "production", None, reason=WHY)


def state(held: Held, proposal: Proposal) -> ProposalState:
    return proposal_named(held.line.services, proposal.id).state


def audited(held: Held) -> list[tuple[str, str]]:
    with held.line.engine.connect() as connection:
        query = "SELECT action, actor FROM audit_entries WHERE action LIKE 'proposal:%%' ORDER BY seq"
        return [(row[0], row[1]) for row in connection.exec_driver_sql(query)]


def written(held: Held) -> Callable[[str, str], None]:
    """Write files where the line's policies come from."""

    def write(name: str, text: str) -> None:
        held.line.policy = CedarPolicy({**held.line.policy.files, name: text})  # type: ignore[assignment]  # a line begins with a fake

    return write

"""Who may vote on a deployment: decided for one person, by the rights of this moment. Used by `vote.py` and `waiting.py`."""

from __future__ import annotations

from dataclasses import replace

from app.domain.decision import Action, Decision
from app.domain.deployment import Deployment
from app.domain.errors import Forbidden
from app.domain.session import check_fresh
from app.pipeline.approve.acting_person import Person
from app.pipeline.decide.case import Case
from app.pipeline.decide.judgement import decide
from app.pipeline.decide.tally import involved_in, why_no_voter
from app.pipeline.decide.what_if import explain


def right_to_vote(case: Case, deployment: Deployment, person: Person) -> Decision:
    """Decide whether this person may vote here now; raises Forbidden."""
    who = person.principal
    check_fresh(person.session, case.now, case.environment.approvals.session)
    if not case.evidence["involved_known"]:
        raise Forbidden("it brings so many commits that not all authors are known: nobody can be shown to have had no hand in it")
    is_involved = who.subject in involved_in(case, deployment)
    decision = decide(replace(case, session=person.session, is_involved=is_involved), who, Action.APPROVE)
    explained = replace(decision, reason=explain(case.guard.policy, decision))
    bare = why_no_voter(who, explained, is_involved=is_involved)
    if bare is not None:
        raise Forbidden(bare)
    return decision

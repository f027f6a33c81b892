"""Every answer, as the API and as `--json` spell it, is what it was: to the letter, names in their order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from app.answers import (
    approval,
    audit,
    delivery,
    deployment,
    freeze,
    gate,
    notice,
    override,
    people,
    policy,
    proposal,
    push,
    scim,
)
from app.domain.environment import Environment
from app.domain.principal import How
from app.integrations.policy.cedar import CedarPolicy
from tests.answers import values
from tests.shapes import golden

POLICIES = CedarPolicy({"own.cedar": '@id("two") @reason("why") permit (principal, action, resource);'})
PLACE = Environment("production", "gogs:acme/shop", 1, ("branch:main",), ("site",), "https://shop.example/deploy")
ANSWERS: dict[str, Callable[[], Any]] = {
    "deployment_answer": lambda: deployment.deployment_answer(values.DEPLOYMENT),
    "deployment_json": lambda: deployment.deployment_json(values.DEPLOYMENT),
    "deployments_answer": lambda: deployment.deployments_answer([values.DEPLOYMENT]),
    "deployment.detail_answer": lambda: deployment.detail_answer(values.VIEW, [values.ENTRY], values.WAITING),
    "deployment.detail_json": lambda: deployment.detail_json(values.VIEW, [values.ENTRY]),
    "vote_answer": lambda: approval.vote_answer(values.VOTE),
    "vote_json": lambda: approval.vote_json(values.VOTE),
    "approvals_answer": lambda: approval.approvals_answer([values.WAITING]),
    "waiting_json": lambda: approval.waiting_json(values.WAITING),
    "overrides_answer": lambda: override.overrides_answer([values.OVERRIDE]),
    "override_json": lambda: override.override_json(values.OVERRIDE),
    "review_answer": lambda: override.review_answer(values.REVIEWED),
    "review_json": lambda: override.review_json(values.REVIEWED),
    "proposal_answer": lambda: proposal.proposal_answer(values.PROPOSAL, values.NOW),
    "proposal_json": lambda: proposal.proposal_json(values.PROPOSAL),
    "proposals_answer": lambda: proposal.proposals_answer([values.PROPOSAL], values.NOW),
    "proposal.listed_json": lambda: proposal.listed_json(values.PROPOSAL, values.NOW),
    "proposal.detail_answer": lambda: proposal.detail_answer(values.PROPOSAL, values.NOW, "-old\n+new"),
    "proposal.detail_json": lambda: proposal.detail_json(values.PROPOSAL, values.NOW, "-old\n+new"),
    "push_answer": lambda: push.push_answer(values.PUSH),
    "push_text": lambda: push.push_text(values.PUSH, 2),
    "link_answer": lambda: people.link_answer(values.LINK),
    "link_json": lambda: people.link_json(values.LINK),
    "links_answer": lambda: people.links_answer([values.LINK]),
    "me_answer": lambda: people.me_answer(
        values.PRINCIPAL, [values.LINK], how=How.SESSION, session=values.SESSION, csrf_token="c-1", token=values.TOKEN
    ),
    "standing_json": lambda: people.standing_json(values.STANDING),
    "rights_json": lambda: people.rights_json(values.RIGHTS, values.RIGHTS.answers[:1]),
    "sources_json": lambda: people.sources_json({"directory": values.RULE, "new": values.RULE}, {"directory": values.SOURCE}),
    "reading_json": lambda: people.reading_json(values.READING),
    "key_json": lambda: people.key_json(values.KEY),
    "check_json": lambda: policy.check_json(POLICIES, ["a note"]),
    "outcome_json": lambda: policy.outcome_json("one", values.DECISION, "expected allow"),
    "simulation_json": lambda: policy.simulation_json(values.SIMULATION),
    "change_json": lambda: policy.change_json("changed", "two", "own.cedar:3", ["-a", "+b"]),
    "explanation_json": lambda: policy.explanation_json(
        values.ENTRY, values.DECISION, places={"two": "own.cedar:3"}, ways=[("somebody approves",)], culprits=["one"]
    ),
    "replay_json": lambda: policy.replay_json(values.REPLAYED, 1.23456),
    "freeze_json": lambda: freeze.freeze_json(values.UPCOMING),
    "notice_json": lambda: notice.notice_json(values.NOTICE),
    "sent_json": lambda: notice.sent_json("chat", values.NOTICE.notice),
    "delivery_json": lambda: delivery.delivery_json(values.DELIVERY),
    "delivery.detail_json": lambda: delivery.detail_json(values.DELIVERY, [values.DEPLOYMENT], [values.ENTRY]),
    "entries_json": lambda: audit.entries_json([values.ENTRY]),
    "token_json": lambda: scim.token_json(values.SCIM_TOKEN),
    "created_json": lambda: scim.created_json(values.SCIM_TOKEN, secret="tgs_x", url="http://gate/scim/v2"),
    "revoked_json": lambda: scim.revoked_json(values.SCIM_TOKEN),
    "configuration_json": lambda: gate.configuration_json("digest", [PLACE]),
    "installed_json": lambda: gate.installed_json(Path("/srv/shop.git"), is_closed=True, kept=Path("/srv/kept")),
    "removed_json": lambda: gate.removed_json(values.REMOVED),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_spelled_as_it_always_was(name: str) -> None:
    answer = ANSWERS[name]()
    plain = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
    assert json.loads(json.dumps(plain, default=str)) == golden("answers.json")[name]

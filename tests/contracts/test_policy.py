"""What the pipeline relies on from any policy engine, the real one and the fake."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from app.domain.decision import Action, DecisionRequest, Effect
from app.domain.principal import GATE_PRINCIPAL, Principal
from app.integrations.policy.cedar import CedarPolicy
from app.integrations.policy.protocol import Policy
from tests.fakes import FakePolicy, person
from tests.integrations.policy.cast import CONTEXT

TEXT = """
@id("deployers") permit (principal in Group::"deployers", action, resource);
@id("gate") permit (principal == Principal::"tidegate", action, resource);
@id("by-name") permit (principal, action in [Action::"approve", Action::"override"], resource)
when { principal in Group::"deployers" || principal == Principal::"tidegate" };
"""


def _engines() -> list[Policy]:
    return [CedarPolicy({"a.cedar": TEXT}), FakePolicy()]


@pytest.fixture(params=_engines(), ids=lambda engine: type(engine).__name__)
def policy(request: pytest.FixtureRequest) -> Policy:
    engine: Policy = request.param
    return engine


def asking(principal: Principal, action: Action = Action.DEPLOY) -> DecisionRequest:
    return DecisionRequest(principal, action, "production", "gogs:acme/shop", dict(CONTEXT))


@pytest.mark.parametrize("principal", [person("alice", "gogs:1"), GATE_PRINCIPAL], ids=["a member", "the gate"])
@pytest.mark.parametrize("action", list(Action))
def test_who_is_permitted_is_allowed_by_a_named_policy(policy: Policy, principal: Principal, action: Action) -> None:
    decision = policy.decide(asking(principal, action))
    assert decision.effect is Effect.ALLOW
    assert decision.policies
    assert decision.reason


@pytest.mark.parametrize("action", list(Action))
def test_who_is_not_permitted_is_denied_by_nobody(policy: Policy, action: Action) -> None:
    decision = policy.decide(asking(person("bob", "gogs:2", groups=()), action))
    assert (decision.effect, decision.policies) == (Effect.DENY, ())
    assert decision.reason


def test_a_decision_names_the_policy_version_and_holds_storable_evidence(policy: Policy) -> None:
    decision = policy.decide(asking(person("alice")))
    assert decision.policy_digest == policy.digest
    assert re.fullmatch("[0-9a-f]{64}", policy.digest)
    assert policy.text
    assert json.loads(json.dumps(decision.request)) == decision.request


def test_deciding_never_raises(policy: Policy) -> None:
    stranger = person("bob", "gogs:2", groups=())
    decision = policy.decide(replace(asking(stranger), context={}, environment="", repository=""))
    assert decision.effect is Effect.DENY

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
@id("by-name") permit (principal,
action in [Action::"approve", Action::"override", Action::"review", Action::"change-policies", Action::"read",
Action::"cancel", Action::"baseline"], resource)
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


@pytest.mark.parametrize("groups", [("deployers",), ()])
def test_a_recorded_request_is_decided_again_in_the_same_way(policy: Policy, groups: tuple[str, ...]) -> None:
    decision = policy.decide(asking(person("alice", groups=groups)))
    assert policy.recompute(json.loads(json.dumps(decision.request))) == decision


def test_a_damaged_record_is_a_deny(policy: Policy) -> None:
    assert policy.recompute({}).effect is Effect.DENY


def test_a_changed_policy_holds_the_new_file_and_leaves_the_former_as_it_was(policy: Policy) -> None:
    text = '@id("more") permit (principal, action, resource) when { principal.kind == "human" };'
    assert policy.changed("more.cedar", text).files == {**policy.files, "more.cedar": text}
    assert "more.cedar" not in policy.files


def test_the_texts_tell_what_they_name_and_ask_for(policy: Policy) -> None:
    assert policy.groups == {"deployers"} and not policy.repositories and not policy.facts
    assert not policy.asks("frozen", Action.DEPLOY, frozenset())
    asks = policy.about(policy.decide(asking(person("alice"))).request)
    assert asks.groups == {"deployers"} and not asks.facts
    assert not any(policy.reasons.values())

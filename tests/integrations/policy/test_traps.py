"""How a policy engine comes to allow by accident: Cedar's own traps, one test each."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.domain.decision import Effect
from tests.fakes import person
from tests.integrations.policy.cast import ALICE, CONTEXT, PERMIT_ALL, asking, assert_denied, policy


@pytest.mark.parametrize("name", sorted(CONTEXT))
def test_a_missing_context_attribute_denies(name: str) -> None:
    context = {key: value for key, value in CONTEXT.items() if key != name}
    decision = policy(PERMIT_ALL).decide(asking(context=context))
    assert_denied(decision)
    assert name in decision.reason


def test_a_missing_attribute_does_not_make_a_forbid_vanish() -> None:
    zones = '@id("zone") forbid (principal, action, resource) unless { ["eu-central"].containsAll(context.zones) };'
    guarded = policy(PERMIT_ALL + zones)
    assert guarded.decide(asking()).effect is Effect.ALLOW
    assert_denied(guarded.decide(asking(zones=["us-east"])))
    assert_denied(guarded.decide(asking(context={k: v for k, v in CONTEXT.items() if k != "zones"})))


def test_an_extra_context_attribute_denies() -> None:
    assert_denied(policy(PERMIT_ALL).decide(asking(surprise="yes")))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hour", "10"),
        ("hour", True),
        ("hour", 10.5),
        ("hour", 2**63),
        ("hour", None),
        ("authors_known", "true"),
        ("authors_known", 1),
        ("zones", "eu-central"),
        ("zones", [1]),
        ("ref", ["refs/heads/main"]),
        ("ref", {"__entity": {"type": "Principal", "id": "alice"}}),
        ("branch", "\ud800"),
    ],
)
def test_a_context_attribute_of_another_type_denies(name: str, value: object) -> None:
    assert_denied(policy(PERMIT_ALL).decide(asking(context=CONTEXT | {name: value})))


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), b"main"])
def test_a_context_that_is_not_json_denies_and_leaves_storable_evidence(value: object) -> None:
    decision = policy(PERMIT_ALL).decide(asking(ref=value))
    assert_denied(decision)
    json.dumps(decision.request, allow_nan=False).encode()


def test_an_erring_forbid_denies_although_a_permit_fits() -> None:
    erring = '@id("errs") forbid (principal, action, resource) when { context.hour + 9223372036854775807 > 30 };'
    decision = policy(PERMIT_ALL + erring).decide(asking())
    assert_denied(decision)
    assert decision.reason.startswith("the policy could not be evaluated: ")
    assert "overflow" in decision.reason


def test_an_erring_permit_denies_although_another_fits() -> None:
    erring = '@id("errs") permit (principal, action, resource) when { context.hour + 9223372036854775807 > 30 };'
    assert policy(PERMIT_ALL + erring).decide(asking(hour=0)).effect is Effect.ALLOW
    assert_denied(policy(PERMIT_ALL + erring).decide(asking(hour=1)))


def test_an_unknown_in_a_forbid_denies() -> None:
    assert_denied(policy(PERMIT_ALL + '@id("u") forbid (principal, action, resource) when { unknown("x") };').decide(asking()))


def test_an_inactive_principal_is_denied_whatever_the_policy() -> None:
    decision = policy(PERMIT_ALL).decide(asking(replace(ALICE, active=False)))
    assert (decision.effect, decision.reason) == (Effect.DENY, "alice is not active")


def test_a_principal_that_no_policy_names_is_denied() -> None:
    only_bob = policy('@id("bob") permit (principal == Principal::"bob", action, resource);')
    decision = only_bob.decide(asking())
    assert (decision.effect, decision.policies) == (Effect.DENY, ())
    assert decision.reason.startswith("no policy permits alice to deploy to production")


@pytest.mark.parametrize(
    ("principal", "environment"),
    [
        ('ali"ce', "production"),
        ("alice\\", "production"),
        ("ali\nce", "production"),
        ("alice", 'prod"; permit'),
        ("", ""),
    ],
)
def test_odd_names_are_names_and_nothing_else(principal: str, environment: str) -> None:
    only_alice = policy('@id("a") permit (principal == Principal::"alice", action, resource == Environment::"production");')
    asked = asking(replace(ALICE, subject=principal), environment=environment)
    assert_denied(only_alice.decide(asked))
    assert policy(PERMIT_ALL).decide(asked).effect is Effect.ALLOW


def test_a_group_of_a_principals_name_is_not_the_principal() -> None:
    only_alice = policy('@id("a") permit (principal == Principal::"alice", action, resource);')
    assert_denied(only_alice.decide(asking(person("mallory", "gogs:9", groups=("alice",)))))

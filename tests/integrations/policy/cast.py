"""Who asks for what, under which policy: the cast of the policy tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.principal import Principal
from app.integrations.policy.cedar import CedarPolicy
from tests.fakes import person

CONTEXT: dict[str, Any] = {
    "event": "push",
    "ref": "refs/heads/main",
    "branch": "main",
    "tag": "",
    "sha": "a" * 40,
    "environments": ["production"],
    "zones": ["eu-central"],
    "targets": ["shop-eu"],
    "authors_known": True,
    "unknown_authors": [],
    "signatures": "all",
    "forced": False,
    "paths": ["index.html"],
    "paths_known": True,
    "findings": [],
    "inspected": True,
    "checked_at_push": True,
    "approvals": {"count": 0, "met": False, "groups": []},
    "involved": False,
    "involved_known": True,
    "session": {
        "present": True,
        "age": 60,
        "mfa_age": 60,
        "issuer": "okta",
        "acr": "",
        "amr": ["mfa"],
        "address": "192.0.2.7",
        "country": "DE",
    },
    "actor_login": "alice",
    "hour": 10,
    "minute": 30,
    "weekday": 2,
    "date": "2026-12-01",
    "frozen": False,
    "freezes": [],
}
ALICE = person("alice", "gogs:1", groups=("deployers",))
PERMIT_ALL = '@id("all") permit (principal, action, resource);\n'


def policy(text: str) -> CedarPolicy:
    return CedarPolicy({"a.cedar": text})


def asking(
    principal: Principal = ALICE,
    *,
    action: Action = Action.DEPLOY,
    environment: str = "production",
    context: Mapping[str, Any] | None = None,
    **over: Any,
) -> DecisionRequest:
    facts = dict(CONTEXT if context is None else context) | over
    return DecisionRequest(principal, action, environment, "gogs:acme/shop", facts)


def assert_denied(decision: Decision) -> None:
    assert decision.effect is Effect.DENY
    assert decision.reason

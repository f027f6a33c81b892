"""What a decision says, and that it can be made again."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.decision import Action, DecisionRequest, Effect
from app.domain.principal import GATE_PRINCIPAL
from app.integrations.policy import cedar
from app.integrations.policy.cedar import CedarPolicy, load
from tests.fakes import person
from tests.integrations.policy.cast import ALICE, PERMIT_ALL, asking, assert_denied, policy

EXAMPLES = Path(__file__).parents[3] / "examples" / "policies"


def test_the_deciding_policies_and_their_reasons_are_named() -> None:
    text = (
        PERMIT_ALL + '@id("late") @reason("ask before 20:00") forbid (principal, action, resource) when { context.hour >= 20 };'
    )
    allowed, forbidden = policy(text).decide(asking(hour=10)), policy(text).decide(asking(hour=20))
    assert (allowed.policies, allowed.reason) == (("all",), 'permitted by "all"')
    assert (forbidden.policies, forbidden.reason) == (("late",), 'forbidden by "late" (ask before 20:00)')


def test_ids_stay_when_policies_before_them_come_and_go() -> None:
    other = '@id("other") permit (principal == Principal::"bob", action, resource);\n'
    assert policy(other + PERMIT_ALL).decide(asking()).policies == policy(PERMIT_ALL).decide(asking()).policies


def test_a_long_error_is_cut() -> None:
    assert len(policy(PERMIT_ALL).decide(asking(hour="9" * 5000)).reason) < 400


def test_resources_stand_in_their_repository() -> None:
    text = '@id("shop") permit (principal, action, resource in Repository::"gogs:acme/shop");'
    assert policy(text).decide(asking()).effect is Effect.ALLOW
    assert_denied(policy(text).decide(replace(asking(), repository="gogs:acme/other")))


def test_kinds_of_principals_can_be_told_apart() -> None:
    text = '@id("humans") permit (principal, action, resource) when { principal.kind == "human" };'
    assert policy(text).decide(asking()).effect is Effect.ALLOW
    assert_denied(policy(text).decide(asking(GATE_PRINCIPAL)))


@pytest.mark.parametrize(
    "asked",
    [
        asking(),
        asking(hour=20),
        asking(replace(ALICE, active=False)),
        asking(context={}),
        asking(ref=object()),
        asking(person("bob", groups=())),
    ],
    ids=["allowed", "forbidden", "inactive", "no context", "not json", "nobody"],
)
def test_a_stored_request_gives_the_same_answer_again(asked: DecisionRequest) -> None:
    text = (
        '@id("d") permit (principal in Group::"deployers", action, resource);\n'
        '@id("late") forbid (principal, action, resource) when { context.hour >= 20 };'
    )
    decision = policy(text).decide(asked)
    stored = json.loads(json.dumps(decision.request))
    assert policy(policy(text).text).recompute(stored).effect is decision.effect


@pytest.mark.parametrize("cut", [{}, {"request": {}}, {"request": None, "entities": []}])
def test_a_damaged_record_is_a_deny(cut: dict[str, Any]) -> None:
    assert policy(PERMIT_ALL).recompute(cut).effect is Effect.DENY


def test_a_record_without_its_entities_is_a_deny() -> None:
    record = policy(PERMIT_ALL).decide(asking()).request
    assert policy(PERMIT_ALL).recompute(record).effect is Effect.ALLOW
    assert policy(PERMIT_ALL).recompute({**record, "entities": []}).effect is Effect.DENY


def test_the_record_does_not_change_with_the_callers_context() -> None:
    zones = ["eu-central"]
    decision = policy(PERMIT_ALL).decide(asking(zones=zones))
    zones.append("later")
    assert decision.request["request"]["context"]["zones"] == ["eu-central"]


def test_the_digest_names_text_and_file_but_not_the_place(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.cedar").write_text(PERMIT_ALL)
    digest = load(tmp_path / "one").digest
    assert len(digest) == 64
    assert load(tmp_path / "two").digest == digest
    assert policy(PERMIT_ALL + "// changed\n").digest != digest
    assert CedarPolicy({"b.cedar": PERMIT_ALL}).digest != digest
    assert str(tmp_path) not in load(tmp_path / "one").text


def test_the_digest_tells_one_file_from_two_and_one_schema_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    other = '@id("other") permit (principal == Principal::"bob", action, resource);\n'
    two = CedarPolicy({"a.cedar": PERMIT_ALL, "b.cedar": other})
    one = CedarPolicy({"a.cedar": f"{PERMIT_ALL}\n// b.cedar\n{other}"})
    assert (one.text, one.digest != two.digest) == (two.text, True)
    monkeypatch.setattr(cedar, "SCHEMA", cedar.SCHEMA + "\nentity Later;\n")
    assert CedarPolicy({"a.cedar": PERMIT_ALL, "b.cedar": other}).digest != two.digest


def test_many_threads_get_right_answers() -> None:
    shared = policy(PERMIT_ALL + '@id("late") forbid (principal, action, resource) when { context.hour >= 12 };')
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: shared.decide(asking(hour=n % 24)).effect, range(400)))
    assert answers == [Effect.DENY if n % 24 >= 12 else Effect.ALLOW for n in range(400)]


OPERATOR = person("olga", "gogs:3", groups=("operators",))


@pytest.mark.parametrize(
    ("asked", "effect"),
    [
        (asking(environment="staging", branch="topic", ref="refs/heads/topic", authors_known=False), Effect.ALLOW),
        (asking(), Effect.ALLOW),
        (asking(branch="", tag="v1.2", ref="refs/tags/v1.2"), Effect.ALLOW),
        (asking(branch="topic", ref="refs/heads/topic"), Effect.DENY),
        (asking(branch="", tag="nightly", ref="refs/tags/nightly"), Effect.DENY),
        (asking(authors_known=False, unknown_authors=["x@example.com"]), Effect.DENY),
        (asking(action=Action.ROLLBACK, event="rollback"), Effect.DENY),
        (asking(OPERATOR), Effect.DENY),
        (asking(OPERATOR, action=Action.ROLLBACK, event="rollback"), Effect.ALLOW),
        (asking(GATE_PRINCIPAL, action=Action.ROLLBACK, event="failure"), Effect.ALLOW),
        (asking(GATE_PRINCIPAL, action=Action.ROLLBACK, event="rollback"), Effect.DENY),
        (asking(GATE_PRINCIPAL), Effect.DENY),
        (asking(person("eve", groups=())), Effect.DENY),
    ],
)
def test_the_sample_policies_decide_as_they_say(asked: DecisionRequest, effect: Effect) -> None:
    assert load(EXAMPLES).decide(asked).effect is effect


def test_a_decision_is_made_again_under_the_schema_of_its_day() -> None:
    """A later release asks about more: what was recorded before lacks it, and is no worse for that."""
    text = '@id("all") permit (principal, action, resource) when { context.authors_known };'
    former = re.sub(r'\s*"(signatures|session)": \w+,', "", cedar.SCHEMA)
    asked = asking()
    for name in ("signatures", "session"):
        del asked.context[name]
    then = CedarPolicy({"a.cedar": text}, schema=former)
    decided = then.decide(asked)
    assert decided.effect is Effect.ALLOW
    assert CedarPolicy({"a.cedar": text}).recompute(decided.request).effect is Effect.DENY
    assert CedarPolicy({"kept": then.text}, schema=then.schema).recompute(decided.request).effect is Effect.ALLOW
    assert then.digest == decided.policy_digest != CedarPolicy({"a.cedar": text}).digest

"""What the policy engine may never do: allow by accident. The traps are those of Cedar itself, one test each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.errors import BadConfiguration
from app.domain.principal import GATE_PRINCIPAL, Principal
from app.integrations.policy.cedar import CedarPolicy, load
from tests.fakes import person

EXAMPLES = Path(__file__).parents[3] / "examples" / "policies"
CONTEXT: dict[str, Any] = {
    "event": "push",
    "ref": "refs/heads/main",
    "branch": "main",
    "tag": "",
    "sha": "a" * 40,
    "zones": ["eu-central"],
    "targets": ["shop-eu"],
    "authors_known": True,
    "unknown_authors": [],
    "actor_login": "alice",
    "hour": 10,
    "weekday": 2,
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


def faults_of(texts: Mapping[str, str]) -> list[str]:
    with pytest.raises(BadConfiguration) as caught:
        CedarPolicy(texts)
    return caught.value.faults


def assert_denied(decision: Decision) -> None:
    assert decision.effect is Effect.DENY
    assert decision.reason


# --- the traps ---------------------------------------------------------------------------------------------------


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
    assert_denied(policy(PERMIT_ALL).decide(asking(**{name: value})))


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
    assert_denied(
        policy(PERMIT_ALL + '@id("u") forbid (principal, action, resource) when { unknown("x") };').decide(asking())
    )


def test_a_has_guard_is_refused_since_a_misspelt_one_makes_its_forbid_vanish() -> None:
    text = (
        PERMIT_ALL + '@id("geo")\nforbid (principal, action, resource)\nwhen { context has geo && context.geo == "x" };'
    )
    assert faults_of({"a.cedar": text}) == [
        "a.cedar:4: `has geo`: every attribute is always there, so this can only hide a misspelt one; leave it out"
    ]


def test_a_deep_has_guard_is_refused() -> None:
    text = '@id("a") permit (principal, action, resource) when { if !([1].contains(1) && context has a.b) then true else true };'
    assert any("`has" in fault for fault in faults_of({"a.cedar": text}))


def test_a_template_is_refused_since_it_is_never_linked() -> None:
    text = PERMIT_ALL + '@id("t")\nforbid (principal == ?principal, action, resource);'
    assert [fault.split(": ")[0] for fault in faults_of({"a.cedar": text})] == ["a.cedar:3"]


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
    only_alice = policy(
        '@id("a") permit (principal == Principal::"alice", action, resource == Environment::"production");'
    )
    asked = asking(replace(ALICE, subject=principal), environment=environment)
    assert_denied(only_alice.decide(asked))
    assert policy(PERMIT_ALL).decide(asked).effect is Effect.ALLOW


def test_a_group_of_a_principals_name_is_not_the_principal() -> None:
    only_alice = policy('@id("a") permit (principal == Principal::"alice", action, resource);')
    assert_denied(only_alice.decide(asking(person("mallory", "gogs:9", groups=("alice",)))))


# --- what it says ------------------------------------------------------------------------------------------------


def test_the_deciding_policies_and_their_reasons_are_named() -> None:
    text = (
        PERMIT_ALL
        + '@id("late") @reason("ask before 20:00") forbid (principal, action, resource) when { context.hour >= 20 };'
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


# --- decided again -----------------------------------------------------------------------------------------------


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
    assert policy(policy(text).text).decide_again(stored) is decision.effect


@pytest.mark.parametrize("cut", [{}, {"request": {}}, {"request": None, "entities": []}])
def test_a_damaged_record_is_a_deny(cut: dict[str, Any]) -> None:
    assert policy(PERMIT_ALL).decide_again(cut) is Effect.DENY


def test_a_record_without_its_entities_is_a_deny() -> None:
    record = policy(PERMIT_ALL).decide(asking()).request
    assert policy(PERMIT_ALL).decide_again(record) is Effect.ALLOW
    assert policy(PERMIT_ALL).decide_again({**record, "entities": []}) is Effect.DENY


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


def test_many_threads_get_right_answers() -> None:
    shared = policy(PERMIT_ALL + '@id("late") forbid (principal, action, resource) when { context.hour >= 12 };')
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: shared.decide(asking(hour=n % 24)).effect, range(400)))
    assert answers == [Effect.DENY if n % 24 >= 12 else Effect.ALLOW for n in range(400)]


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("\npermit (principal, action, resource);", "2", "@id"),
        ('@id("")\npermit (principal, action, resource);', "2", "@id"),
        ("@id permit (principal, action, resource);", "1", "@id"),
        ('@id("a")\npermit (principal, action, resource)\nwhen { context.branhc == "main" };', "3", "branhc"),
        ('@id("a")\npermit (principal, action, resource)\nwhen { context.hour == "9" };', "2", "not compatible"),
        ('@id("a")\npermit (principal in Grop::"x", action, resource);', "2", "Grop"),
        ('@id("a")\npermit (principal,\n action == Action::"deplo", resource);', "3", "deplo"),
        ('@id("a")\npermit (principal, action, resource)\nwhen {\n  context.hour +\n};', "5", "unexpected token"),
        (
            '@id("a")\npermit (principal, action, resource);\n@id("b")\npremit (principal, action, resource);',
            "4",
            "premit",
        ),
        ('@id("a")\npermit (principal, action, resource)', "2", "unexpected end"),
        ('@id("a") @id("b") permit (principal, action, resource);', "1", "duplicate annotation"),
        (
            '// permit (x)\n@id("a") @reason("they permit (this)")\npermit (principal, action, resource);\n'
            '@id("b")\nforbid (principal, action, resource) when { context.nope };',
            "5",
            "nope",
        ),
    ],
)
def test_a_faulty_policy_is_refused_with_its_line(text: str, place: str, what: str) -> None:
    faults = faults_of({"a.cedar": text})
    assert [fault for fault in faults if fault.startswith(f"a.cedar:{place}: ") and what in fault], faults


@pytest.mark.parametrize("texts", [{}, {"a.cedar": ""}, {"a.cedar": "// permit (principal, action, resource);\n"}])
def test_no_policy_at_all_is_refused(texts: dict[str, str]) -> None:
    assert ["there is no policy" in fault for fault in faults_of(texts)] == [True]


def test_an_id_is_used_once_over_all_files() -> None:
    faults = faults_of({"a.cedar": PERMIT_ALL, "b.cedar": "\n" + PERMIT_ALL})
    assert faults == ['b.cedar:2: @id("all") is already used at a.cedar:1']


def test_every_fault_of_every_file_is_listed() -> None:
    faults = faults_of(
        {"a.cedar": "permit (", "b.cedar": "permit (principal, action, resource);", "c.cedar": PERMIT_ALL}
    )
    assert [fault.split(":")[0] for fault in faults] == ["a.cedar", "b.cedar"]


def test_two_halves_of_a_policy_do_not_make_one() -> None:
    assert faults_of({"a.cedar": '@id("a") permit (principal,', "b.cedar": "action, resource);"})


def test_load_names_the_file_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.cedar").write_text("permit (principal, action, resource);")
    with pytest.raises(BadConfiguration, match=f"^{tmp_path}/a.cedar:1: "):
        load(tmp_path)


@pytest.mark.parametrize("name", [None, "a.txt"])
def test_a_folder_without_policies_is_refused(tmp_path: Path, name: str | None) -> None:
    if name:
        (tmp_path / name).write_text(PERMIT_ALL)
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BadConfiguration, match="holds no"):
            load(folder)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.cedar").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfiguration, match="cannot be read"):
        load(tmp_path)


# --- the samples -------------------------------------------------------------------------------------------------


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


# --- for every context and every set of policies -----------------------------------------------------------------

_CONDITIONS = (
    "true",
    "context.hour < 12",
    'context.branch == "main"',
    "context.authors_known",
    'context.zones.contains("eu-central")',
    "context.hour + 9223372036854775800 > 0",
)
_CLAUSES = st.lists(
    st.tuples(st.sampled_from(("permit", "forbid")), st.sampled_from(_CONDITIONS)), min_size=1, max_size=5
)
_FACTS = st.fixed_dictionaries(
    {
        "hour": st.integers(0, 23),
        "branch": st.sampled_from(("main", "topic")),
        "authors_known": st.booleans(),
        "zones": st.lists(st.sampled_from(("eu-central", "us-east")), max_size=2),
    }
)


def written(clauses: list[tuple[str, str]]) -> CedarPolicy:
    return policy(
        "\n".join(
            f'@id("p{n}") {effect} (principal, action, resource) when {{ {condition} }};'
            for n, (effect, condition) in enumerate(clauses)
        )
    )


@settings(max_examples=60, deadline=None)
@given(clauses=_CLAUSES, facts=_FACTS, removed=st.sampled_from(sorted(CONTEXT)))
def test_removing_a_context_attribute_never_allows(
    clauses: list[tuple[str, str]], facts: dict[str, Any], removed: str
) -> None:
    context = {key: value for key, value in (CONTEXT | facts).items() if key != removed}
    assert written(clauses).decide(asking(context=context)).effect is Effect.DENY


@settings(max_examples=60, deadline=None)
@given(clauses=_CLAUSES, facts=_FACTS, at=st.integers(0, 5))
def test_a_forbid_that_fits_always_wins(clauses: list[tuple[str, str]], facts: dict[str, Any], at: int) -> None:
    more = [*clauses[:at], ("forbid", "true"), *clauses[at:]]
    assert written(more).decide(asking(**facts)).effect is Effect.DENY


@settings(max_examples=60, deadline=None)
@given(clauses=_CLAUSES, facts=_FACTS, at=st.integers(0, 4))
def test_removing_a_permit_never_allows_more(clauses: list[tuple[str, str]], facts: dict[str, Any], at: int) -> None:
    # Permits that err are left out: the error itself denies, so taking its cause away may rightly allow.
    clauses = [c for c in clauses if c != ("permit", _CONDITIONS[-1])]
    permits = [n for n, (effect, _) in enumerate(clauses) if effect == "permit"]
    if not permits or len(clauses) == 1:
        return
    gone = permits[at % len(permits)]
    fewer = [c for n, c in enumerate(clauses) if n != gone]
    if written(fewer).decide(asking(**facts)).effect is Effect.ALLOW:
        assert written(clauses).decide(asking(**facts)).effect is Effect.ALLOW


@settings(max_examples=60, deadline=None)
@given(clauses=_CLAUSES, facts=_FACTS)
def test_an_allow_is_recomputable_and_names_a_permit(clauses: list[tuple[str, str]], facts: dict[str, Any]) -> None:
    made = written(clauses)
    decision = made.decide(asking(**facts))
    assert made.decide_again(json.loads(json.dumps(decision.request))) is decision.effect
    if decision.effect is Effect.ALLOW:
        assert decision.policies
        assert {clauses[int(p.removeprefix("p"))][0] for p in decision.policies} == {"permit"}

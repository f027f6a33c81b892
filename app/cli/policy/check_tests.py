"""`tidegate policy test`: answers that are expected of policies, kept in a file and asked for as the gate would ask."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.config.tables.environments import RuleTable
from app.domain.approval import ApprovalRule, ApprovalSettings, tally
from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.environment import BRANCHES
from app.domain.errors import BadConfiguration
from app.domain.principal import Principal, PrincipalKind
from app.integrations.policy.cedar import load
from app.integrations.policy.protocol import Decider, Policy
from app.pipeline.decide.case import local_time, ref_facts
from app.pipeline.decide.completion import ABSENT, BEST
from app.pipeline.decide.tally import why_no_voter
from app.pipeline.decide.what_if import explain
from app.toml_lines import line_of, lines_of

# The request unless a test says otherwise: a push to main on a Wednesday morning, with nothing wrong, by a person who has not
# signed in at the gate.
ORDINARY: Mapping[str, Any] = {**ABSENT, **BEST, "event": "push"}
WEDNESDAY = datetime(2026, 1, 14, 10, tzinfo=UTC)
_OWN = {"ref", "branch", "tag", "session", "approvals", "hour", "minute", "weekday", "date"}  # a test has other keys for these


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Person(_Table):
    groups: list[str] = []
    kind: PrincipalKind = Field(PrincipalKind.HUMAN, strict=False)
    owner: str | None = None
    active: bool = True


class _Place(_Table):
    repository: str
    targets: list[str] = []
    zones: list[str] = []
    rules: list[RuleTable] = []
    count_each: bool = False


class _Session(_Table):
    age: Annotated[int, Field(ge=0)] | None = None
    mfa_age: Annotated[int, Field(ge=0)] | None = None
    issuer: str | None = None
    acr: str | None = None
    amr: list[str] | None = None
    address: str | None = None
    country: str | None = None


class _Question(_Table):
    """What a test asks; in `[defaults]`, what all tests ask."""

    who: str | None = None
    action: Annotated[Action, Field(strict=False)] | None = None
    environment: str | None = None
    ref: str | None = None
    at: datetime | None = None
    facts: dict[str, bool | int | str | list[str]] = {}
    session: _Session | None = None
    votes: list[str] | None = None
    authors: list[str] = []


class PolicyTest(_Question):
    """One test. `by` lists exactly the policies that must decide; without it, any may."""

    name: str
    expect: Effect = Field(strict=False)
    by: list[str] | None = None


class _File(_Table):
    policies: Path = Field(Path(), strict=False)
    people: dict[str, _Person] = {}
    environments: dict[str, _Place] = {}
    defaults: _Question = _Question()
    test: list[PolicyTest] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Result:
    """The decision of one test, and how it differs from the expected one (None: it does not)."""

    name: str
    decision: Decision
    fault: str | None


def run_tests(path: Path, policies: Path | None) -> list[Result]:
    """Run the tests of a file, on the policies that it names or on others; raises BadConfiguration (FILE:LINE: fault)."""
    text = _read(path)
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as fault:
        raise BadConfiguration([f"{path}: {fault}"]) from None
    except ValidationError as fault:
        lines = lines_of(text)
        raise BadConfiguration(
            [f"{path}:{line_of(lines, e['loc'])}: {_name_of_key(e['loc'])}: {e['msg']}" for e in fault.errors()]
        ) from None
    lines = lines_of(text)
    faults = [f"{path}:{line_of(lines, key)}: {fault}" for key, fault in _faults(file)]
    if faults:
        raise BadConfiguration(faults)
    policy = load(policies or path.parent / file.policies)
    return [_result(policy, file, case) for case in file.test]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise BadConfiguration([f"{path}: cannot be read: {fault}"]) from None


def _name_of_key(key: tuple[str | int, ...]) -> str:
    return ".".join(map(str, key))


def _faults(file: _File) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Find names that the file does not define; a test that asks about them would prove nothing."""
    for index, case in enumerate(file.test):
        who, environment = case.who or file.defaults.who, case.environment or file.defaults.environment
        for name in filter(None, [who, *(case.votes or ()), *(file.defaults.votes or ()), *case.authors, *file.defaults.authors]):
            if name not in file.people:
                yield ("test", index), f"{case.name}: {name} is not listed under [people]"
        if who is None:
            yield ("test", index), f"{case.name}: `who` is missing"
        if environment not in file.environments:
            yield ("test", index), f"{case.name}: `environment` must be one of {', '.join(file.environments) or '[environments]'}"
        for table, facts in (("test", case.facts), ("defaults", file.defaults.facts)):
            yield from (((table, index), f"{case.name}: {fault}") for fault in _bad_facts(facts))
    names = [case.name for case in file.test]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("test", index), f"there is another test with the name {name!r}"


def _bad_facts(facts: Mapping[str, object]) -> Iterator[str]:
    for name, value in facts.items():
        if name in _OWN:
            yield f"{name} is not an entry of `facts`: ref, at, session and votes are keys of the test itself"
        elif name not in ORDINARY:
            yield f"there is no fact {name!r}"
        elif type(value) is not type(ORDINARY[name]):
            yield f"the fact {name} must be a {type(ORDINARY[name]).__name__}"


def _result(policy: Policy, file: _File, case: PolicyTest) -> Result:
    decision = policy.decide(_request(policy, file, case))
    got = f"{decision.effect}{_by(decision.policies)}: {explain(policy, decision)}"
    if decision.effect is not case.expect:
        return Result(case.name, decision, f"expected {case.expect}{_by(case.by or ())}, and got {got}")
    if case.by is not None and sorted(case.by) != list(decision.policies):
        return Result(case.name, decision, f"expected {case.expect}{_by(case.by)}, and got {got}")
    return Result(case.name, decision, None)


def _by(policies: object) -> str:
    return f" by {', '.join(sorted(map(str, policies)))}" if isinstance(policies, list | tuple) and policies else ""


def _request(policy: Decider, file: _File, case: PolicyTest) -> DecisionRequest:
    name = case.environment or file.defaults.environment or ""
    who, place = _principal(file, case.who or file.defaults.who or ""), file.environments[name]
    action = case.action or file.defaults.action or Action.DEPLOY
    context = _context(file, case, name, place)
    voters = case.votes if case.votes is not None else file.defaults.votes
    if voters:
        closed_to = {who.subject, who.owner, *(case.authors or file.defaults.authors)}
        context["approvals"] = _approvals(policy, file, closed_to, voters=voters, name=name, context=context)
    return DecisionRequest(who, action, name, place.repository, context)


def _principal(file: _File, name: str) -> Principal:
    person, accounts = file.people[name], frozenset({f"test:{name}"})
    return Principal(name, person.kind, person.active, frozenset(person.groups), frozenset(), accounts, person.owner)


def _context(file: _File, case: PolicyTest, name: str, place: _Place) -> dict[str, Any]:
    at, ref = case.at or file.defaults.at or WEDNESDAY, case.ref or file.defaults.ref or f"{BRANCHES}main"
    facts = {**file.defaults.facts, **case.facts}
    frozen = {"frozen": True} if facts.get("freezes") else {}
    return {
        **ORDINARY,
        "environments": [name],
        "targets": place.targets,
        "zones": place.zones,
        **ref_facts(ref),
        **local_time("UTC", at.replace(tzinfo=UTC)),  # `at` is what the environment's clock shows; a zone in it is ignored
        **frozen,
        **facts,
        "session": _session(file.defaults.session, case.session),
    }


def _session(*sessions: _Session | None) -> dict[str, Any]:
    """Spell a session; without one in the test and in the defaults, there is none. A second factor must be written."""
    if not any(session is not None for session in sessions):
        return dict(ABSENT["session"])
    facts = {**ABSENT["session"], "present": True, "age": 0}
    for session in filter(None, sessions):
        facts |= session.model_dump(exclude_none=True)
    return facts


def _approvals(
    policy: Decider, file: _File, closed_to: set[str | None], *, voters: list[str], name: str, context: Mapping[str, Any]
) -> dict[str, Any]:
    """Count votes as the gate does: only of people whom the policies let approve, and who had no hand in the deployment."""
    place, groups_by_voter = file.environments[name], {}
    for voter in (_principal(file, subject) for subject in dict.fromkeys(voters)):
        is_involved = voter.subject in closed_to
        request = DecisionRequest(voter, Action.APPROVE, name, place.repository, {**context, "involved": is_involved})
        if voter.active and why_no_voter(voter, policy.decide(request), is_involved=is_involved) is None:
            groups_by_voter[voter.subject] = voter.groups
    rules = tuple(ApprovalRule(rule.count, frozenset(rule.groups)) for rule in place.rules)
    return tally(ApprovalSettings(rules, count_each=place.count_each), groups_by_voter).as_fact()

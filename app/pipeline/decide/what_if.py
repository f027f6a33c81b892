"""Find what would change a denial, by asking the policies again with other facts. Pure.

No policy text is read for this, so it holds for every policy. It names only facts that policies ask about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.decision import HOLDABLE, Decision, Effect
from app.domain.environment import BRANCHES
from app.domain.principal import PrincipalKind
from app.domain.signature import Signatures
from app.integrations.policy.protocol import Asks, Decider, Policy

MOST_NAMED = 40  # groups, branches, countries that are tried
MOST_ASKED = 1_000
WHILE_SOMEBODY_WAITS = 100  # a hundred policies answer in about 0.4 ms
MOST_TOLD = 3
_NOON, _TUESDAY = 12, 2
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Question = Mapping[str, Any]  # a Decision.request
Way = tuple[str, ...]  # all that must be otherwise at once


@dataclass(frozen=True, slots=True)
class Alternative:
    """One thing that could be otherwise: facts of the context, groups that the principal would be in, its kind."""

    says: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    kind: str | None = None


def what_would_help(policy: Policy, question: Question, *, most: int = MOST_ASKED, who: str | None = None) -> list[Way]:
    """List the shortest ways to be allowed, each with all that must be otherwise at once. Empty: none was found.

    `question` is a Decision.request that this policy does not allow. `most` limits how often the policy is asked.
    `who` is the text for the principal, if its name must not be shown.
    """
    try:
        trial = _Trial(policy, question, policy.about(question), who or str(question["request"]["principal"]["id"]), most)
        single = [change.says for change in _changes(trial) if trial.allows([change])]
        hours = _hours(trial)
        single += [hours] if hours else []
        return [(says,) for says in single] or _combined_way(trial)
    except (KeyError, TypeError, AttributeError):  # a damaged or much older record
        return []


def explain(policy: Policy, decision: Decision, *, most: int = WHILE_SOMEBODY_WAITS, culprits: str = "") -> str:
    """Return the reason of a decision, its culprits, and for a denial also up to MOST_TOLD ways to change it."""
    ways = what_would_help(policy, decision.request, most=most) if decision.effect is Effect.DENY else []
    reason = f"{decision.reason}: {culprits}" if culprits else decision.reason
    return "; ".join(filter(None, (reason, as_sentence(ways[:MOST_TOLD]))))


def as_sentence(ways: Sequence[Way]) -> str:
    """Spell these ways as one sentence; empty if there are none."""
    return "it would be allowed if " + "; or if ".join(" and ".join(way) for way in ways) if ways else ""


@dataclass(slots=True)
class _Trial:
    """Asks the policy with changes, `left` times more at most."""

    policy: Decider
    question: Question
    asks: Asks
    who: str
    left: int

    def allows(self, changes: Iterable[Alternative]) -> bool:
        self.left -= 1
        return self.left >= 0 and self.policy.recompute(_with_changes(self.question, changes)).effect is Effect.ALLOW


def _combined_way(trial: _Trial) -> list[Way]:
    """Find one way that takes several changes: make all that may help, then take back each one that is not needed."""
    compatible = list(_changes(trial, is_one_by_one=False))
    for combination in _combinations(trial.asks, trial.question):
        needed = [*compatible, *combination]
        if not trial.allows(needed):
            continue
        trial.left = max(trial.left, len(needed))  # enough to shorten the way that was found
        for change in list(needed):
            fewer = [other for other in needed if other is not change]
            if trial.allows(fewer):
                needed = fewer
        return [tuple(change.says for change in needed)]
    return []


def _combinations(asks: Asks, question: Question) -> Iterator[list[Alternative]]:
    """List combinations of changes that exclude others of their kind: one time, one ref, one country."""
    times = [[], *([time] for time in _times(asks, question))]
    refs = [[], *([ref] for ref in _refs(asks))]
    countries = [[], *([country] for country in _countries(asks))]
    yield from (time + ref for ref in refs for time in times)
    yield from (time + ref + country for country in countries[1:] for ref in refs for time in times[:2])


def _changes(trial: _Trial, *, is_one_by_one: bool = True) -> Iterator[Alternative]:
    """List the changes that may help; with `is_one_by_one` also those that exclude each other, being of one fact."""
    asks, question = trial.asks, trial.question
    context, action = question["request"]["context"], question["request"]["action"]["id"]
    if action in HOLDABLE and "approvals" in asks.facts:
        yield Alternative("enough other people approve", {"approvals": asks.enough})
    for says, facts in _BETTER:
        if not facts.keys().isdisjoint(asks.facts) and any(context.get(name) != value for name, value in facts.items()):
            yield Alternative(says, facts)
    yield from _kinds(question)
    if "session" in asks.facts:
        if is_one_by_one:
            yield _new_session(context, "the person signs in at the gate anew", mfa_age=context["session"]["mfa_age"])
        yield _new_session(context, "the person signs in at the gate anew, with a second factor", mfa_age=0)
    if is_one_by_one:
        yield from (*_refs(asks), *_countries(asks))
    yield from _groups(trial)


_BETTER: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("no freeze is in force", {"frozen": False, "freezes": []}),
    ("nothing is pushed by force", {"forced": False}),
    ("all of its content can be looked at, and nothing is found in it", {"findings": [], "inspected": True}),
    ("it changes other paths, and few enough to list", {"paths": [], "paths_known": True}),
    ("all its authors are people that a source knows", {"authors_known": True, "unknown_authors": []}),
    ("all commits are signed with known keys", {"signatures": Signatures.ALL.value}),
    ("it comes through the check before pushes", {"checked_at_push": True}),
    ("a person acts who was not involved in it", {"involved": False}),
    ("it is known who pushed each of its commits", {"involved_known": True}),
)


def _groups(trial: _Trial) -> Iterator[Alternative]:
    who = trial.question["request"]["principal"]
    mine = {parent["id"] for entity in trial.question["entities"] if entity["uid"] == who for parent in entity["parents"]}
    for group in sorted(trial.asks.groups - mine)[:MOST_NAMED]:
        yield Alternative(f"{trial.who} is a member of {group}", group=group)


def _kinds(question: Question) -> Iterator[Alternative]:
    who = question["request"]["principal"]
    kinds = {entity["attrs"].get("kind") for entity in question["entities"] if entity["uid"] == who}
    if kinds and PrincipalKind.HUMAN.value not in kinds:
        yield Alternative("a person does it", kind=PrincipalKind.HUMAN.value)


def _new_session(context: Mapping[str, Any], says: str, *, mfa_age: int) -> Alternative:
    return Alternative(says, {"session": {**context["session"], "present": True, "age": 0, "mfa_age": mfa_age}})


def _refs(asks: Asks) -> Iterator[Alternative]:
    names = asks.compared_with("branch") | {ref for ref in asks.compared_with("ref") if ref.startswith(BRANCHES)}
    for short in sorted({name.removeprefix(BRANCHES) for name in names} - {""})[:MOST_NAMED]:
        yield Alternative(f"it comes from branch {short}", {"ref": BRANCHES + short, "branch": short, "tag": ""})


def _countries(asks: Asks) -> Iterator[Alternative]:
    for name in sorted(asks.compared_with("country") - {""})[:MOST_NAMED]:
        session = {
            "present": True,
            "age": 0,
            "mfa_age": 0,
            "issuer": "",
            "acr": "",
            "amr": [],
            "address": "",
            "country": name,
        }
        yield Alternative(f"the person signs in at the gate from {name}, with a second factor", {"session": session})


def _times(asks: Asks, question: Question) -> Iterator[Alternative]:
    """List other times: the hours of this day, and noon on each day of the week."""
    if asks.facts.isdisjoint({"hour", "minute", "weekday"}):
        return
    today = question["request"]["context"]["weekday"]
    yield Alternative("it is Tuesday noon", {"hour": _NOON, "minute": 0, "weekday": _TUESDAY})
    for hour in range(24):
        yield Alternative(f"it is {_DAYS[today - 1]}, {hour} o'clock", {"hour": hour, "minute": 0})
    for day, name in enumerate(_DAYS, start=1):
        yield Alternative(f"it is {name} noon", {"hour": _NOON, "minute": 0, "weekday": day})


def _hours(trial: _Trial) -> str:
    """Say at which other times it would be allowed unchanged: hours of this day, or noon on other days."""
    if trial.asks.facts.isdisjoint({"hour", "minute", "weekday"}):
        return ""
    today = _DAYS[trial.question["request"]["context"]["weekday"] - 1]
    hours = [h for h in range(24) if trial.allows([Alternative("", {"hour": h, "minute": 0})])]
    if hours:
        return f"it is {today}, {_spans(hours)} o'clock"
    noons = ((name, Alternative("", {"hour": _NOON, "minute": 0, "weekday": day})) for day, name in enumerate(_DAYS, start=1))
    days = [name for name, change in noons if trial.allows([change])]
    return f"it is noon on {', '.join(days)}" if days else ""


def _spans(hours: Sequence[int]) -> str:
    """Spell hours as spans: "8 to 16, 20"."""
    spans: list[list[int]] = []
    for hour in hours:
        if spans and spans[-1][-1] == hour - 1:
            spans[-1].append(hour)
        else:
            spans.append([hour])
    return ", ".join(f"{span[0]} to {span[-1]}" if len(span) > 1 else f"{span[0]}" for span in spans)


def _with_changes(question: Question, changes: Iterable[Alternative]) -> dict[str, Any]:
    changes, request = list(changes), question["request"]
    context = dict(request["context"])
    for change in changes:
        context |= {name: value for name, value in change.facts.items() if name in context}
    who = request["principal"]
    entities = [_entity(entity, changes) if entity["uid"] == who else entity for entity in question["entities"]]
    return {**question, "request": {**request, "context": context}, "entities": entities}


def _entity(entity: Mapping[str, Any], changes: Iterable[Alternative]) -> dict[str, Any]:
    attrs, parents = dict(entity["attrs"]), list(entity["parents"])
    for change in changes:
        if change.group is not None:
            parents.append({"type": "Group", "id": change.group})
        if change.kind is not None:
            attrs["kind"] = change.kind
    return {**entity, "attrs": attrs, "parents": parents}

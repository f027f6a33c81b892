"""What would change the answer to a request that was not allowed: found by asking the policies again with other facts. Pure.

Nobody reads a policy for it, so it holds for whatever a policy may say; and it names only what policies ask about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.decision import HOLDABLE, Decision, Effect
from app.domain.environment import BRANCHES
from app.domain.principal import PrincipalKind
from app.domain.signature import Signatures
from app.integrations.policy.protocol import Asks, Policy

MOST_NAMED = 40  # groups, branches, countries that are tried
MOST_ASKED = 1_000
WHILE_SOMEBODY_WAITS = 100  # a hundred policies answer in some 0.4 ms
MOST_TOLD = 3
_NOON, _TUESDAY = 12, 2
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Asked = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alternative:
    """One thing that could be otherwise: facts of the context, groups that the principal would be in, its kind."""

    says: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    kind: str | None = None


def what_would_help(policy: Policy, asked: Asked, *, most: int = MOST_ASKED, who: str | None = None) -> list[tuple[str, ...]]:
    """List ways to be allowed, each as what must be otherwise at once; the shortest that there are. Empty: none was found.

    `asked` is a Decision.request that this policy does not allow; `most`: how often the policy is asked at most;
    `who`: what to call the principal, where its name is nobody's business.
    """
    try:
        trial = _Trial(policy, asked, policy.about(asked), who or str(asked["request"]["principal"]["id"]), most)
        single = [change.says for change in _changes(trial) if trial.allows([change])]
        hours = _hours(trial)
        single += [hours] if hours else []
        return [(says,) for says in single] or _several(trial)
    except (KeyError, TypeError, AttributeError):  # a damaged or much older record
        return []


def explain(policy: Policy, decision: Decision, *, most: int = WHILE_SOMEBODY_WAITS) -> str:
    """Return the reason of a decision, and of a denial also what would change it: MOST_TOLD ways of those that there are."""
    ways = what_would_help(policy, decision.request, most=most) if decision.effect is Effect.DENY else []
    return "; ".join(filter(None, (decision.reason, as_sentence(ways[:MOST_TOLD]))))


def as_sentence(ways: Sequence[tuple[str, ...]]) -> str:
    """Spell these ways as one sentence; empty where there are none."""
    return "it would be allowed if " + "; or if ".join(" and ".join(way) for way in ways) if ways else ""


@dataclass(slots=True)
class _Trial:
    """Asks the policy with changes, as long as there is something left to spend."""

    policy: Policy
    asked: Asked
    asks: Asks
    who: str
    left: int

    def allows(self, changes: Iterable[Alternative]) -> bool:
        self.left -= 1
        return self.left >= 0 and self.policy.recompute(_changed(self.asked, changes)).effect is Effect.ALLOW


def _several(trial: _Trial) -> list[tuple[str, ...]]:
    """Find one way that takes several changes: make all that may help, then take back one by one what is not needed."""
    sure = list(_changes(trial, is_one_by_one=False))
    for tried in _tried(trial.asks, trial.asked):
        needed = [*sure, *tried]
        if not trial.allows(needed):
            continue
        trial.left = max(trial.left, len(needed))  # what was found is worth to be made short
        for change in list(needed):
            fewer = [each for each in needed if each is not change]
            if trial.allows(fewer):
                needed = fewer
        return [tuple(change.says for change in needed)]
    return []


def _tried(asks: Asks, asked: Asked) -> Iterator[list[Alternative]]:
    """List what cannot be made all at once: one time, one ref, one country."""
    times = [[], *([each] for each in _times(asks, asked))]
    refs = [[], *([each] for each in _refs(asks))]
    countries = [[], *([each] for each in _countries(asks))]
    yield from (time + ref for ref in refs for time in times)
    yield from (time + ref + country for country in countries[1:] for ref in refs for time in times[:2])


def _changes(trial: _Trial, *, is_one_by_one: bool = True) -> Iterator[Alternative]:
    """List what could be otherwise and differs. Changes of one fact exclude each other: of these, `is_one_by_one` gives all."""
    asks, asked = trial.asks, trial.asked
    context, action = asked["request"]["context"], asked["request"]["action"]["id"]
    if action in HOLDABLE and "approvals" in asks.facts:
        yield Alternative("enough other people approve", {"approvals": asks.enough})
    for says, facts in _BETTER:
        if not facts.keys().isdisjoint(asks.facts) and any(context.get(name) != value for name, value in facts.items()):
            yield Alternative(says, facts)
    yield from _kinds(asked)
    if "session" in asks.facts:
        if is_one_by_one:
            yield _signed_in(context, "the person signs in at the gate anew", mfa_age=context["session"]["mfa_age"])
        yield _signed_in(context, "the person signs in at the gate anew, with a second factor", mfa_age=0)
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
)


def _groups(trial: _Trial) -> Iterator[Alternative]:
    who = trial.asked["request"]["principal"]
    mine = {parent["id"] for entity in trial.asked["entities"] if entity["uid"] == who for parent in entity["parents"]}
    for group in sorted(trial.asks.groups - mine)[:MOST_NAMED]:
        yield Alternative(f"{trial.who} is a member of {group}", group=group)


def _kinds(asked: Asked) -> Iterator[Alternative]:
    who = asked["request"]["principal"]
    kinds = {entity["attrs"].get("kind") for entity in asked["entities"] if entity["uid"] == who}
    if kinds and PrincipalKind.HUMAN.value not in kinds:
        yield Alternative("a person does it", kind=PrincipalKind.HUMAN.value)


def _signed_in(context: Mapping[str, Any], says: str, *, mfa_age: int) -> Alternative:
    return Alternative(says, {"session": {**context["session"], "present": True, "age": 0, "mfa_age": mfa_age}})


def _refs(asks: Asks) -> Iterator[Alternative]:
    names = asks.compared_with("branch") | {each for each in asks.compared_with("ref") if each.startswith(BRANCHES)}
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


def _times(asks: Asks, asked: Asked) -> Iterator[Alternative]:
    """List other times: the hours of this day, and noon on every other."""
    if asks.facts.isdisjoint({"hour", "minute", "weekday"}):
        return
    today = asked["request"]["context"]["weekday"]
    yield Alternative("it is Tuesday noon", {"hour": _NOON, "minute": 0, "weekday": _TUESDAY})
    for hour in range(24):
        yield Alternative(f"it is {_DAYS[today - 1]}, {hour} o'clock", {"hour": hour, "minute": 0})
    for day, name in enumerate(_DAYS, start=1):
        yield Alternative(f"it is {name} noon", {"hour": _NOON, "minute": 0, "weekday": day})


def _hours(trial: _Trial) -> str:
    """Say at which other times it would be allowed as it is: hours of this day, or other days."""
    if trial.asks.facts.isdisjoint({"hour", "minute", "weekday"}):
        return ""
    today = _DAYS[trial.asked["request"]["context"]["weekday"] - 1]
    good = [h for h in range(24) if trial.allows([Alternative("", {"hour": h, "minute": 0})])]
    if good:
        return f"it is {today}, {_spans(good)} o'clock"
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


def _changed(asked: Asked, changes: Iterable[Alternative]) -> dict[str, Any]:
    made, request = list(changes), asked["request"]
    context = dict(request["context"])
    for change in made:
        context |= {name: value for name, value in change.facts.items() if name in context}
    who = request["principal"]
    entities = [_entity(entity, made) if entity["uid"] == who else entity for entity in asked["entities"]]
    return {**asked, "request": {**request, "context": context}, "entities": entities}


def _entity(entity: Mapping[str, Any], changes: Iterable[Alternative]) -> dict[str, Any]:
    attrs, parents = dict(entity["attrs"]), list(entity["parents"])
    for change in changes:
        if change.group is not None:
            parents.append({"type": "Group", "id": change.group})
        if change.kind is not None:
            attrs["kind"] = change.kind
    return {**entity, "attrs": attrs, "parents": parents}

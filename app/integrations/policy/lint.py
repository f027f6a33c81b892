"""What is wrong with a policy text, with its line, and what its policies say of themselves. Used by `cedar.py`.

The engine takes templates, `has` guards and texts nested without end; a `forbid` made of them may never come into force, or
may end the process. What a policy asks about may be known in part only: then it must ask whether it is known, too.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any

import cedarpy

_STATEMENT = re.compile(r"\b(?:permit|forbid)\s*\(")
_HIDDEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*', re.DOTALL)
_LINK = re.compile(r"&&|\|\||\bif\b|[-.+*!]")
_BRACKET = re.compile(r"[(\[{]|([)\]}])")
MOST_NESTED = 400  # Cedar's parser recurses without a limit: nested some thousand deep it kills the process, no error
_QUOTED = re.compile(r"`([^`]+)`")
# What may not be all there is: the fact that says whether it is.
KNOWN_BY = {"paths": "paths_known", "findings": "inspected", "unknown_authors": "authors_known"}


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """A policy as it is written. `guards` are the attributes that it asks for with `has`, `facts` those of the context.

    `actions` are those that its scope names (None: any), `groups` and `repositories` all that it names, `texts` the strings in
    its conditions, `compared` those that a fact is compared with (fact of the context or of its session, text).
    """

    id: str
    reason: str
    is_permit: bool
    is_template: bool
    actions: frozenset[str] | None
    resource: tuple[str, str] | None
    guards: tuple[str, ...]
    facts: frozenset[str]
    texts: frozenset[str]
    compared: frozenset[tuple[str, str]]
    groups: frozenset[str]
    repositories: frozenset[str]

    def may_concern(self, action: str, resources: frozenset[tuple[str, str]]) -> bool:
        """Tell whether its scope leaves room for this action on one of these (the resource and what it is in)."""
        return (self.actions is None or action in self.actions) and (self.resource is None or self.resource in resources)


def policies_of(text: str) -> list[ParsedPolicy]:
    """List the policies in the order of the text; raises ValueError where it does not parse."""
    return [_written(policy, is_template) for policy, is_template in parsed_of(text)]


def parsed_of(text: str) -> list[tuple[dict[str, Any], bool]]:
    """Parse the policies in the order of the text, with whether each is a template; raises ValueError where it does not parse."""
    parsed = json.loads(cedarpy.policies_to_json_str(text))
    both = [
        (key, policy, is_template)
        for group, is_template in (("staticPolicies", False), ("templates", True))
        for key, policy in parsed[group].items()
    ]
    ordered = sorted(both, key=lambda each: int(each[0].removeprefix("policy")))
    return [(policy, is_template) for _, policy, is_template in ordered]


def _written(policy: dict[str, Any], is_template: bool) -> ParsedPolicy:
    annotations, conditions = policy.get("annotations", {}), policy["conditions"]
    return ParsedPolicy(
        id=annotations.get("id") or "",
        reason=annotations.get("reason") or "",
        is_permit=policy["effect"] == "permit",
        is_template=is_template,
        actions=_scope_actions(policy["action"]),
        resource=_scope_resource(policy["resource"]),
        guards=tuple(_guards(conditions)),
        facts=frozenset(_facts(conditions)),
        texts=frozenset(_texts(conditions)),
        compared=frozenset(_compared(conditions)),
        groups=frozenset(_groups(policy)),
        repositories=frozenset(_repositories(policy)),
    )


def _scope_actions(scope: dict[str, Any]) -> frozenset[str] | None:
    """Read the scope of the action (docs.cedarpolicy.com/policies/json-format.html)."""
    if scope["op"] == "All":
        return None
    entities = scope.get("entities") or [scope.get("entity") or {}]
    return frozenset(str(each.get("id")) for each in entities)


def _scope_resource(scope: dict[str, Any]) -> tuple[str, str] | None:
    entity = scope.get("entity") or scope.get("in", {}).get("entity")
    return (str(entity["type"]), str(entity["id"])) if entity else None


def _walk(node: object) -> Iterator[dict[str, Any]]:
    """Walk an expression, object by object."""
    if isinstance(node, list):
        for each in node:
            yield from _walk(each)
    elif isinstance(node, dict):
        yield node
        for each in node.values():
            yield from _walk(each)


def _guards(conditions: object) -> Iterator[str]:
    for node in _walk(conditions):
        asked = node.get("has")
        if isinstance(asked, dict) and "attr" in asked:
            yield str(asked["attr"])


def _facts(conditions: object) -> Iterator[str]:
    for node in _walk(conditions):
        asked = node.get(".")
        if isinstance(asked, dict) and asked.get("left") == {"Var": "context"}:
            yield str(asked["attr"])


def _texts(conditions: object) -> Iterator[str]:
    for node in _walk(conditions):
        of_set = node.get("Set")
        for value in (node.get("Value"), *(each.get("Value") for each in of_set or () if isinstance(each, dict))):
            if isinstance(value, str):
                yield value


def _compared(conditions: object) -> Iterator[tuple[str, str]]:
    for node in _walk(conditions):
        for sides in node.values():
            if isinstance(sides, dict) and {"left", "right"} <= sides.keys():
                for one, other in ((sides["left"], sides["right"]), (sides["right"], sides["left"])):
                    if (fact := _fact(one)) is not None:
                        yield from zip(repeat(fact), _texts(other), strict=False)


def _fact(side: object) -> str | None:
    """Name the attribute that this is, if it is one of the context or of something in it."""
    asked = side.get(".") if isinstance(side, dict) else None
    if not isinstance(asked, dict):
        return None
    return str(asked["attr"]) if asked.get("left") == {"Var": "context"} or _fact(asked.get("left")) is not None else None


def _groups(policy: object) -> Iterator[str]:
    for node in _walk(policy):
        if node.get("type") == "Group" and "id" in node:
            yield str(node["id"])


def _repositories(policy: object) -> Iterator[str]:
    for node in _walk(policy):
        if node.get("type") == "Repository" and "id" in node:
            yield str(node["id"])


def faults_of(text: str, schema: str) -> list[str]:
    """Check one file as `LINE: what`: syntax, ids, what could make a forbid vanish, every attribute by the schema."""
    if deep := list(_too_deep(text)):
        return deep
    try:
        policies = policies_of(text)
    except RecursionError:
        return ["1: a policy is nested too deeply"]
    except ValueError as fault:
        return [f"{_line_of_syntax_fault(text)}: {fault}"]
    faults: list[tuple[int, str]] = []
    for index, policy in enumerate(policies):
        faults += [(_line(text, index, what), what) for what in _own_faults(policy)]
    for error in cedarpy.validate_policies(text, schema).errors:
        index = int(re.sub(r"\D", "", str(error.policy_id)) or 0)
        what = str(error.error).removeprefix(f"for policy `{error.policy_id}`, ")
        faults.append((_line(text, index, what), what))
    return [f"{line}: {what}" for line, what in sorted(faults)]


def _own_faults(policy: ParsedPolicy) -> Iterator[str]:
    if not policy.id:
        yield "a policy without @id: reasons could not name it"
    if policy.is_template:
        yield "a template (?principal, ?resource) is never linked here and so decides nothing"
    for attribute in policy.guards:
        yield f"`has {attribute}`: every attribute is always there, so this can only hide a misspelt one; leave it out"
    for fact in sorted(policy.facts & KNOWN_BY.keys()):
        if KNOWN_BY[fact] not in policy.facts:
            yield f"asks for `{fact}` and not for `{KNOWN_BY[fact]}`: where not all is known, what is missing decides nothing"


def clashing_ids(texts: Mapping[str, str], folder: Path) -> list[str]:
    seen: dict[str, str] = {}
    faults = []
    for name, text in sorted(texts.items()):
        for index, each in enumerate(policies_of(text)):
            place = f"{folder / name}:{_line(text, index)}"
            if each.id and each.id in seen:
                faults.append(f'{place}: @id("{each.id}") is already used at {seen[each.id]}')
            seen.setdefault(each.id, place)
    return faults


def blank_out(text: str) -> str:
    """Blank out comments and strings, so that offsets stay."""
    return _HIDDEN.sub(lambda hidden: re.sub(r"[^\n]", " ", hidden[0]), text)


@lru_cache(maxsize=8)  # asked for every policy of a text
def statements_of(text: str) -> tuple[int, ...]:
    """List where policies begin."""
    return tuple(found.start() for found in _STATEMENT.finditer(blank_out(text)))


def _too_deep(text: str) -> Iterator[str]:
    """Find, before the parser sees it, a piece up to a `;` that may be nested deeper than the parser can bear."""
    line = 1
    for piece in blank_out(text).split(";"):
        depth = deepest = 0
        for found in _BRACKET.finditer(piece):
            depth += -1 if found[1] else 1
            deepest = max(deepest, depth)
        if deepest + len(_LINK.findall(piece)) > MOST_NESTED:
            yield f"{line + piece[: len(piece) - len(piece.lstrip())].count(chr(10))}: a policy is nested too deeply"
        line += piece.count("\n")


def _line(text: str, index: int, what: str = "") -> int:
    """Return the line of what a fault quotes within the policy of this index, or the line where that begins."""
    starts = [*statements_of(text), len(text)]
    start, end = (starts[index], starts[index + 1]) if index + 1 < len(starts) else (0, 0)
    places = (text.find(quoted, start, end) for quoted in _QUOTED.findall(what))
    return text.count("\n", 0, next((place for place in places if place >= 0), start)) + 1


def _line_of_syntax_fault(text: str) -> int:
    """Find the first line with which the text can't be the beginning of anything: the parser itself tells no place."""
    lines = text.rstrip().split("\n")

    def is_broken(count: int) -> bool:
        try:
            cedarpy.PolicySet.from_str("\n".join(lines[:count]))
        except ValueError as fault:
            return "unexpected end of input" not in str(fault)
        return False

    return min(bisect_left(range(1, len(lines) + 1), True, key=is_broken) + 1, len(lines))

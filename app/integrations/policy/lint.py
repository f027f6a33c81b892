"""The faults of a policy text, with their lines, and what its policies name and ask for. Used by `cedar.py`.

The engine accepts templates, `has` guards and texts nested without end. A `forbid` made of them may never come into force, or
may end the process. Some facts may be known only in part: a policy that asks for one must also ask whether it is all known.
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
_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*', re.DOTALL)
_OPERATOR = re.compile(r"&&|\|\||\bif\b|[-.+*!]")
_BRACKET = re.compile(r"[(\[{]|([)\]}])")
MOST_NESTED = 400  # Cedar's parser recurses without a limit: some thousand levels kill the process instead of giving an error
_QUOTED = re.compile(r"`([^`]+)`")
# Facts that may be incomplete, each with the fact that says whether it is complete.
KNOWN_BY = {"paths": "paths_known", "findings": "inspected", "unknown_authors": "authors_known"}


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """A policy as it is written. `guards` are the attributes that it asks for with `has`, `facts` those of the context.

    `actions` are those that its scope names (None: any). `groups` and `repositories` are all that the policy names. `texts` are
    the strings in its conditions; `compared` pairs a fact of the context or of its session with a text.
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
    environments: frozenset[str]

    def may_concern(self, action: str, resources: frozenset[tuple[str, str]]) -> bool:
        """Tell whether its scope allows this action on one of these: the resource and its parents."""
        return (self.actions is None or action in self.actions) and (self.resource is None or self.resource in resources)


def policies_of(text: str) -> list[ParsedPolicy]:
    """List the policies in the order of the text; raises ValueError if it does not parse."""
    return [_parsed_policy(policy, is_template) for policy, is_template in parsed_of(text)]


def parsed_of(text: str) -> list[tuple[dict[str, Any], bool]]:
    """Parse the policies in the order of the text, and tell of each whether it is a template; raises ValueError."""
    parsed = json.loads(cedarpy.policies_to_json_str(text))
    keyed = [
        (key, policy, is_template)
        for group, is_template in (("staticPolicies", False), ("templates", True))
        for key, policy in parsed[group].items()
    ]
    ordered = sorted(keyed, key=lambda entry: int(entry[0].removeprefix("policy")))
    return [(policy, is_template) for _, policy, is_template in ordered]


def _parsed_policy(policy: dict[str, Any], is_template: bool) -> ParsedPolicy:
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
        compared=frozenset(_comparisons(conditions)),
        groups=frozenset(_named("Group", policy)),
        repositories=frozenset(_named("Repository", policy)),
        environments=frozenset(_named("Environment", policy)),
    )


def _scope_actions(scope: dict[str, Any]) -> frozenset[str] | None:
    """Read the scope of the action (docs.cedarpolicy.com/policies/json-format.html)."""
    if scope["op"] == "All":
        return None
    entities = scope.get("entities") or [scope.get("entity") or {}]
    return frozenset(str(entity.get("id")) for entity in entities)


def _scope_resource(scope: dict[str, Any]) -> tuple[str, str] | None:
    entity = scope.get("entity") or scope.get("in", {}).get("entity")
    return (str(entity["type"]), str(entity["id"])) if entity else None


def _walk(node: object) -> Iterator[dict[str, Any]]:
    """Walk an expression, object by object."""
    if isinstance(node, list):
        for child in node:
            yield from _walk(child)
    elif isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _walk(child)


def _guards(conditions: object) -> Iterator[str]:
    for node in _walk(conditions):
        operand = node.get("has")
        if isinstance(operand, dict) and "attr" in operand:
            yield str(operand["attr"])


def _facts(conditions: object) -> Iterator[str]:
    for node in _walk(conditions):
        operand = node.get(".")
        if isinstance(operand, dict) and operand.get("left") == {"Var": "context"}:
            yield str(operand["attr"])


def _texts(conditions: object) -> Iterator[str]:
    for node in _walk(conditions):
        members = node.get("Set")
        for value in (node.get("Value"), *(member.get("Value") for member in members or () if isinstance(member, dict))):
            if isinstance(value, str):
                yield value


def _comparisons(conditions: object) -> Iterator[tuple[str, str]]:
    for node in _walk(conditions):
        for sides in node.values():
            if isinstance(sides, dict) and {"left", "right"} <= sides.keys():
                for one, other in ((sides["left"], sides["right"]), (sides["right"], sides["left"])):
                    if (fact := _fact(one)) is not None:
                        yield from zip(repeat(fact), _texts(other), strict=False)


def _fact(side: object) -> str | None:
    """Return the name of the attribute, if `side` is an attribute of the context or of something in it."""
    operand = side.get(".") if isinstance(side, dict) else None
    if not isinstance(operand, dict):
        return None
    return str(operand["attr"]) if operand.get("left") == {"Var": "context"} or _fact(operand.get("left")) is not None else None


def _named(kind: str, policy: object) -> Iterator[str]:
    """Give the ids of the entities of one type that a policy names."""
    for node in _walk(policy):
        if node.get("type") == kind and "id" in node:
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
        yield "a policy without @id, so reasons could not name it"
    if policy.is_template:
        yield "a template (?principal, ?resource) is never linked here and so decides nothing"
    for attribute in policy.guards:
        yield f"`has {attribute}`: every attribute always exists, so `has` can only hide a misspelt one; leave it out"
    for fact in sorted(policy.facts & KNOWN_BY.keys()):
        if KNOWN_BY[fact] not in policy.facts:
            yield f"asks for `{fact}` but not for `{KNOWN_BY[fact]}`, which tells whether the list is complete; ask for both"


def clashing_ids(texts: Mapping[str, str], folder: Path) -> list[str]:
    """List the ids that two policies of these files share, as `FILE:LINE: what`."""
    places: dict[str, str] = {}
    faults = []
    for name, text in sorted(texts.items()):
        for index, policy in enumerate(policies_of(text)):
            place = f"{folder / name}:{_line(text, index)}"
            if policy.id and policy.id in places:
                faults.append(f'{place}: @id("{policy.id}") is already used at {places[policy.id]}')
            places.setdefault(policy.id, place)
    return faults


def blank_out(text: str) -> str:
    """Replace comments and strings by blanks, so that offsets stay the same."""
    return _STRING_OR_COMMENT.sub(lambda hidden: re.sub(r"[^\n]", " ", hidden[0]), text)


@lru_cache(maxsize=8)  # operand for every policy of a text
def statements_of(text: str) -> tuple[int, ...]:
    """List the offsets at which policies begin."""
    return tuple(statement.start() for statement in _STATEMENT.finditer(blank_out(text)))


def _too_deep(text: str) -> Iterator[str]:
    """Find the policies that may be nested too deeply for the parser, before it sees them. Each ends with a `;`."""
    line = 1
    for piece in blank_out(text).split(";"):
        depth = deepest = 0
        for bracket in _BRACKET.finditer(piece):
            depth += -1 if bracket[1] else 1
            deepest = max(deepest, depth)
        if deepest + len(_OPERATOR.findall(piece)) > MOST_NESTED:
            yield f"{line + piece[: len(piece) - len(piece.lstrip())].count(chr(10))}: a policy is nested too deeply"
        line += piece.count("\n")


def _line(text: str, index: int, what: str = "") -> int:
    """Return the line of the text that a fault quotes from the policy of this index, else the policy's first line."""
    starts = [*statements_of(text), len(text)]
    start, end = (starts[index], starts[index + 1]) if index + 1 < len(starts) else (0, 0)
    places = (text.find(quoted, start, end) for quoted in _QUOTED.findall(what))
    return text.count("\n", 0, next((place for place in places if place >= 0), start)) + 1


def _line_of_syntax_fault(text: str) -> int:
    """Find the first line after which the text cannot become a valid one. The parser itself does not name a line."""
    lines = text.rstrip().split("\n")

    def is_broken(count: int) -> bool:
        try:
            cedarpy.PolicySet.from_str("\n".join(lines[:count]))
        except ValueError as fault:
            return "unexpected end of input" not in str(fault)
        return False

    return min(bisect_left(range(1, len(lines) + 1), True, key=is_broken) + 1, len(lines))

"""Cedar policies behind one function that fails closed.

Cedar skips a policy that errors, which would make a `forbid` vanish (docs.cedarpolicy.com, "Authorization"). So the
schema is always passed, every attribute is required, and an allow with any error beside it is a deny. A template or a
`has` in a policy is refused: the engine takes both, and a `forbid` made of them may never come into force.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cedarpy

from app.domain.decision import Decision, DecisionRequest, Effect
from app.domain.errors import BadConfiguration

SCHEMA = (Path(__file__).parent / "schema.cedarschema").read_text(encoding="utf-8")
LONGEST_ERROR = 300
_STATEMENT = re.compile(r"\b(?:permit|forbid)\s*\(")
_HIDDEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*', re.DOTALL)
_LINK = re.compile(r"&&|\|\||\bif\b|[-.+*!]")
_BRACKET = re.compile(r"[(\[{]|([)\]}])")
MOST_NESTED = 400  # Cedar's parser recurses without a limit: nested some thousand deep it kills the process, no error
_QUOTED = re.compile(r"`([^`]+)`")

Answer = tuple[Effect, tuple[str, ...], str]


class CedarPolicy:
    """One version of the policies, parsed once; decides from any thread (protocol: Policy)."""

    def __init__(self, texts: Mapping[str, str], folder: Path = Path(), *, schema: str | None = None) -> None:
        """Take texts by file name; `folder` only says where they lie, in faults. Raises BadConfiguration.

        `schema` is that of a kept version, by which recorded decisions are made again; else the one that ships with the program.
        """
        self.schema = SCHEMA if schema is None else schema
        names = sorted(texts)
        own = {name: _faults(texts[name], self.schema) for name in names}
        faults = [f"{folder / name}:{fault}" for name in names for fault in own[name]]
        faults += _clashing_ids({name: texts[name] for name in names if not own[name]}, folder)
        if not any(_statements(text) for text in texts.values()):
            faults.append(f"{folder}: there is no policy, so nobody could deploy anything")
        if faults:
            raise BadConfiguration(faults)
        self.text = "\n".join(f"// {name}\n{texts[name]}" for name in names)
        whole = json.dumps([self.schema, [[name, texts[name]] for name in names]])
        self.digest = hashlib.sha256(whole.encode()).hexdigest()
        self._schema = cedarpy.Schema.from_str(self.schema)
        self._policies = cedarpy.PolicySet.from_str(self.text)
        self._reasons = {each.id: each.reason for each in _policies(self.text)}

    def decide(self, request: DecisionRequest) -> Decision:
        """Decide. Never raises: whatever goes wrong is a deny that says so."""
        asked = _asked(request)
        effect, policies, reason = self._answer(asked)
        return Decision(effect, policies, reason, self.digest, asked)

    def decide_again(self, asked: dict[str, Any]) -> Effect:
        """Decide a recorded request (Decision.request) under this version (invariant 10)."""
        return self._answer(asked)[0]

    def _answer(self, asked: dict[str, Any]) -> Answer:
        try:
            if not _is_active(asked):
                return Effect.DENY, (), f"{asked['request']['principal']['id']} is not active"
            return self._evaluate(asked)
        except Exception as fault:
            return Effect.DENY, (), _unanswered(f"{type(fault).__name__}: {fault}")

    def _evaluate(self, asked: dict[str, Any]) -> Answer:
        answer = cedarpy.is_authorized(asked["request"], self._policies, asked["entities"], self._schema)
        ids = answer.diagnostics.id_annotations_by_reason
        policies = tuple(sorted(str(ids[reason]) for reason in answer.diagnostics.reasons))
        if answer.diagnostics.errors:
            return Effect.DENY, policies, _unanswered("; ".join(map(str, answer.diagnostics.errors)))
        if answer.allowed and policies:
            return Effect.ALLOW, policies, f"permitted by {self._named(policies)}"
        if policies:
            return Effect.DENY, policies, f"forbidden by {self._named(policies)}"
        who, what, where = (asked["request"][name]["id"] for name in ("principal", "action", "resource"))
        ref = asked["request"]["context"]["ref"]
        return Effect.DENY, (), f"no policy permits {who} to {what} to {where} from {ref}"

    def _named(self, policies: tuple[str, ...]) -> str:
        return ", ".join(f'"{p}"' + (f" ({self._reasons[p]})" if self._reasons[p] else "") for p in policies)


def load(folder: Path) -> CedarPolicy:
    """Read every `*.cedar` of a folder; raises BadConfiguration with each fault as `FILE:LINE: what`."""
    texts: dict[str, str] = {}
    faults: list[str] = []
    for path in sorted(folder.glob("*.cedar")):
        try:
            texts[path.name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            faults.append(f"{path}: cannot be read: {fault}")
    if faults:
        raise BadConfiguration(faults)
    if not texts:
        raise BadConfiguration([f"{folder}: holds no *.cedar file, so nobody could deploy anything"])
    return CedarPolicy(texts, folder)


def _unanswered(error: str) -> str:
    return f"the policy could not be evaluated: {error[:LONGEST_ERROR]}"


def _asked(request: DecisionRequest) -> dict[str, Any]:
    principal = request.principal
    who = {"type": "Principal", "id": principal.subject}
    where = {"type": "Environment", "id": request.environment}
    return {
        "request": {
            "principal": who,
            "action": {"type": "Action", "id": request.action.value},
            "resource": where,
            "context": _plain(request.context),
        },
        "entities": [
            {
                "uid": who,
                "attrs": {"kind": principal.kind.value, "active": principal.active, "owner": principal.owner or ""},
                "parents": [{"type": "Group", "id": group} for group in sorted(principal.groups)],
            },
            {"uid": where, "attrs": {}, "parents": [{"type": "Repository", "id": request.repository}]},
        ],
    }


def _plain(context: object) -> dict[str, Any]:
    """Copy the context as JSON; empty where it is none, which the schema refuses: evidence must be storable."""
    try:
        text = json.dumps(context, allow_nan=False, ensure_ascii=False)
        text.encode()
        copy = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return copy if isinstance(copy, dict) else {}


def _is_active(asked: dict[str, Any]) -> bool:
    """Tell by the recorded entities, so that deciding again gives the same answer."""
    who = asked["request"]["principal"]
    return any(each["uid"] == who and each["attrs"].get("active") is True for each in asked["entities"])


@dataclass(frozen=True, slots=True)
class _Found:
    """A policy as the parser sees it. `guards` are the attributes that it asks for with `has`."""

    id: str
    reason: str
    is_template: bool
    guards: tuple[str, ...]


def _policies(text: str) -> list[_Found]:
    """List the policies in the order of the text; raises ValueError where it does not parse."""
    parsed = json.loads(cedarpy.policies_to_json_str(text))
    both = [
        (key, policy, is_template)
        for group, is_template in (("staticPolicies", False), ("templates", True))
        for key, policy in parsed[group].items()
    ]
    return [
        _Found(
            id=policy.get("annotations", {}).get("id") or "",
            reason=policy.get("annotations", {}).get("reason") or "",
            is_template=is_template,
            guards=tuple(_guards(policy["conditions"])),
        )
        for _, policy, is_template in sorted(both, key=lambda each: int(each[0].removeprefix("policy")))
    ]


def _guards(node: object) -> Iterator[str]:
    """Walk an expression (docs.cedarpolicy.com/policies/json-format.html) for `has`."""
    if isinstance(node, list):
        for each in node:
            yield from _guards(each)
    elif isinstance(node, dict):
        asked = node.get("has")
        if isinstance(asked, dict) and "attr" in asked:
            yield str(asked["attr"])
        for each in node.values():
            yield from _guards(each)


def _faults(text: str, schema: str) -> list[str]:
    """Check one file as `LINE: what`: syntax, ids, what could make a forbid vanish, every attribute by the schema."""
    if deep := list(_too_deep(text)):
        return deep
    try:
        policies = _policies(text)
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


def _own_faults(policy: _Found) -> Iterator[str]:
    if not policy.id:
        yield "a policy without @id: reasons could not name it"
    if policy.is_template:
        yield "a template (?principal, ?resource) is never linked here and so decides nothing"
    for attribute in policy.guards:
        yield f"`has {attribute}`: every attribute is always there, so this can only hide a misspelt one; leave it out"


def _clashing_ids(texts: Mapping[str, str], folder: Path) -> list[str]:
    seen: dict[str, str] = {}
    faults = []
    for name, text in sorted(texts.items()):
        for index, each in enumerate(_policies(text)):
            place = f"{folder / name}:{_line(text, index)}"
            if each.id and each.id in seen:
                faults.append(f'{place}: @id("{each.id}") is already used at {seen[each.id]}')
            seen.setdefault(each.id, place)
    return faults


def _blanked(text: str) -> str:
    """Blank out comments and strings, so that offsets stay."""
    return _HIDDEN.sub(lambda hidden: re.sub(r"[^\n]", " ", hidden[0]), text)


@lru_cache(maxsize=8)  # asked for every policy of a text
def _statements(text: str) -> tuple[int, ...]:
    """List where policies begin."""
    return tuple(found.start() for found in _STATEMENT.finditer(_blanked(text)))


def _too_deep(text: str) -> Iterator[str]:
    """Find, before the parser sees it, a piece up to a `;` that may be nested deeper than the parser can bear."""
    line = 1
    for piece in _blanked(text).split(";"):
        depth = deepest = 0
        for found in _BRACKET.finditer(piece):
            depth += -1 if found[1] else 1
            deepest = max(deepest, depth)
        if deepest + len(_LINK.findall(piece)) > MOST_NESTED:
            yield f"{line + piece[: len(piece) - len(piece.lstrip())].count(chr(10))}: a policy is nested too deeply"
        line += piece.count("\n")


def _line(text: str, index: int, what: str = "") -> int:
    """Return the line of what a fault quotes within the policy of this index, or the line where that begins."""
    starts = [*_statements(text), len(text)]
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

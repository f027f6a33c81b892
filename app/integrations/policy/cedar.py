"""Cedar policies behind one function that fails closed.

Cedar skips a policy that errors, which would make a `forbid` vanish (docs.cedarpolicy.com, "Authorization"). So the
schema is always passed, every attribute is required, and an allow with any error beside it is a deny.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cedarpy

from app.domain.decision import Decision, DecisionRequest, Effect
from app.domain.errors import BadConfiguration

SCHEMA = (Path(__file__).parent / "schema.cedarschema").read_text(encoding="utf-8")
LONGEST_ERROR = 300
_STATEMENT = re.compile(r"\b(?:permit|forbid)\s*\(")
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*')


class CedarPolicy:
    """One version of the policies, parsed once; decides from any thread (protocol: Policy)."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        faults = [fault for name, text in sorted(texts.items()) for fault in _faults(name, text)]
        faults += _clashing_ids(texts)
        if not any(_statements(text) for text in texts.values()):
            faults.append("policies: there is no policy, so nobody could deploy anything")
        if faults:
            raise BadConfiguration(faults)
        self.text = "\n".join(f"// {name}\n{text}" for name, text in sorted(texts.items()))
        self.digest = hashlib.sha256(f"{SCHEMA}\0{self.text}".encode()).hexdigest()
        self._schema = cedarpy.Schema.from_str(SCHEMA)
        self._policies = cedarpy.PolicySet.from_str(self.text)
        self._reasons = {i["id"]: i.get("reason", "") for i in _annotations(self.text)}

    def decide(self, request: DecisionRequest) -> Decision:
        """Decide. Never raises: whatever goes wrong is a deny that says so."""
        asked = _asked(request)
        try:
            effect, policies, error = self._evaluate(asked)
        except Exception as fault:  # any fault of the engine is a deny (invariant 7)
            effect, policies, error = Effect.DENY, (), f"{type(fault).__name__}: {fault}"
        if not request.principal.active:
            effect, policies, error = Effect.DENY, (), f"{request.principal.subject} is not active"
        return Decision(effect, policies, self._reason(request, effect, policies, error), self.digest, asked)

    def decide_again(self, asked: dict[str, Any]) -> Effect:
        """Decide a recorded request (Decision.request) under this version (invariant 10)."""
        try:
            return self._evaluate(asked)[0]
        except Exception:
            return Effect.DENY

    def _evaluate(self, asked: dict[str, Any]) -> tuple[Effect, tuple[str, ...], str]:
        answer = cedarpy.is_authorized(asked["request"], self._policies, asked["entities"], self._schema)
        errors = [str(error) for error in answer.diagnostics.errors]
        ids = answer.diagnostics.id_annotations_by_reason
        policies = tuple(sorted(str(ids[reason]) for reason in answer.diagnostics.reasons))
        clean = answer.allowed and not errors and bool(policies)
        return Effect.ALLOW if clean else Effect.DENY, policies, "; ".join(errors)

    def _reason(self, request: DecisionRequest, effect: Effect, policies: tuple[str, ...], error: str) -> str:
        if error:
            return f"the policy could not be evaluated: {error[:LONGEST_ERROR]}"
        named = ", ".join(f'"{p}"' + (f" ({self._reasons[p]})" if self._reasons.get(p) else "") for p in policies)
        if effect is Effect.ALLOW:
            return f"permitted by {named}"
        if policies:
            return f"forbidden by {named}"
        who, what, where = request.principal.subject, request.action.value, request.environment
        return f"no policy permits {who} to {what} to {where} from {request.context.get('ref')}"


def load(folder: Path) -> CedarPolicy:
    """Read every `*.cedar` of a folder; raises BadConfiguration with each fault as `FILE:LINE: what`."""
    try:
        texts = {str(path): path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.cedar"))}
    except (OSError, UnicodeDecodeError) as fault:
        raise BadConfiguration([f"{folder}: cannot be read: {fault}"]) from None
    if not texts:
        raise BadConfiguration([f"{folder}: holds no *.cedar file, so nobody could deploy anything"])
    return CedarPolicy(texts)


def _asked(request: DecisionRequest) -> dict[str, Any]:
    principal = request.principal
    who = {"type": "Principal", "id": principal.subject}
    where = {"type": "Environment", "id": request.environment}
    return {
        "request": {
            "principal": who,
            "action": {"type": "Action", "id": request.action.value},
            "resource": where,
            "context": request.context,
        },
        "entities": [
            {
                "uid": who,
                "attrs": {"kind": principal.kind.value, "active": principal.active},
                "parents": [{"type": "Group", "id": group} for group in sorted(principal.groups)],
            },
            {"uid": where, "attrs": {}, "parents": [{"type": "Repository", "id": request.repository}]},
        ],
    }


def _faults(name: str, text: str) -> list[str]:
    """Check one file: syntax, ids, and every attribute against the schema."""
    try:
        annotations = _annotations(text)
    except ValueError as fault:
        return [f"{name}:{_line_of_fault(text, str(fault))}: {fault}"]
    faults = [
        f"{name}:{_line_of_statement(text, index)}: a policy without @id: reasons could not name it"
        for index, each in enumerate(annotations)
        if not each["id"]
    ]
    for error in cedarpy.validate_policies(text, SCHEMA).errors:
        index = int(re.sub(r"\D", "", str(error.policy_id)) or 0)
        faults.append(f"{name}:{_line_of_statement(text, index)}: {error.error}")
    return faults


def _annotations(text: str) -> list[dict[str, str]]:
    """List each policy's annotations in the order of the text; raises ValueError where it does not parse."""
    policies = json.loads(cedarpy.policies_to_json_str(text))
    if policies["templates"]:
        raise ValueError("templates (?principal, ?resource) cannot be linked here")
    found = sorted(policies["staticPolicies"].items(), key=lambda item: int(item[0].removeprefix("policy")))
    return [{"id": "", **(policy.get("annotations") or {})} for _, policy in found]


def _clashing_ids(texts: Mapping[str, str]) -> list[str]:
    seen: dict[str, str] = {}
    faults = []
    for name, text in sorted(texts.items()):
        try:
            annotations = _annotations(text)
        except ValueError:
            continue  # told by _faults
        for index, each in enumerate(annotations):
            if each["id"] and each["id"] in seen:
                line = _line_of_statement(text, index)
                faults.append(f'{name}:{line}: @id("{each["id"]}") is already used in {seen[each["id"]]}')
            seen.setdefault(each["id"], name)
    return faults


def _statements(text: str) -> list[int]:
    """List where policies begin, comments blanked out so that offsets stay."""
    blanked = _COMMENT.sub(lambda m: m[0] if m[1] else " " * len(m[0]), text)
    return [found.start() for found in _STATEMENT.finditer(blanked)]


def _line_of_statement(text: str, index: int) -> int:
    starts = _statements(text)
    return text.count("\n", 0, starts[index]) + 1 if index < len(starts) else 1


def _line_of_fault(text: str, fault: str) -> int:
    """Find the token that the parser stumbled over; the parser itself tells no place."""
    found = re.search(r"unexpected token `(.+?)`", fault)
    at = text.find(found[1]) if found else -1
    return text.count("\n", 0, at) + 1 if at >= 0 else 1

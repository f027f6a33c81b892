"""Cedar policies behind one function that fails closed. `lint.py` checks the texts.

Cedar skips a policy that errors, which would make a `forbid` vanish (docs.cedarpolicy.com, "Authorization"). So the
schema is always passed, every attribute is required, and an allow with any error is a deny.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import cedarpy

from app.domain.decision import HOLDABLE, NAMED, Action, Decision, DecisionRequest, Effect
from app.domain.errors import BadConfiguration
from app.integrations.policy.lint import clashing_ids, faults_of, policies_of, statements_of
from app.integrations.policy.protocol import Asks
from app.integrations.policy.texts import files_of

SCHEMA = (Path(__file__).parent / "schema.cedarschema").read_text(encoding="utf-8")
LONGEST_ERROR = 300
MOST = 2**31  # approvals: more than any policy asks for
GATE = {"type": "Gate", "id": "tidegate"}  # the resource of what is about no environment

Answer = tuple[Effect, tuple[str, ...], str]


class CedarPolicy:
    """One version of the policies, parsed once; decides from any thread (protocol: Policy)."""

    def __init__(self, texts: Mapping[str, str], folder: Path = Path(), *, schema: str | None = None) -> None:
        """Take texts by file name; faults name `folder` as their place. Raises BadConfiguration.

        `schema` is a kept version's schema, to make recorded decisions again. The default is the one that ships with the program.
        """
        chosen = SCHEMA if schema is None else schema
        if faults := _faults(texts, folder, chosen):
            raise BadConfiguration(faults)
        self._set(texts, chosen)

    @classmethod
    def from_version(cls, text: str, schema: str, digest: str) -> CedarPolicy:
        """Return a kept version as it decided then, without today's checks; raises BadConfiguration if the digest differs."""
        texts = files_of(text, lambda files: _digest(files, schema) == digest)
        if texts is None:
            raise BadConfiguration([f"the kept text of version {digest} does not fit its digest"])
        policy = cls.__new__(cls)
        try:
            policy._set(texts, schema)
        except ValueError as fault:
            raise BadConfiguration([f"the kept text of version {digest} cannot be read: {fault}"]) from None
        return policy

    def _set(self, texts: Mapping[str, str], schema: str) -> None:
        self.schema = schema
        self.files = {name: texts[name] for name in sorted(texts)}
        self.text = "\n".join(f"// {name}\n{text}" for name, text in self.files.items())
        self.digest = _digest(texts, schema)
        self._schema = cedarpy.Schema.from_str(schema)
        self._policies = cedarpy.PolicySet.from_str(self.text)
        self._by_id = {policy.id: policy for policy in policies_of(self.text)}
        self._repositories = frozenset(name for policy in self._by_id.values() for name in policy.repositories)
        self._enough = {"count": MOST, "met": True, "groups": sorted({t for p in self._by_id.values() for t in p.texts})}

    def changed(self, file: str, text: str) -> CedarPolicy:
        """Return these policies with this file; raises BadConfiguration. Faults do not name the folder of the files."""
        return CedarPolicy({**self.files, file: text}, schema=self.schema)

    def asks(self, fact: str, action: Action, resources: frozenset[tuple[str, str]]) -> bool:
        """Tell whether a policy asks for this fact and may concern this action on one of these resources."""
        return any(fact in policy.facts and policy.may_concern(action.value, resources) for policy in self._by_id.values())

    def names(self, action: Action) -> bool:
        """Tell whether a policy names this action in its scope."""
        return any(action in (policy.actions or ()) for policy in self._by_id.values())

    @property
    def groups(self) -> frozenset[str]:
        """The groups that any policy names."""
        return frozenset(group for policy in self._by_id.values() for group in policy.groups)

    @property
    def repositories(self) -> frozenset[str]:
        """The repositories that any policy names, as it spells them."""
        return self._repositories

    @property
    def environments(self) -> frozenset[str]:
        """The environments that any policy names."""
        return frozenset(name for policy in self._by_id.values() for name in policy.environments)

    @property
    def reasons(self) -> dict[str, str]:
        """Each policy's reason for people, by its id."""
        return {policy.id: policy.reason for policy in self._by_id.values()}

    def permits(self, action: Action, resources: frozenset[tuple[str, str]]) -> bool:
        """Tell whether a policy may ever permit somebody this action, by name if it must be named."""
        permits = (p for p in self._by_id.values() if p.is_permit and p.may_concern(action.value, resources))
        return any(action.value not in NAMED or policy.actions is not None for policy in permits)

    def about(self, query: Mapping[str, Any], denied_by: Collection[str] | None = None) -> Asks:
        """Return what the policies ask for, if they may concern this request (Decision.request); or what is behind a denial."""
        action, resources = query["request"]["action"]["id"], _resources(query)
        policies = [policy for policy in self._by_id.values() if policy.may_concern(action, resources)]
        if denied_by is not None:
            policies = [p for p in policies if (p.id in denied_by if denied_by else p.is_permit)]
        return Asks(
            groups=frozenset(group for policy in policies for group in policy.groups),
            facts=frozenset(fact for policy in policies for fact in policy.facts),
            compared=frozenset(pair for policy in policies for pair in policy.compared),
            enough=self._enough,
        )

    @property
    def facts(self) -> frozenset[str]:
        """The facts of the context that any policy asks about."""
        return frozenset(fact for policy in self._by_id.values() for fact in policy.facts)

    def decide(self, request: DecisionRequest) -> Decision:
        """Decide. Never raises: any fault is a deny that names it."""
        return self.recompute(_as_query(request))

    def recompute(self, query: dict[str, Any]) -> Decision:
        """Decide a recorded request (Decision.request) under this version (invariant 10). Never raises."""
        effect, policies, reason = self._answer(query)
        return Decision(effect, policies, reason, self.digest, query)

    def _answer(self, query: dict[str, Any]) -> Answer:
        try:
            if not _is_active(query):
                return Effect.DENY, (), f"{query['request']['principal']['id']} is not active"
            answer = self._evaluate(query)
            return answer if answer[0] is Effect.ALLOW else self._hold_or_deny(query, answer)
        except Exception as fault:
            return Effect.DENY, (), _evaluation_fault(f"{type(fault).__name__}: {fault}")

    def _hold_or_deny(self, query: dict[str, Any], denied: Answer) -> Answer:
        """Turn a denial into a hold if enough approvals would allow the request."""
        request = query["request"]
        if request["action"]["id"] not in HOLDABLE or "approvals" not in request["context"]:
            return denied  # also if the request was recorded before there were approvals
        context = request["context"] | {"approvals": self._enough}
        effect, _, _ = self._evaluate(query | {"request": request | {"context": context}})
        if effect is not Effect.ALLOW:
            return denied
        return Effect.HOLD, denied[1], f"waits for approvals: {denied[2]}"

    def _evaluate(self, query: dict[str, Any]) -> Answer:
        answer = cedarpy.is_authorized(query["request"], self._policies, query["entities"], self._schema)
        ids = answer.diagnostics.id_annotations_by_reason
        policies = tuple(sorted(str(ids[reason]) for reason in answer.diagnostics.reasons))
        if answer.diagnostics.errors:
            return Effect.DENY, policies, _evaluation_fault("; ".join(map(str, answer.diagnostics.errors)))
        if answer.allowed and policies:
            return self._allow_or_deny(query, policies)
        if policies:
            return Effect.DENY, policies, f"forbidden by {self._with_reasons(policies)}"
        return Effect.DENY, (), self._why_not_permitted(query)

    def _allow_or_deny(self, query: dict[str, Any], policies: tuple[str, ...]) -> Answer:
        action = query["request"]["action"]["id"]
        naming = tuple(p for p in policies if action in (self._by_id[p].actions or ()))
        if action in NAMED and not naming:
            reason = f"no policy permits to {action} by name; permits for any action do not include it"
            remedy = "" if self.names(Action(action)) else f"; to permit it, add the policy: {_policy_for(query)}"
            return Effect.DENY, (), f"{reason}: {self._with_reasons(policies)}{remedy}"
        policies = naming if action in NAMED else policies
        return Effect.ALLOW, policies, f"permitted by {self._with_reasons(policies)}"

    def _why_not_permitted(self, query: dict[str, Any]) -> str:
        """Say that no policy permits the request, and which policies could."""
        who, what, where = (query["request"][name]["id"] for name in ("principal", "action", "resource"))
        resources = _resources(query)
        permits = (p for p in self._by_id.values() if p.is_permit and p.may_concern(what, resources))
        could = [p.id for p in permits if what not in NAMED or p.actions is not None]
        reason = f"no policy permits {who} to {_with_place(what, where, query['request']['context']['ref'])}"
        if what in NAMED and not could:
            return f"{reason}; to permit it, add the policy: {_policy_for(query)}"
        return reason + (f"; policies that could: {self._with_reasons(could)}" if could else "")

    def _with_reasons(self, policies: Iterable[str]) -> str:
        return ", ".join(f'"{p}"' + (f" ({self._by_id[p].reason})" if self._by_id[p].reason else "") for p in policies)


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
        raise BadConfiguration([f"{folder}: has no *.cedar file, so everything would be denied"])
    return CedarPolicy(texts, folder)


def _faults(texts: Mapping[str, str], folder: Path, schema: str) -> list[str]:
    names = sorted(texts)
    own = {name: faults_of(texts[name], schema) for name in names}
    faults = [f"{folder / name}:{fault}" for name in names for fault in own[name]]
    faults += clashing_ids({name: texts[name] for name in names if not own[name]}, folder)
    if not any(statements_of(text) for text in texts.values()):
        faults.append(f"{folder}: there is no policy, so everything would be denied")
    return faults


def _digest(texts: Mapping[str, str], schema: str) -> str:
    whole = json.dumps([schema, [[name, texts[name]] for name in sorted(texts)]])
    return hashlib.sha256(whole.encode()).hexdigest()


def _evaluation_fault(error: str) -> str:
    return f"the policy could not be evaluated: {error[:LONGEST_ERROR]}"


def _as_query(request: DecisionRequest) -> dict[str, Any]:
    principal = request.principal
    who = {"type": "Principal", "id": principal.subject}
    repository = {"type": "Repository", "id": request.repository}
    where = _resource(request, repository)
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
            {"uid": where, "attrs": {}, "parents": [repository] if where["type"] == "Environment" else []},
        ],
    }


def _resource(request: DecisionRequest, repository: dict[str, str]) -> dict[str, str]:
    if request.action is Action.PUSH:
        return repository
    if request.action is Action.CHANGE_POLICIES or (request.action is Action.READ and not request.environment):
        return GATE
    return {"type": "Environment", "id": request.environment}


def _with_place(action: str, place: str, ref: str) -> str:
    """Spell an action and its place: "deploy to production from refs/heads/main"."""
    if action == Action.CHANGE_POLICIES:
        return "change policies"
    if action == Action.REVIEW:
        return f"review an override in {place}"
    return f"{action} to {place} from {ref}" if ref else f"{action} {place}"


def _policy_for(query: Mapping[str, Any]) -> str:
    """Spell the policy that would permit just this: this principal, action and resource."""
    who, what, where = (query["request"][name] for name in ("principal", "action", "resource"))
    name = _quoted(f"{who['id']}-{what['id']}-{where['id']}")
    scope = ("principal == Principal::" + _quoted(who["id"]), "action == Action::" + _quoted(what["id"]))
    return f"@id({name}) permit ({', '.join(scope)}, resource == {where['type']}::{_quoted(where['id'])});"


def _quoted(text: str) -> str:
    """Spell a text as Cedar does (docs.cedarpolicy.com, grammar: string literals)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _resources(query: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset(_uid(uid) for entity in query["entities"] for uid in (entity["uid"], *entity["parents"]))


def _uid(uid: dict[str, str]) -> tuple[str, str]:
    return uid["type"], uid["id"]


def _plain(context: object) -> dict[str, Any]:
    """Copy the context as JSON. If it is not storable as JSON, return an empty one, which the schema refuses."""
    try:
        text = json.dumps(context, allow_nan=False, ensure_ascii=False)
        text.encode()
        copy = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return copy if isinstance(copy, dict) else {}


def _is_active(query: dict[str, Any]) -> bool:
    """Tell by the recorded entities, so that deciding again gives the same answer."""
    who = query["request"]["principal"]
    return any(entity["uid"] == who and entity["attrs"].get("active") is True for entity in query["entities"])

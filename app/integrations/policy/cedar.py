"""Cedar policies behind one function that fails closed. What a text must not hold: `lint.py`.

Cedar skips a policy that errors, which would make a `forbid` vanish (docs.cedarpolicy.com, "Authorization"). So the
schema is always passed, every attribute is required, and an allow with any error beside it is a deny.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cedarpy

from app.domain.decision import HOLDABLE, Action, Decision, DecisionRequest, Effect
from app.domain.errors import BadConfiguration
from app.integrations.policy.lint import clashing_ids, faults_of, policies_of, statements_of
from app.integrations.policy.protocol import Asks
from app.integrations.policy.texts import files_of

SCHEMA = (Path(__file__).parent / "schema.cedarschema").read_text(encoding="utf-8")
LONGEST_ERROR = 300
MOST = 2**31  # approvals: more than any policy asks for
NAMED = frozenset({Action.APPROVE.value, Action.OVERRIDE.value})  # rights that no permit for "any action" gives along

Answer = tuple[Effect, tuple[str, ...], str]


class CedarPolicy:
    """One version of the policies, parsed once; decides from any thread (protocol: Policy)."""

    def __init__(self, texts: Mapping[str, str], folder: Path = Path(), *, schema: str | None = None) -> None:
        """Take texts by file name; `folder` only says where they lie, in faults. Raises BadConfiguration.

        `schema` is that of a kept version, by which recorded decisions are made again; else the one that ships with the program.
        """
        chosen = SCHEMA if schema is None else schema
        if faults := _faults(texts, folder, chosen):
            raise BadConfiguration(faults)
        self._take(texts, chosen)

    @classmethod
    def kept(cls, text: str, schema: str, digest: str) -> CedarPolicy:
        """Take a kept version as it decided then, whatever is checked today; raises BadConfiguration where it is another one."""
        texts = files_of(text, lambda found: _digest(found, schema) == digest)
        if texts is None:
            raise BadConfiguration([f"what is kept of version {digest} is not what its digest names"])
        made = cls.__new__(cls)
        try:
            made._take(texts, schema)
        except ValueError as fault:
            raise BadConfiguration([f"what is kept of version {digest} cannot be read: {fault}"]) from None
        return made

    def _take(self, texts: Mapping[str, str], schema: str) -> None:
        self.schema = schema
        self.files = {name: texts[name] for name in sorted(texts)}
        self.text = "\n".join(f"// {name}\n{text}" for name, text in self.files.items())
        self.digest = _digest(texts, schema)
        self._schema = cedarpy.Schema.from_str(schema)
        self._policies = cedarpy.PolicySet.from_str(self.text)
        self._written = {each.id: each for each in policies_of(self.text)}
        self._repositories = frozenset(name for each in self._written.values() for name in each.repositories)
        self._enough = {"count": MOST, "met": True, "groups": sorted({t for each in self._written.values() for t in each.texts})}

    def changed(self, file: str, text: str) -> CedarPolicy:
        """Return these policies with this file; raises BadConfiguration. Faults say nothing of where the files lie."""
        return CedarPolicy({**self.files, file: text}, schema=self.schema)

    def asks(self, fact: str, action: Action, resources: frozenset[tuple[str, str]]) -> bool:
        """Tell whether a policy asks for a fact of the context that may concern this action on one of these resources."""
        return any(fact in each.facts and each.may_concern(action.value, resources) for each in self._written.values())

    @property
    def groups(self) -> frozenset[str]:
        """The groups that any policy names."""
        return frozenset(group for each in self._written.values() for group in each.groups)

    @property
    def repositories(self) -> frozenset[str]:
        """The repositories that any policy names, as it spells them."""
        return self._repositories

    @property
    def reasons(self) -> dict[str, str]:
        """What each policy says to people, by its id."""
        return {each.id: each.reason for each in self._written.values()}

    def about(self, asked: Mapping[str, Any]) -> Asks:
        """Tell what the policies ask for that may concern this request (Decision.request)."""
        action, resources = asked["request"]["action"]["id"], _resources(asked)
        about = [each for each in self._written.values() if each.may_concern(action, resources)]
        return Asks(
            groups=frozenset(group for each in about for group in each.groups),
            facts=frozenset(fact for each in about for fact in each.facts),
            compared=frozenset(pair for each in about for pair in each.compared),
            enough=self._enough,
        )

    @property
    def facts(self) -> frozenset[str]:
        """The facts of the context that any policy asks about."""
        return frozenset(fact for each in self._written.values() for fact in each.facts)

    def decide(self, request: DecisionRequest) -> Decision:
        """Decide. Never raises: whatever goes wrong is a deny that says so."""
        return self.recompute(_asked(request))

    def recompute(self, asked: dict[str, Any]) -> Decision:
        """Decide a recorded request (Decision.request) under this version (invariant 10). Never raises."""
        effect, policies, reason = self._answer(asked)
        return Decision(effect, policies, reason, self.digest, asked)

    def _answer(self, asked: dict[str, Any]) -> Answer:
        try:
            if not _is_active(asked):
                return Effect.DENY, (), f"{asked['request']['principal']['id']} is not active"
            answer = self._evaluate(asked)
            return answer if answer[0] is Effect.ALLOW else self._held(asked, answer)
        except Exception as fault:
            return Effect.DENY, (), _unanswered(f"{type(fault).__name__}: {fault}")

    def _held(self, asked: dict[str, Any], denied: Answer) -> Answer:
        """Hold what enough approvals would allow; where those change nothing, it stays denied."""
        request = asked["request"]
        if request["action"]["id"] not in HOLDABLE or "approvals" not in request["context"]:
            return denied  # also what was recorded before there were approvals
        context = request["context"] | {"approvals": self._enough}
        effect, _, _ = self._evaluate(asked | {"request": request | {"context": context}})
        if effect is not Effect.ALLOW:
            return denied
        return Effect.HOLD, denied[1], f"waits for approvals: {denied[2]}"

    def _evaluate(self, asked: dict[str, Any]) -> Answer:
        answer = cedarpy.is_authorized(asked["request"], self._policies, asked["entities"], self._schema)
        ids = answer.diagnostics.id_annotations_by_reason
        policies = tuple(sorted(str(ids[reason]) for reason in answer.diagnostics.reasons))
        if answer.diagnostics.errors:
            return Effect.DENY, policies, _unanswered("; ".join(map(str, answer.diagnostics.errors)))
        if answer.allowed and policies:
            return self._allowed(asked, policies)
        if policies:
            return Effect.DENY, policies, f"forbidden by {self._named(policies)}"
        return Effect.DENY, (), self._unpermitted(asked)

    def _allowed(self, asked: dict[str, Any], policies: tuple[str, ...]) -> Answer:
        action = asked["request"]["action"]["id"]
        naming = tuple(p for p in policies if action in (self._written[p].actions or ()))
        if action in NAMED and not naming:
            return Effect.DENY, (), f"no policy permits to {action} by that name, and {self._named(policies)} is for any action"
        policies = naming if action in NAMED else policies
        return Effect.ALLOW, policies, f"permitted by {self._named(policies)}"

    def _unpermitted(self, asked: dict[str, Any]) -> str:
        """Say that nothing permits it, and which policies could."""
        who, what, where = (asked["request"][name]["id"] for name in ("principal", "action", "resource"))
        resources = _resources(asked)
        permits = (p for p in self._written.values() if p.is_permit and p.may_concern(what, resources))
        could = [p.id for p in permits if what not in NAMED or p.actions is not None]
        ref = asked["request"]["context"]["ref"]
        said = f"no policy permits {who} to {what} to {where} from {ref}"
        return said + (f"; what could: {self._named(could)}" if could else "")

    def _named(self, policies: Iterable[str]) -> str:
        return ", ".join(f'"{p}"' + (f" ({self._written[p].reason})" if self._written[p].reason else "") for p in policies)


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
        raise BadConfiguration([f"{folder}: holds no *.cedar file, so everything would be denied"])
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


def _unanswered(error: str) -> str:
    return f"the policy could not be evaluated: {error[:LONGEST_ERROR]}"


def _asked(request: DecisionRequest) -> dict[str, Any]:
    principal = request.principal
    who = {"type": "Principal", "id": principal.subject}
    repository = {"type": "Repository", "id": request.repository}
    where = {"type": "Environment", "id": request.environment} if request.action is not Action.PUSH else repository
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
            {"uid": where, "attrs": {}, "parents": [] if where is repository else [repository]},
        ],
    }


def _resources(asked: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset(_uid(each) for entity in asked["entities"] for each in (entity["uid"], *entity["parents"]))


def _uid(entity: dict[str, str]) -> tuple[str, str]:
    return entity["type"], entity["id"]


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

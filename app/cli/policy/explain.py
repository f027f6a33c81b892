"""`tidegate policy explain`: why a deployment was allowed, held or denied, what would have changed that, and today's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from app.answers.answer import Json
from app.answers.policy import explanation_json
from app.bootstrap import Process
from app.cli.output import JSON, coloured, command, console, print_json, process, when
from app.cli.policy.versions import policy_of
from app.domain.audit import AuditEntry
from app.domain.decision import Decision, Effect
from app.domain.deployment import Deployment
from app.domain.errors import BadConfiguration, NotFound
from app.integrations.policy.cedar import CedarPolicy
from app.integrations.policy.protocol import Policy, PolicyText
from app.integrations.policy.texts import pieces
from app.pipeline.decide.case import NEVER
from app.pipeline.decide.completion import complete
from app.pipeline.decide.culprits import culprits_of
from app.pipeline.decide.what_if import as_sentence, what_would_help
from app.store.decisions import Decisions

MOST_ENTRIES = 1_000


@command
def explain(
    name: Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Its id, or the id of a decision about a push.")],
    as_json: JSON = False,
) -> None:
    """Explain each decision about a deployment or a push: the policies, the facts, and what would have changed it."""
    running = process()
    deployment, entries, evidence = _read(running, name)
    decisions = [entry for entry in entries if "request" in entry.detail and "policy_digest" in entry.detail]
    versions = {digest: _version(running, digest) for digest in {entry.detail["policy_digest"] for entry in decisions}}
    if as_json:
        return print_json(
            [_explanation(running, entry, versions[entry.detail["policy_digest"]], evidence) for entry in decisions]
        )
    if deployment is not None:
        console.print(f"deployment {deployment.id} brings {deployment.sha} of {deployment.ref} to {deployment.environment}")
        console.print("state     ", coloured(deployment.state), deployment.reason or "")
    if not decisions:
        reasons = "; ".join(dict.fromkeys(entry.detail["reason"] for entry in entries if entry.detail.get("reason")))
        return console.print(f"no policy was asked about it: {reasons or 'it has not reached that stage yet'}")
    for entry in decisions:
        _print(entry, versions[entry.detail["policy_digest"]], evidence)
    now = _decide_now(running, decisions[-1])
    console.print("\nthe policies in force today answer:", coloured(now.effect), now.reason)


def _read(running: Process, name: str) -> tuple[Deployment | None, list[AuditEntry], Mapping[str, Any]]:
    """Find a deployment, else a decision about a push, with its audit entries and the evidence of stage 1; raises NotFound."""
    try:
        view = running.reads.deployment(name)
    except NotFound as fault:
        try:
            return None, running.reads.audit_of_push(name), {}
        except NotFound:
            raise fault from None
    return view.deployment, running.reads.audit(deployment_id=view.deployment.id, limit=MOST_ENTRIES), view.evidence


def _explanation(running: Process, entry: AuditEntry, policy: CedarPolicy | None, evidence: Mapping[str, Any]) -> Json:
    culprits = _culprits(entry, policy, evidence)
    is_denied = entry.detail.get("effect") != Effect.ALLOW
    ways = what_would_help(policy, entry.detail["request"]) if policy is not None and is_denied else ()
    return explanation_json(entry, _decide_now(running, entry), places=_places(policy), ways=ways, culprits=culprits)


def _culprits(entry: AuditEntry, policy: CedarPolicy | None, evidence: Mapping[str, Any]) -> Sequence[str]:
    """Return what the decision named; of an earlier release's decision, what stage 1 knew."""
    detail = entry.detail
    if "culprits" in detail or policy is None:
        return tuple(detail.get("culprits", ()))
    decision = Decision(Effect(detail["effect"]), tuple(detail["policies"]), "", policy.digest, detail["request"])
    return culprits_of(policy, decision, evidence)


def _print(entry: AuditEntry, policy: CedarPolicy | None, evidence: Mapping[str, Any]) -> None:
    detail, places = entry.detail, _places(policy)
    request = detail["request"]["request"]
    named = ", ".join(f"{name} ({places[name]})" if name in places else name for name in detail["policies"]) or "no policy"
    console.print(f"\n{when(entry.at)} {entry.action}:", coloured(detail["effect"]), f"by {named}")
    console.print(f"  asked    may {_who(detail['request'])} {request['action']['id']} to {request['resource']['id']}?")
    console.print(f"  facts    {_facts(request['context'], policy)}")
    reason = policy.recompute(detail["request"]).reason if policy is not None else detail.get("reason", "")
    console.print(f"  because  {reason}")
    for culprit in _culprits(entry, policy, evidence):
        console.print(f"  culprit  {culprit}")
    if detail["effect"] != Effect.ALLOW:
        console.print(f"  change   {_ways(policy, detail['request'])}")
    console.print(f"  version  {detail['policy_digest'][:12]}, audit entry {entry.seq}")


def _ways(policy: Policy | None, request: dict[str, Any]) -> str:
    if policy is None:
        return "unknown, since its policies were not kept whole"
    return as_sentence(what_would_help(policy, request)) or "nothing was found that would change it"


def _decide_now(running: Process, entry: AuditEntry) -> Decision:
    request, _ = complete(entry.detail["request"])
    return running.services.guard().policy.recompute(request)


def _version(running: Process, digest: str) -> CedarPolicy | None:
    try:
        return policy_of(Decisions(running.engine).version(digest))
    except (NotFound, BadConfiguration):  # `replay` reports damage
        return None


def _places(policy: PolicyText | None) -> dict[str, str]:
    return {piece.written.id: f"{piece.file}:{piece.line}" for piece in pieces(policy.files)} if policy is not None else {}


def _who(request: Mapping[str, Any]) -> str:
    who = request["request"]["principal"]
    for entity in request["entities"]:
        if entity["uid"] == who:
            groups = ", ".join(parent["id"] for parent in entity["parents"]) or "no group"
            return f"{who['id']} ({entity['attrs']['kind']}, in {groups})"
    return str(who["id"])


def _facts(context: Mapping[str, Any], policy: PolicyText | None) -> str:
    """Spell the facts that these policies ask about; without the policies, all."""
    names = sorted(context.keys() & policy.facts) if policy is not None else sorted(context)
    return ", ".join(f"{name}={_spell(context[name])}" for name in names)


def _spell(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}={_spell(item)}" for name, item in sorted(value.items()) if item not in ("", [])) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "never" if value == NEVER else str(value)

"""`tidegate policy explain`: why a deployment was answered so, what would have changed it, and what the answer is today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.bootstrap import Process
from app.cli.kept import kept_policy
from app.cli.output import JSON, coloured, command, console, print_json, process, when
from app.domain.audit import AuditEntry
from app.domain.decision import Decision, Effect
from app.domain.errors import BadConfiguration, NotFound
from app.integrations.policy.cedar import CedarPolicy
from app.integrations.policy.protocol import Policy
from app.integrations.policy.texts import pieces
from app.pipeline.absent import completed
from app.pipeline.facts import NEVER
from app.pipeline.what_if import as_sentence, what_would_help
from app.store.decisions import Decisions

MOST_ENTRIES = 1_000


@command
def explain(deployment: str, as_json: JSON = False) -> None:
    """Explain each decision about a deployment: by which policies, with which facts, and what would have changed it."""
    running = process()
    found = running.reads.deployment(deployment).deployment
    entries = [each for each in running.reads.audit(deployment_id=found.id, limit=MOST_ENTRIES) if _is_decided(each)]
    if as_json:
        return print_json([_told(running, each) for each in entries])
    console.print(f"deployment {found.id} brings {found.sha} of {found.ref} to {found.environment}")
    console.print("state     ", coloured(found.state), found.reason or "")
    if not entries:
        console.print("no policy was asked about it: the reason stands above")
    for entry in entries:
        _print(running, entry)
    if entries:
        _print_now(running, entries[-1])


def _is_decided(entry: AuditEntry) -> bool:
    return "request" in entry.detail and "policy_digest" in entry.detail


def _told(running: Process, entry: AuditEntry) -> dict[str, Any]:
    policy = _kept(running, entry)
    now = _now(running, entry)
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "action": entry.action,
        **{name: entry.detail.get(name) for name in ("effect", "policies", "policy_digest", "reason", "request")},
        "places": _places(policy),
        "ways": what_would_help(policy, entry.detail["request"]) if policy and entry.detail.get("effect") != Effect.ALLOW else [],
        "now": {"effect": now.effect, "policies": now.policies, "reason": now.reason},
    }


def _print(running: Process, entry: AuditEntry) -> None:
    detail, policy = entry.detail, _kept(running, entry)
    request = detail["request"]["request"]
    places = _places(policy)
    named = ", ".join(f"{name} ({places[name]})" if name in places else name for name in detail["policies"]) or "no policy"
    console.print(f"\n{when(entry.at)} {entry.action}:", coloured(detail["effect"]), f"by {named}")
    console.print(f"  asked    may {_who(detail['request'])} {request['action']['id']} to {request['resource']['id']}?")
    console.print(f"  facts    {_facts(request['context'], policy)}")
    said = policy.recompute(detail["request"]).reason if policy is not None else detail.get("reason", "")
    console.print(f"  because  {said}")
    if detail["effect"] != Effect.ALLOW:
        ways = (
            as_sentence(what_would_help(policy, detail["request"])) if policy is not None else "its policies were not kept whole"
        )
        console.print(f"  change   {ways or 'nothing was found that would change it'}")
    console.print(f"  version  {detail['policy_digest'][:12]}, audit entry {entry.seq}")


def _print_now(running: Process, entry: AuditEntry) -> None:
    """Ask the policies in force the last question again: the facts are those of then."""
    now = _now(running, entry)
    console.print("\npolicies in force today, asked the same:", coloured(now.effect), now.reason)


def _now(running: Process, entry: AuditEntry) -> Decision:
    asked, _ = completed(entry.detail["request"])
    return running.services.guard().policy.recompute(asked)


def _kept(running: Process, entry: AuditEntry) -> CedarPolicy | None:
    digest = entry.detail["policy_digest"]
    try:
        return kept_policy(Decisions(running.engine).version(digest))
    except (NotFound, BadConfiguration):  # `replay` tells of damage
        return None


def _places(policy: CedarPolicy | None) -> dict[str, str]:
    return {each.written.id: f"{each.file}:{each.line}" for each in pieces(policy.files)} if policy is not None else {}


def _who(asked: Mapping[str, Any]) -> str:
    who = asked["request"]["principal"]
    for entity in asked["entities"]:
        if entity["uid"] == who:
            groups = ", ".join(parent["id"] for parent in entity["parents"]) or "no group"
            return f"{who['id']} ({entity['attrs']['kind']}, in {groups})"
    return str(who["id"])


def _facts(context: Mapping[str, Any], policy: Policy | None) -> str:
    """Spell the facts that these policies ask about; without the policies, all."""
    names = sorted(context.keys() & policy.facts) if policy is not None else sorted(context)
    return ", ".join(f"{name}={_spelled(context[name])}" for name in names)


def _spelled(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}={_spelled(each)}" for name, each in sorted(value.items()) if each not in ("", [])) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "never" if value == NEVER else str(value)

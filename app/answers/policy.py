"""Answers about policies: checks, tests, comparisons, explanations, simulations, replays. Only `--json` uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.answers.answer import Json, fields_json, to_json
from app.domain.audit import AuditEntry
from app.domain.decision import Decision
from app.integrations.policy.protocol import Policy
from app.pipeline.ask.replay_decisions import ReplayResult
from app.pipeline.ask.simulate import Simulation

_RECORDED = ("effect", "policies", "policy_digest", "reason", "request")


def check_json(policy: Policy, notes: Sequence[str]) -> Json:
    """Spell policies without faults."""
    return {"digest": policy.digest, "policies": sorted(policy.reasons), "notes": list(notes)}


def outcome_json(name: str, decision: Decision, fault: str | None) -> Json:
    """Spell the result of one test; without a fault, the decision is as expected."""
    return {"name": name, "decision": to_json(decision), "fault": fault}


def change_json(what: str, policy: str, place: str, lines: Sequence[str]) -> Json:
    """Spell one policy's change between two versions: added, removed, changed or moved."""
    return {"what": what, "policy": policy, "place": place, "lines": list(lines)}


def simulation_json(simulation: Simulation) -> Json:
    """Spell a simulated decision, and what would change it."""
    return fields_json(simulation)


def explanation_json(
    entry: AuditEntry, now: Decision, *, places: Mapping[str, str], ways: Iterable[Sequence[str]], culprits: Sequence[str]
) -> Json:
    """Spell a recorded decision, where its policies stand, its culprits, what would have changed it, and today's answer."""
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "action": entry.action,
        **{name: to_json(entry.detail.get(name)) for name in _RECORDED},
        "places": dict(places),
        "culprits": list(culprits),
        "ways": [list(way) for way in ways],
        "now": {"effect": now.effect, "policies": list(now.policies), "reason": now.reason},
    }


def replay_json(result: ReplayResult, seconds: float) -> Json:
    """Spell the result of replaying recorded decisions."""
    changes = [
        {"was": was, "would_be": after, "environment": environment, "policy": policy, "count": count}
        for (was, after, environment, policy), count in result.changes.most_common()
    ]
    return {
        "decisions": result.decisions,
        "reproduced": result.reproduced,
        "not_reproduced": result.not_reproduced,
        "unkept": dict(result.unkept),
        "effects": dict(result.effects),
        "differences": to_json(result.differences),
        "changed": result.changed,
        "changes": changes,
        "by_other_policies": result.by_other_policies,
        "examples": to_json(result.examples),
        "completed": result.completed,
        "seconds": round(seconds, 3),
    }

"""Everything that one decision depends on, as one value: gathered once, handed on, and spelled as facts for the policies.

No fact is ever left out: an attribute that vanishes could take a `forbid` with it. An unknown fact has a value that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.approval import NO_COUNT, VoteCount
from app.domain.deployment import Deployment
from app.domain.environment import BRANCHES, TAGS, Environment
from app.domain.local_time import time_zone
from app.domain.session import Session
from app.pipeline.ports.services import Guard

UTC = "UTC"
NEVER = 2**63 - 1  # seconds since something that never happened; no rule about a shorter time is met
NO_SESSION: Mapping[str, Any] = {
    "present": False,
    "age": NEVER,
    "mfa_age": NEVER,
    "issuer": "",
    "acr": "",
    "amr": [],
    "address": "",
    "country": "",
}


@dataclass(frozen=True, slots=True)
class Act:
    """The act that is asked for: `event` brings commit `sha` of `ref`. `login` is a person's account name at the forge."""

    event: str
    ref: str
    sha: str
    login: str

    @classmethod
    def of(cls, deployment: Deployment) -> Act:
        """Return the act of a deployment."""
        return cls(deployment.trigger.value, deployment.ref, deployment.sha, deployment.actor.login)


@dataclass(frozen=True, slots=True)
class Case:
    """A question to the policies: the act, the rules, and everything that is known at one moment.

    `environments`: the one that is acted on, or all that deploy a pushed ref. `evidence`: the facts about the commits
    (`evidence/gather.py`). `freezes`: the names of those in force. `session`: that of the person who acts
    or votes. `is_involved`: that person had a hand in the deployment.
    """

    guard: Guard
    environments: tuple[Environment, ...]
    act: Act
    evidence: Mapping[str, Any]
    freezes: tuple[str, ...]
    now: datetime
    session: Session | None = None
    votes: VoteCount = NO_COUNT
    is_involved: bool = False

    @property
    def environment(self) -> Environment:
        """The one environment that is acted on; a case of a push may have none or several."""
        (environment,) = self.environments
        return environment


def facts(case: Case) -> dict[str, Any]:
    """Spell a case as the context of a decision."""
    targets = {target for environment in case.environments for target in environment.targets}
    evidence, environments = case.evidence, case.environments
    return {
        "event": case.act.event,
        **ref_facts(case.act.ref),
        "sha": case.act.sha,
        "environments": sorted(environment.name for environment in environments),
        "zones": sorted({case.guard.target_zones[target].name for target in targets}),
        "targets": sorted(targets),
        "authors_known": evidence["authors_known"],
        "unknown_authors": evidence["unknown_authors"],
        "signatures": evidence["signatures"],
        "forced": evidence["forced"],
        "paths": evidence["paths"],
        "paths_known": evidence["paths_known"],
        "findings": sorted({finding["kind"] for finding in evidence["findings"]}),
        "inspected": evidence["inspected"],
        "checked_at_push": evidence.get("checked_at_push", False),  # an earlier release kept it elsewhere
        "session": session_facts(case.session, case.now),
        "actor_login": case.act.login,
        "frozen": bool(case.freezes),
        "freezes": sorted(case.freezes),
        "approvals": case.votes.tally.as_fact(),
        "involved": case.is_involved,
        "involved_known": evidence.get("involved_known", False),  # nobody votes on a push
        **local_time(environments[0].time_zone if environments else UTC, case.now),
    }


def ref_facts(ref: str) -> dict[str, str]:
    """Spell a full ref, and its short name as a branch or a tag."""
    return {"ref": ref, "branch": _short(ref, BRANCHES), "tag": _short(ref, TAGS)}


def local_time(zone: str, now: datetime) -> dict[str, Any]:
    """Spell the local time and date of a time zone."""
    local = now.astimezone(time_zone(zone))
    return {
        "hour": local.hour,
        "minute": local.minute,
        "weekday": local.isoweekday(),
        "date": local.date().isoformat(),
    }


def session_facts(session: Session | None, now: datetime) -> dict[str, Any]:
    """Spell a session, or the lack of one, as policies may ask about it."""
    if session is None:
        return {**NO_SESSION, "amr": []}
    return {
        "present": True,
        "age": _seconds(session.signed_in_at, now),
        "mfa_age": _seconds(session.mfa_at, now),
        "issuer": session.issuer,
        "acr": session.acr,
        "amr": sorted(set(session.amr)),
        "address": session.address,
        "country": session.country,
    }


def _seconds(since: datetime | None, now: datetime) -> int:
    """Count whole seconds. A time in the future proves nothing: a clock was set back."""
    if since is None or since > now:
        return NEVER
    return int((now - since).total_seconds())


def _short(ref: str, prefix: str) -> str:
    return ref.removeprefix(prefix) if ref.startswith(prefix) else ""

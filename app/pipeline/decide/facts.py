"""What a decision may depend on: gathered here once, for stages, `who-can` and whoever asks later. Used by `line/authorize.py`.

Nothing is ever left out, so that no attribute can vanish and take a `forbid` with it: what is not known has a form of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.approval import NO_VOTES, Tally
from app.domain.environment import BRANCHES, TAGS, Environment
from app.domain.local_time import time_zone
from app.domain.session import Session
from app.pipeline.ports.services import Guard

UTC = "UTC"
NEVER = 2**63 - 1  # seconds since what never happened: no rule that asks for less is met
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
    """What is asked for: `event` brings commit `sha` of `ref`. `login` is the account's name at the forge, for people."""

    event: str
    ref: str
    sha: str
    login: str


def facts(
    guard: Guard,
    environments: Sequence[Environment],
    act: Act,
    *,
    evidence: Mapping[str, Any],
    session: Session | None,
    freezes: Sequence[str],
    now: datetime,
    approvals: Tally = NO_VOTES,
    is_involved: bool = False,
) -> dict[str, Any]:
    """Gather the context of a decision. `environments`: the one that is acted on, or those that deploy what is pushed.

    `evidence` is what is known of the commits (`evidence.py`), `freezes` are the names of those in force.
    """
    targets = {target for environment in environments for target in environment.targets}
    return {
        "event": act.event,
        **ref_facts(act.ref),
        "sha": act.sha,
        "environments": sorted(environment.name for environment in environments),
        "zones": sorted({guard.target_zones[t].name for t in targets}),
        "targets": sorted(targets),
        "authors_known": evidence["authors_known"],
        "unknown_authors": evidence["unknown_authors"],
        "signatures": evidence["signatures"],
        "forced": evidence["forced"],
        "paths": evidence["paths"],
        "paths_known": evidence["paths_known"],
        "findings": sorted({finding["kind"] for finding in evidence["findings"]}),
        "inspected": evidence["inspected"],
        "checked_at_push": evidence["checked_at_push"],
        "session": session_facts(session, now),
        "actor_login": act.login,
        "frozen": bool(freezes),
        "freezes": sorted(freezes),
        "approvals": approvals.as_fact(),
        "involved": is_involved,
        **local_time(environments[0].time_zone if environments else UTC, now),
    }


def ref_facts(ref: str) -> dict[str, str]:
    """Spell a full ref, and its short name as what it is."""
    return {"ref": ref, "branch": _short(ref, BRANCHES), "tag": _short(ref, TAGS)}


def local_time(zone: str, now: datetime) -> dict[str, Any]:
    """Tell what clock and calendar show in a time zone."""
    local = now.astimezone(time_zone(zone))
    return {
        "hour": local.hour,
        "minute": local.minute,
        "weekday": local.isoweekday(),
        "date": local.date().isoformat(),
    }


def session_facts(session: Session | None, now: datetime) -> dict[str, Any]:
    """Spell a session as policies may ask about it, none too."""
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
    """Count whole seconds; a time that has not come yet (a clock that was set back) proves nothing."""
    if since is None or since > now:
        return NEVER
    return int((now - since).total_seconds())


def _short(ref: str, prefix: str) -> str:
    return ref.removeprefix(prefix) if ref.startswith(prefix) else ""

"""Rules 2 and 4: every deployment has ended, for a reason that the model knows, and its trail is whole and in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.torture.cast import PEOPLE
from tests.torture.check_deliveries import left_behind
from tests.torture.history import DeploymentRow, Entry, History, StageRow, Violation

WAY = ("planned", "identified", "permitted", "granted", "dispatching", "dispatched", "succeeded")
STAGES = ("validate_identity", "check_permission", "inject_token", "dispatch_deploy", "confirm_deploy")
AFTER = {"identified": 1, "permitted": 2, "granted": 3, "dispatching": 3, "dispatched": 4}  # how many stages have a result then
ENDS = {
    "succeeded": ("dispatched",),
    "denied": ("planned", "identified", "permitted", "granted"),
    "superseded": ("granted",),
    "failed": ("planned", "identified", "permitted", "granted", "dispatching", "dispatched"),
}
# What the gate says of a ref that has left a commit: now, and in the release before (`--old`).
LEFT_BEHIND = ("no longer contains", "does not contain")
Found = Iterator[Violation]


def check_trails(history: History) -> Found:
    """Check every deployment's end, audit entries and stages."""
    entries: dict[str, list[Entry]] = defaultdict(list)
    for entry in history.entries:
        if entry.deployment is not None:
            entries[entry.deployment].append(entry)
    stages: dict[str, list[StageRow]] = defaultdict(list)
    for stage in history.stages:
        stages[stage.deployment].append(stage)
    for deployment in history.deployments:
        yield from _trail(deployment, entries.pop(deployment.id, []), stages[deployment.id])
        yield from _right(history, deployment)
        yield from _ending(history, deployment, entries)
    for name in entries:
        yield Violation("trail", name, "audit entries of a deployment that does not exist")
    yield from _inbox_trail(history)


def _trail(deployment: DeploymentRow, entries: list[Entry], stages: list[StageRow]) -> Found:
    if deployment.state not in ENDS:
        yield Violation("ended", deployment.id, f"still {deployment.state}")
        return
    verbs = tuple(e.action.partition(":")[2] for e in sorted(entries, key=lambda e: e.seq))
    before, last = verbs[:-1], verbs[-1] if verbs else ""
    if last != deployment.state or before != WAY[: len(before)] or not before or before[-1] not in ENDS[deployment.state]:
        yield Violation("trail", deployment.id, f"{deployment.state}, and the audit log says {' '.join(verbs)}")
        return
    stages = sorted(stages, key=lambda s: STAGES.index(s.stage))  # not by their times: clocks step
    done = 5 if last == "succeeded" else AFTER.get(before[-1], 0) + 1
    if [s.stage for s in stages] != list(STAGES[:done]):
        yield Violation("stages", deployment.id, f"{' '.join(verbs)}, and results of {' '.join(s.stage for s in stages)}")
    elif stages[-1].outcome != deployment.state:
        yield Violation("stages", deployment.id, f"{deployment.state}, and the last stage says {stages[-1].outcome}")


def _right(history: History, deployment: DeploymentRow) -> Found:
    """Whoever may not deploy is denied, and never dispatched; whoever may is not denied."""
    forge, _, number = deployment.actor.partition(":")
    person = next((p for p in PEOPLE.values() if forge == "gogs" and str(p.id) == number), None)
    allowed = forge in ("os", "tidegate") or (person is not None and person.may_deploy)
    never_decided = deployment.state == "failed" and "does not hold" in (deployment.reason or "")  # gone before it was looked at
    if allowed == (deployment.state == "denied") and (allowed or not never_decided):
        yield Violation(
            "rights", deployment.id, f"{deployment.actor} may deploy: {allowed}; it is {deployment.state}: {deployment.reason}"
        )
    dispatched = [d.id for d in history.dispatches if d.deployment == deployment.id] if not allowed else []
    seen = [m for m in history.marks if m.deployment == deployment.id] if not allowed else []
    if dispatched or seen:
        yield Violation("rights", deployment.id, f"{deployment.actor} may not deploy, and it was dispatched")


def _ending(history: History, deployment: DeploymentRow, entries: dict[str, list[Entry]]) -> Found:
    reason = deployment.reason or ""
    match deployment.state:
        case "superseded" if not was_superseded(history, deployment, reason):
            yield Violation("ending", deployment.id, f"superseded without a cause: {reason}")
        case "failed" if not _has_failed(history, deployment, reason):
            yield Violation("ending", deployment.id, f"failed without a cause: {reason}")


def was_superseded(history: History, deployment: DeploymentRow, reason: str) -> bool:
    """Tell whether what happened bears out why a deployment is said to have been superseded."""
    if any(words in reason for words in LEFT_BEHIND):
        return left_behind(history, deployment.environment, deployment.ref, deployment.sha)
    same = [d for d in history.deployments if d.environment == deployment.environment and d.id != deployment.id]
    if "already contains" in reason:
        return any(
            d.id in reason and d.state == "succeeded" and d.ref == deployment.ref and history.contains(d.sha, deployment.sha)
            for d in same
        )
    granted = {e.deployment for e in history.entries if e.action == "deployment:granted"}
    return any(d.position > deployment.position and d.id in granted and d.trigger != "failure" for d in same)


def _has_failed(history: History, deployment: DeploymentRow, reason: str) -> bool:
    if "does not hold" in reason or "has no refs/" in reason:
        return left_behind(history, deployment.environment, deployment.ref, deployment.sha)
    mine = {d.id: d for d in history.dispatches if d.deployment == deployment.id}
    if "gave up after" in reason:
        return any(d.attempts > 5 for d in mine.values())
    if "No space left" in reason:
        return any(
            s.kind == "disk-full" and s.began < deployment.updated and s.ended > deployment.created for s in history.struck
        )
    return any(m.what == "failed" and m.dispatch in mine for m in history.marks)


def _inbox_trail(history: History) -> Found:
    """Each delivery has one entry of its receipt, and one more where it was ignored later."""
    verbs: dict[str, list[str]] = defaultdict(list)
    for entry in history.entries:
        if entry.deployment is None and entry.delivery is not None:
            verbs[entry.delivery].append(entry.action.partition(":")[2])
    for row in history.deliveries:
        if row.state == "pending":
            continue
        fits = (["received"], ["received", "ignored"], ["ignored"])
        wanted = fits[:1] if row.state == "planned" else fits[1:]
        if verbs.pop(row.id, []) not in wanted:
            yield Violation("trail", row.forge_id, f"is {row.state}, and the audit log says otherwise")
    for name in verbs:
        yield Violation("trail", name, "audit entries of a delivery that does not exist")
    numbers = [e.seq for e in history.entries]
    if numbers != sorted(set(numbers)):
        yield Violation("trail", "seq", "the numbers of audit entries do not grow")

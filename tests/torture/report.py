"""Tell people what happened: a summary, and for each violation the schedule around it and the trail of just that one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.torture.history import DeploymentRow, History, Violation
from tests.torture.plan import Plan

AROUND = 12  # acts before and after
SHOWN = 30  # violations told at length


def summary(history: History, plan: Plan, seconds: float) -> list[str]:
    """Count what was done."""
    acts = Counter(a.kind for a in plan.every)
    statuses = Counter(f"no answer ({a.text})" if a.status is None else str(a.status) for a in history.answers)
    states = Counter(d.state for d in history.deployments)
    triggers = Counter(d.trigger for d in history.deployments)
    marks = Counter(m.what for m in history.marks)
    return [
        f"requests    {sum(acts.values())}: {_counts(acts)}",
        f"answers     {len(history.answers)}: {_counts(statuses)}",
        f"faults      {len(history.struck)}: {_counts(Counter(s.kind for s in history.struck))}",
        f"inbox       {len(history.deliveries)}: {_counts(Counter(d.state for d in history.deliveries))}",
        f"deployments {len(history.deployments)}: {_counts(states)} ({_counts(triggers)})",
        f"dispatches  {len(history.dispatches)}; targets saw {_counts(marks)}",
        f"audit       {len(history.entries)} entries",
        f"memory      {', '.join(f'{n} {m:.0f} MB' for n, m in sorted(history.megabytes.items()))}",
        f"time        {seconds:.0f} s",
    ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def violations(history: History, plan: Plan, found: list[Violation]) -> list[str]:
    """Tell of each violation."""
    if not found:
        return ["violations  0"]
    lines = [f"violations  {len(found)}: {_counts(Counter(v.rule for v in found))}"]
    for violation in found[:SHOWN]:
        lines += ["", f"VIOLATION {violation.rule} {violation.about}: {violation.what}", *_trail(history, plan, violation)]
    if len(found) > SHOWN:
        lines.append(f"… and {len(found) - SHOWN} more")
    return lines


def _trail(history: History, plan: Plan, violation: Violation) -> Iterator[str]:
    """Everything that is known of the one thing that it is about, by time where there is one."""
    about = violation.about
    dispatch = next((d for d in history.dispatches if d.id == about), None)
    deployment_id = dispatch.deployment if dispatch else about
    deployment = next((d for d in history.deployments if d.id == deployment_id), None)
    delivery_id = deployment.delivery_id if deployment else about
    row = next((d for d in history.deliveries if delivery_id in (d.id, d.forge_id)), None)
    forge_id = row.forge_id if row else about
    if row is not None:
        yield f"  delivery   {row}"
    if deployment is not None:
        yield f"  deployment {deployment}"
        yield from _of_deployment(history, deployment)
    answers = [a for a in history.answers if a.delivery == forge_id]
    for answer in answers:
        what = f"answer {answer.status} {answer.text} (act {answer.act}, try {answer.attempt})"
        yield f"  {answer.began - history.began:9.3f} {what}"
    times = [t for a in answers for t in (a.began, a.ended)]
    if deployment is not None:
        times += [deployment.created, deployment.updated]
    if times:
        yield from _faults(history, min(times) - 3, max(times) + 3)
    yield from _acts(plan, {a.act for a in answers})


def _of_deployment(history: History, deployment: DeploymentRow) -> Iterator[str]:
    yield from (f"  stage      {s.stage}: {s.outcome}" for s in history.stages if s.deployment == deployment.id)
    for entry in history.entries:
        if entry.deployment == deployment.id:
            yield f"  audit      {entry.seq} {entry.action} by {entry.actor} {str(entry.detail)[:400]}"
    mine = [d for d in history.dispatches if d.deployment == deployment.id]
    yield from (f"  dispatch   {d}" for d in mine)
    for mark in history.marks:
        if mark.deployment == deployment.id:
            yield f"  {mark.at - history.began:9.3f} {mark.target} {mark.what} {mark.dispatch} {mark.note}"
    same = [d for d in history.deployments if d.environment == deployment.environment]
    near = sorted(same, key=lambda d: abs(d.position - deployment.position))[:7]
    for each in sorted(near, key=lambda d: (d.position, d.created)):
        times = f"{each.created - history.began:.2f}..{each.updated - history.began:.2f}"
        what = f"{each.position} {each.id} {each.trigger} {each.ref} {each.sha[:10]} {each.state}"
        yield f"  beside     {what} {times} {each.reason or ''}"


def _faults(history: History, first: float, last: float) -> Iterator[str]:
    for each in sorted(history.struck, key=lambda s: s.began):
        if each.began <= last and each.ended >= first:
            times = f"{each.began - history.began:.3f}..{each.ended - history.began:.3f}"
            yield f"  fault      {each.index} {each.kind} {each.what} {times} {each.note}"


def _acts(plan: Plan, acts: set[int]) -> Iterator[str]:
    if not acts:
        return
    for line in plan.lines():
        number = int(line.split()[0])
        if any(abs(number - act) <= AROUND for act in acts):
            yield f"  schedule   {line}"

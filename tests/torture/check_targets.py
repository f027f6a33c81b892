"""Rules 3 and 5: what targets saw. Once, one at a time, in order, never too late; and what stands there in the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.torture.cast import ENVIRONMENTS, PLACES, SHOWING
from tests.torture.history import DeploymentRow, DispatchRow, History, Mark, Violation

SLACK = 0.05  # seconds between the clocks of two readings
LEASE_LOST = ("stop", "long-stop", "postgres-kill", "postgres-stop", "cut", "stall", "refuse", "delay")
Found = Iterator[Violation]


@dataclass(frozen=True, slots=True)
class _Work:
    dispatch: DispatchRow
    began: float
    ended: float


def check_targets(history: History) -> Found:
    """Check the targets' records against dispatches and deployments."""
    dispatches = {d.id: d for d in history.dispatches}
    deployments = {d.id: d for d in history.deployments}
    for mark in history.marks:
        yield from _known(mark, dispatches, deployments)
    yield from _once(history)
    works = _works(history, dispatches)
    for target, same in works.items():
        yield from _in_order(target, same)
    yield from _not_too_late(history, dispatches, deployments)
    yield from _callers(history)
    yield from _markers(history, dispatches, deployments)
    yield from _delivered(history, works)
    yield from check_final(history)


def _known(mark: Mark, dispatches: dict[str, DispatchRow], deployments: dict[str, DeploymentRow]) -> Found:
    if mark.what == "bad":
        yield Violation("token", mark.dispatch, f"{mark.target} refused it: {mark.note}")
    dispatch = dispatches.get(mark.dispatch)
    if dispatch is None:
        yield Violation("dispatch", mark.dispatch, f"{mark.target} saw a dispatch that the gate does not know")
        return
    wanted = (dispatch.target, dispatch.deployment, deployments[dispatch.deployment].sha)
    if (mark.target, mark.deployment, mark.sha) != wanted:
        yield Violation("dispatch", mark.dispatch, f"{mark.target} saw {mark.deployment} {mark.sha}, it is {wanted}")


def _once(history: History) -> Found:
    counts = Counter((m.dispatch, m.what) for m in history.marks if m.what in ("start", "done", "failed"))
    for (dispatch, what), count in counts.items():
        if count > 1:
            yield Violation("once", dispatch, f"{what} {count} times")


def _works(history: History, dispatches: dict[str, DispatchRow]) -> dict[str, list[_Work]]:
    """Pair starts with ends; work that never ended lasts for ever."""
    ends = {m.dispatch: m.at for m in history.marks if m.what in ("done", "failed")}
    works: dict[str, list[_Work]] = defaultdict(list)
    for mark in sorted(history.marks, key=lambda m: m.at):
        if mark.what == "start" and mark.dispatch in dispatches:
            works[mark.target].append(_Work(dispatches[mark.dispatch], mark.at, ends.get(mark.dispatch, float("inf"))))
    return works


def _in_order(target: str, works: list[_Work]) -> Found:
    for former, later in pairwise(works):
        if later.began < former.ended:
            yield Violation("overlap", later.dispatch.id, f"{target}: began while {former.dispatch.id} was under way")
        if later.dispatch.position < former.dispatch.position:
            yield Violation("order", later.dispatch.id, f"{target}: came after the newer {former.dispatch.id}")


def _not_too_late(history: History, dispatches: dict[str, DispatchRow], deployments: dict[str, DeploymentRow]) -> Found:
    for mark in history.marks:
        if mark.what != "start" or mark.dispatch not in dispatches:
            continue
        deployment = deployments[dispatches[mark.dispatch].deployment]
        if mark.at > deployment.updated + SLACK:
            late = mark.at - deployment.updated
            yield Violation("too late", mark.dispatch, f"{mark.target} began {late:.2f} s after it was {deployment.state}")


def _callers(history: History) -> Found:
    """Two callers of one dispatch at once, both alive: only where a lease may have been lost meanwhile."""
    starts = {m.dispatch: m.at for m in history.marks if m.what == "start"}
    for mark in history.marks:
        if mark.what != "joined" or mark.note != "two callers":
            continue
        began = starts.get(mark.dispatch, mark.at)
        if not any(s.kind in LEASE_LOST and s.began <= mark.at and s.ended >= began - 15 for s in history.struck):
            yield Violation("two callers", mark.dispatch, f"{mark.target} was called twice at once, and no lease was in danger")


def _markers(history: History, dispatches: dict[str, DispatchRow], deployments: dict[str, DeploymentRow]) -> Found:
    for target, markers in history.markers.items():
        for name, sha in markers.items():
            dispatch = dispatches.get(name)
            deployment = deployments.get(dispatch.deployment) if dispatch else None
            if dispatch is None or deployment is None or (dispatch.target, deployment.sha) != (target, sha):
                yield Violation("dispatch", name, f"{target} holds a marker of {sha} that fits no dispatch")
            elif deployment.state not in ("succeeded", "failed"):
                yield Violation("dispatch", name, f"{target} holds a marker of a deployment that is {deployment.state}")


def _delivered(history: History, works: dict[str, list[_Work]]) -> Found:
    """What the gate calls a success was done at every target."""
    done = {m.dispatch for m in history.marks if m.what == "done"}
    for target, markers in history.markers.items():
        done |= set(markers)
        if len(markers) >= 1000:  # a directory keeps that many
            done |= {d.id for d in history.dispatches if d.target == target}
    by_deployment: dict[str, dict[str, DispatchRow]] = defaultdict(dict)
    for dispatch in history.dispatches:
        by_deployment[dispatch.deployment][dispatch.target] = dispatch
    for deployment in history.deployments:
        if deployment.state != "succeeded":
            continue
        for target in ENVIRONMENTS[deployment.environment].targets:
            dispatch_there = by_deployment[deployment.id].get(target)
            if dispatch_there is None or dispatch_there.id not in done:
                yield Violation("done", deployment.id, f"succeeded, and {target} did not do it")


def check_final(history: History) -> Found:
    """Each target stands on the commit that the plan's endings say, and that the gate's own newest release says."""
    for target in PLACES:
        environment = SHOWING.get(target)
        if environment is None:
            continue
        shown, wanted = history.shown.get(target), history.decisive.get(environment)
        if wanted is not None and shown != wanted:
            yield Violation("final", environment, f"{target} stands on {shown}, it must be {wanted}")
        releases = [d for d in history.deployments if d.environment == environment and d.state == "succeeded"]
        newest = max(releases, key=lambda d: (d.position, d.created), default=None)
        if newest is not None and shown != newest.sha:
            yield Violation("final", environment, f"{target} stands on {shown}, the newest release {newest.id} is {newest.sha}")

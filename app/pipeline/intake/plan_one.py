"""Plan one delivery that needs a closer look: a tag, a release, or a push whose ref came to its commit before.

Invariant 2: one act makes one deployment for each environment. A delivery joins the act that it tells of, whatever its id is.
It is a new act only if a later act left the ref at its former commit, and the forge's head is its commit (`EarlierActs.course`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery
from app.domain.deployment import Course, Deployment, Doubt, EarlierActs, Wake
from app.domain.errors import GateError, RepositoryBusy
from app.domain.event import Event, EventKind
from app.domain.text import plain_line
from app.pipeline.intake.admit import admit
from app.pipeline.intake.dispute import dispute, is_disputed
from app.pipeline.intake.draft import ignored_entry, matching_environments, plan_of, planned_entry
from app.pipeline.ports.services import Guard, Services
from app.pipeline.ports.stores.unit import Unit

Planned = tuple[list[Deployment], list[Wake]]
LOOKS = 5  # in about half a minute; then a person must decide
_OF_HEAD = (Course.AGAIN, Course.UNCLEAR)
_UNCLEAR = "this act was planned before: waiting for the delivery that tells how the ref left and came back"


@dataclass(slots=True)
class _Findings:
    """What a delivery leads to: new deployments, the reasons for which others do not follow, and wakes of disputed ones."""

    new: list[Deployment] = field(default_factory=list)
    is_planned: bool = False
    reasons: list[str] = field(default_factory=list)
    wakes: list[Wake] = field(default_factory=list)


def plan_one(services: Services, guard: Guard, delivery: Delivery) -> Planned:
    """Plan this delivery in a transaction of its own; the forge is asked outside of it.

    If the forge cannot be asked, the delivery is tried again later, or given up with the reason.
    """
    event = delivery.event
    assert event is not None
    sha = _ask(services, delivery, lambda: _commit_of(guard, event))
    if sha is None:
        return [], []
    planned = _plan(services, guard, delivery, sha=sha, head=None)
    if planned is not None:
        return planned
    head = _ask(services, delivery, lambda: guard.repositories.head(event.repository.key, event.ref) or "nothing")
    return (head and _plan(services, guard, delivery, sha=sha, head=head)) or ([], [])


def _ask(services: Services, delivery: Delivery, ask: Callable[[], str]) -> str | None:
    """Ask the forge; return None if it cannot be asked now, and the delivery is put off.

    If others ask about the repository, nothing is written: RepositoryBusy says when to ask again.
    """
    try:
        return ask()
    except RepositoryBusy:
        raise
    except GateError as fault:
        postpone(services, delivery, fault)
        return None


def _commit_of(guard: Guard, event: Event) -> str:
    if event.kind is EventKind.PUSH and event.after is not None:
        return event.after
    return guard.repositories.fetch(event.repository.key, event.ref, event.after)


def _plan(services: Services, guard: Guard, delivery: Delivery, *, sha: str, head: str | None) -> Planned | None:
    """Write what follows from the delivery. Return None, with nothing written, if that depends on the forge's head.

    If another planner has planned the same act at this moment, the delivery stays pending, and joins that act later.
    """
    event = delivery.event
    assert event is not None
    with services.store.unit() as unit:
        if unit.deliveries.claim(delivery.id) is None:
            return [], []  # another planner was faster
        drafts = plan_of(services, delivery, matching_environments(guard, delivery), sha=sha).deployments
        drafts = tuple(sorted(drafts, key=lambda d: d.environment))  # slots are locked in this order
        all_earlier = [unit.acts.earlier(d, before=_former_commit(event)) for d in drafts]
        if head is None and any(a.course(sha) in _OF_HEAD and not _is_own(a, delivery) for a in all_earlier):
            return None
        is_unclear = any(_is_unclear(a, delivery, sha=sha, head=head) for a in all_earlier)
        if is_unclear and unit.deliveries.postpone(delivery.id, services.clock.now(), _UNCLEAR) < LOOKS:
            return [], []  # the delivery that tells more may be on its way
        found = _Findings()
        for draft, earlier in zip(drafts, all_earlier, strict=True):
            _find(services, unit, delivery, draft=draft, earlier=earlier, head=head, found=found)
        new_ids = unit.deployments.add_all(found.new)
        unit.audit.append([planned_entry(services, d) for d in found.new if d.id in new_ids])
        if len(new_ids) == len(found.new):
            _finish(services, unit, delivery, found)
        new = [d for d in found.new if d.id in new_ids]
        return new, [*found.wakes, *admit(services, unit, sorted({d.environment for d in new}))]


def _former_commit(event: Event) -> str | None:
    """Return the former commit if the delivery says it. A tag's is an object, if any; a new branch may be one made again."""
    return event.before if event.kind is EventKind.PUSH else None


def _is_own(earlier: EarlierActs, delivery: Delivery) -> bool:
    """Tell whether this very delivery was planned for the environment before."""
    return earlier.latest is not None and earlier.latest.delivery_id == delivery.id


def _is_unclear(earlier: EarlierActs, delivery: Delivery, *, sha: str, head: str | None) -> bool:
    return head == sha and earlier.course(sha) is Course.UNCLEAR and not _is_own(earlier, delivery)


def _find(
    services: Services,
    unit: Unit,
    delivery: Delivery,
    *,
    draft: Deployment,
    earlier: EarlierActs,
    head: str | None,
    found: _Findings,
) -> None:
    """Find what follows from the delivery in one environment."""
    latest, course = earlier.latest, earlier.course(draft.sha)
    if latest is None:
        found.new.append(_with_former(draft, earlier))
    elif _is_own(earlier, delivery):
        found.is_planned = True
    elif course in _OF_HEAD and head == draft.sha:
        doubt = _doubt_about(services, draft) if course is Course.UNCLEAR else None
        found.new.append(replace(_with_former(draft, earlier), act=latest.act + 1, doubt=doubt))
    elif course in _OF_HEAD:
        found.reasons.append(f"{_known(draft)}, and {draft.ref} stands on {head} now; {_replay(delivery)}")
    elif is_disputed(latest, draft):
        why, wakes = dispute(services, unit, latest, draft)
        found.reasons.append(f"{_known(draft)}, but {why}")
        found.wakes += wakes
    else:
        more = f", but {latest.doubt.why}" if latest.doubt is not None else f"; {_replay(delivery)}"
        found.reasons.append(f"{_known(draft)}{more}")


def _with_former(draft: Deployment, earlier: EarlierActs) -> Deployment:
    """Complete a tag's former commit: its delivery says an object or nothing, and policies ask whether the tag has moved."""
    if draft.trigger.value == EventKind.PUSH or earlier.stands_on in (None, draft.sha):
        return draft
    return replace(draft, before=earlier.stands_on)


def _doubt_about(services: Services, draft: Deployment) -> Doubt:
    why = (
        f"{_known(draft)}, and {draft.ref} has come there again, but no delivery tells that it was at {draft.before} meanwhile: "
        f"it may be an old delivery of {draft.actor.key} ({draft.actor.login})"
    )
    return Doubt(plain_line(why), (), services.clock.now())


def _known(draft: Deployment) -> str:
    return f"{draft.ref} at {draft.sha} was already planned"


def _replay(delivery: Delivery) -> str:
    return f"to deploy it again as your own act, run: tidegate delivery replay {delivery.id}"


def _finish(services: Services, unit: Unit, delivery: Delivery, found: _Findings) -> None:
    reason = None if found.new or found.is_planned else plain_line("; ".join(dict.fromkeys(found.reasons)))
    unit.deliveries.finish({delivery.id: reason})
    entries: Sequence[AuditEntry] = [] if reason is None else [ignored_entry(services, delivery, reason)]
    unit.audit.append(entries)


def postpone(services: Services, delivery: Delivery, fault: Exception) -> None:
    """Try again later, after a longer pause each time; give up with the reason if trying again cannot help.

    The text of an unexpected fault goes to the log only, since it may hold anything.
    """
    why = plain_line(str(fault) if isinstance(fault, GateError) else f"an unexpected {type(fault).__name__}; the log tells more")
    with services.store.unit() as unit:
        if unit.deliveries.claim(delivery.id) is None:
            return
        tries = unit.deliveries.postpone(delivery.id, services.clock.now(), why)
        if (isinstance(fault, GateError) and fault.permanent) or tries >= services.limits.resolve_attempts:
            is_branch = delivery.event is not None and delivery.event.kind is EventKind.PUSH
            what = "head of the branch cannot be read" if is_branch else "tag cannot be resolved"
            reason = f"the {what}: {why}" if isinstance(fault, GateError) else f"it cannot be planned: {why}"
            unit.deliveries.finish({delivery.id: reason})
            unit.audit.append([ignored_entry(services, delivery, reason)])

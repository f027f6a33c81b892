"""Rule 1: every request that was accepted is in the inbox once and came to what the model says; nothing else is there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.torture.cast import ENVIRONMENTS
from tests.torture.history import Answer, DeliveryRow, DeploymentRow, History, Violation
from tests.torture.requests import Request

NOT_ACCEPTED = (None, 429, 503)
Found = Iterator[Violation]


def check_deliveries(history: History) -> Found:
    """Compare answers, inbox and deployments with the model of each request."""
    answers: dict[str, list[Answer]] = defaultdict(list)
    for answer in history.answers:
        answers[answer.delivery].append(answer)
    rows: dict[str, list[DeliveryRow]] = defaultdict(list)
    for row in history.deliveries:
        rows[row.forge_id].append(row)
    for request in history.requests.values():
        yield from _answered(request, answers[request.delivery])
        yield from _stored(request, answers[request.delivery], rows[request.delivery])
    for row in history.deliveries:
        if row.forge_id not in answers:
            yield Violation("inbox", row.forge_id, "the inbox holds a delivery that nobody sent")
    yield from _planned(history, rows)


def _answered(request: Request, answers: list[Answer]) -> Found:
    """Check the status of every answer."""
    expected = request.expected
    for answer in answers:
        if answer.status in NOT_ACCEPTED or answer.status in expected.statuses:
            continue
        is_repeat = answer.status in (200, 202) and len(answers) > 1 and expected.outcome != "refused"
        if not is_repeat:
            what = f"answered {answer.status} ({answer.text}), expected {sorted(expected.statuses)} for {expected.outcome}"
            yield Violation("answer", request.delivery, what)


def _stored(request: Request, answers: list[Answer], rows: list[DeliveryRow]) -> Found:
    accepted = any(a.status is not None and a.status < 300 for a in answers)
    if request.expected.outcome == "refused":
        if rows:
            yield Violation("inbox", request.delivery, "a refused delivery is in the inbox")
        return
    if len(rows) > 1 or (accepted and not rows):
        yield Violation("inbox", request.delivery, f"accepted: {accepted}, and {len(rows)} times in the inbox")
    for row in rows:
        if (row.digest, row.header) != (request.digest, request.header):
            yield Violation("inbox", request.delivery, "the inbox holds another body or header than was sent")
        if row.state == "pending":
            yield Violation("inbox", request.delivery, f"still pending: {row.reason}")
        if request.expected.outcome == "ignored" and (
            row.state != "ignored" or request.expected.reason not in (row.reason or "")
        ):
            told = f"is {row.state} ({row.reason}), expected ignored: {request.expected.reason}"
            yield Violation("outcome", request.delivery, told)


def _planned(history: History, rows: dict[str, list[DeliveryRow]]) -> Found:
    """One act makes one deployment per environment, whatever it came under; and every deployment comes from an act."""
    claims: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for request in history.requests.values():
        for row in rows[request.delivery]:
            for key in request.expected.deploys:
                claims[key].add(row.id)
    made: dict[tuple[str, str, str], list[DeploymentRow]] = defaultdict(list)
    for deployment in history.deployments:
        if deployment.trigger in ("push", "tag"):
            made[deployment.environment, deployment.ref, deployment.sha].append(deployment)
    owners = Counter(d.delivery_id for same in made.values() for d in same)
    by_id = {row.id: row for row in history.deliveries}
    for key, ids in claims.items():
        yield from _made_once(history, key, {by_id[i] for i in ids}, made.pop(key, []))
    for key, deployments in made.items():
        yield Violation("deployment", deployments[0].id, f"{key} was never asked for")
    for request in history.requests.values():
        for row in rows[request.delivery]:
            yield from _told(history, request, row, owners[row.id])
    yield from _without_delivery(history)


def _made_once(history: History, key: tuple[str, str, str], claims: set[DeliveryRow], made: list[DeploymentRow]) -> Found:
    about = min(claims, key=lambda r: r.position).forge_id
    if len(made) > max(1, _arrivals(history, key)):
        yield Violation("deployment", made[1].id, f"{key} was planned {len(made)} times")
    if not made and not all(_is_unresolvable(history, key, row) for row in claims):
        yield Violation("deployment", about, f"{key} was accepted and never planned")
    for deployment in made:
        if deployment.delivery_id not in {row.id for row in claims}:
            yield Violation("deployment", deployment.id, f"belongs to delivery {deployment.delivery_id}, which is of another act")


def _arrivals(history: History, key: tuple[str, str, str]) -> int:
    """Count how often the ref came to this commit: a branch that is rewound comes there by another act."""
    environment, ref, sha = key
    return sum(move[1:] == (ENVIRONMENTS[environment].repository, ref, sha) for move in history.moves)


def _is_unresolvable(history: History, key: tuple[str, str, str], row: DeliveryRow) -> bool:
    """Tell whether the delivery was ignored since its tag had gone on or away by then, which may be."""
    environment, ref, sha = key
    said = row.reason or ""
    return row.state == "ignored" and "cannot be resolved" in said and left_behind(history, environment, ref, sha)


def _told(history: History, request: Request, row: DeliveryRow, made: int) -> Found:
    """Compare the delivery's state with what was made of it."""
    if request.expected.outcome != "event" or row.state == "pending":
        return
    if made and row.state != "planned":
        yield Violation("outcome", request.delivery, f"made {made} deployments and says {row.state} ({row.reason})")
    unresolvable = any(_is_unresolvable(history, key, row) for key in request.expected.deploys)
    is_repeat = row.state == "ignored" and request.expected.reason in (row.reason or "")
    if not made and not is_repeat and not unresolvable:
        yield Violation("outcome", request.delivery, f"made nothing and says {row.state} ({row.reason})")


def _without_delivery(history: History) -> Found:
    asked = Counter(history.rollbacks)
    for deployment in history.deployments:
        match deployment.trigger:
            case "push" | "tag":
                continue
            case "rollback" if deployment.actor.startswith("os:") and asked[deployment.environment] > 0:
                asked[deployment.environment] -= 1
            case "failure" if _follows_a_failure(history, deployment):
                continue
            case _:
                yield Violation("deployment", deployment.id, f"a {deployment.trigger} that nobody asked for")


def _follows_a_failure(history: History, again: DeploymentRow) -> bool:
    same = [d for d in history.deployments if (d.environment, d.position) == (again.environment, again.position)]
    failed = [d for d in same if d.trigger != "failure" and d.state == "failed"]
    release = next((d for d in history.deployments if d.id == again.release_id), None)
    is_release = release is not None and (release.state, release.environment) == ("succeeded", again.environment)
    return len(same) == 2 and len(failed) == 1 and is_release and release is not None and release.sha == again.sha


def left_behind(history: History, environment: str, ref: str, sha: str) -> bool:
    """Tell whether the ref once stood on this commit, and later on one that does not contain it, or was deleted.

    A tag that was moved has left its former commit behind in any case: it holds one object, and no history.
    """
    repository, is_tag = ENVIRONMENTS[environment].repository, ref.startswith("refs/tags/")
    stood = False
    for _, moved, name, commit in history.moves:
        if (moved, name) != (repository, ref):
            continue
        if commit == sha:
            stood = True
        elif stood and (commit is None or is_tag or not history.contains(commit, sha)):
            return True
    return False

"""The outcome of a delivery that arrives again, for people who look at the forge's delivery page. Used by `hooks.py`.

The page is shown to everybody who may see the repository's settings: it names environments, states, policies, commits and files,
but no person, e-mail or account.
The outcome is looked up beside the receiver's loop, for a few at a time and not for long. If that fails, the answer goes without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from app.domain.audit import AuditAction, AuditEntry
from app.domain.decision import Decision, Effect
from app.domain.delivery import Receipt
from app.domain.deployment import Deployment, State
from app.domain.errors import GateError
from app.domain.text import plain_line
from app.integrations.policy.protocol import Policy
from app.pipeline.decide.culprits import as_text, culprits_of
from app.pipeline.decide.what_if import MOST_TOLD, WHILE_SOMEBODY_WAITS, as_sentence, what_would_help
from app.store.reads import Reads

LOOK_SECONDS = 2.0
AT_ONCE = 2  # of the receiver's few connections
MOST = 20
_EXPLAINED = {State.DENIED: AuditAction.DEPLOYMENT_DENIED, State.HELD: AuditAction.DEPLOYMENT_HELD}

Outcome = tuple[Receipt, Sequence[str]]


class Outcomes:
    """Adds the outcome of its delivery to the receipt of a duplicate. Thread-safe; one per process."""

    def __init__(self, look: Callable[[str], Sequence[str]], *, seconds: float = LOOK_SECONDS) -> None:
        """`look` takes a delivery's id and returns lines; it may wait, and fail."""
        self._look, self._seconds = look, seconds
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="outcomes")

    def of(self, receipt: Future[Receipt]) -> Future[Outcome]:
        """Return the receipt with its lines, or its fault. There are no lines if it is new, or if looking takes too long."""
        outcome: Future[Outcome] = Future()
        receipt.add_done_callback(lambda done: self._complete(done, outcome))
        return outcome

    def _complete(self, done: Future[Receipt], outcome: Future[Outcome]) -> None:
        """Complete the outcome, in the thread that made the receipt: it must not wait."""
        fault = done.exception()
        if fault is not None:
            return outcome.set_exception(fault)
        receipt = done.result()
        if not receipt.is_duplicate or not self._places.acquire(blocking=False):
            return outcome.set_result((receipt, ()))
        patience = threading.Timer(self._seconds, _settle, (outcome, (receipt, ())))
        patience.daemon = True
        patience.start()
        self._threads.submit(self._look_up, receipt, outcome, patience)

    def _look_up(self, receipt: Receipt, outcome: Future[Outcome], patience: threading.Timer) -> None:
        lines: Sequence[str] = ()
        try:
            with suppress(GateError):
                lines = self._look(receipt.delivery_id)
        finally:
            self._places.release()
            _settle(outcome, (receipt, lines))
            patience.cancel()


def outcome_lines(reads: Reads, delivery_id: str, policy: Policy) -> list[str]:
    """Describe each deployment of a delivery in one line, with what would change its state. Raises StoreUnavailable."""
    deployments = reads.deployments(MOST, delivery_id=delivery_id)
    is_explained = any(deployment.state in _EXPLAINED for deployment in deployments)
    entries = reads.audit(delivery_id=delivery_id) if is_explained else []
    most = WHILE_SOMEBODY_WAITS // max(len(deployments), 1)
    lines = [_line(reads, deployment, entries, policy, most) for deployment in reversed(deployments)]
    return lines or ["no deployment has followed from it"]


def _line(reads: Reads, deployment: Deployment, entries: Sequence[AuditEntry], policy: Policy, most: int) -> str:
    action = _EXPLAINED.get(deployment.state)
    state = f"{deployment.environment}: {deployment.state.value}"
    details = [entry.detail for entry in entries if entry.deployment_id == deployment.id and entry.action == action]
    if not details:
        return state
    policies = details[-1].get("policies")
    if policies is None:
        return f"{state}, before any policy was asked"
    reasons = policy.reasons
    named = (f'"{name}"' + (f" ({reasons[name]})" if reasons.get(name) else "") for name in policies)
    why = f"{state} by {', '.join(named)}" if policies else f"{state}, since no policy permits it"
    if details[-1].get("policy_digest") != policy.digest:
        return plain_line(why)
    culprits = _culprits(reads, deployment, details[-1], policy)
    return plain_line("; ".join(filter(None, (f"{why}: {culprits}" if culprits else why, _change(details[-1], policy, most)))))


def _culprits(reads: Reads, deployment: Deployment, detail: Mapping[str, Any], policy: Policy) -> str:
    decision = Decision(Effect(detail["effect"]), tuple(detail["policies"]), "", policy.digest, detail["request"])
    return as_text(culprits_of(policy, decision, reads.deployment(deployment.id).evidence, with_people=False))


def _change(detail: Mapping[str, Any], policy: Policy, most: int) -> str:
    """Say what would change the decision."""
    return as_sentence(what_would_help(policy, detail["request"], most=most, who="the one who acts")[:MOST_TOLD])


def _settle(outcome: Future[Outcome], value: Outcome) -> None:
    """Set the outcome once: the look may end after its time is over."""
    with suppress(InvalidStateError):
        outcome.set_result(value)

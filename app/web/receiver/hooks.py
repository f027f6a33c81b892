"""`POST /hooks/<forge>`: hand to `pipeline/intake/receive.py`, answer in words fit for the forge's delivery page.

The answer is shown to everybody who may see the repository's settings, so it names no person.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from app.bootstrap import Process
from app.domain.delivery import Receipt
from app.domain.errors import BadDelivery, GateError, IssuerUnavailable, Overloaded, RateLimited, StoreUnavailable, TooLarge
from app.integrations.forges.protocol import UnverifiedDelivery
from app.pipeline.intake.receive import receive
from app.web.metrics import count_delivery
from app.web.people.callers import check_access
from app.web.receiver.deferred_answer import Deferred, PlainAnswer
from app.web.receiver.outcomes import Outcome, Outcomes, outcome_lines
from app.web.receiver.refusal_log import Refusals
from app.web.wire.errors import status_of, unknown_error
from app.web.wire.request import BODY, FAULT, HEADERS

RETRY_AFTER_SECONDS = 30
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 12.0  # forges give up after 15 s at the latest
# outcomes that a stranger can cause; all others follow a proven signature
STRANGERS = frozenset(
    {
        "bad-signature",
        "bad-delivery",
        "unsupported-content",
        "unknown-forge",
        "too-large",
        "too-slow",
        "overloaded",
        "bad-token",
        "issuer-unavailable",
    }
)

_log = structlog.get_logger("tidegate.receive")
_refusals = Refusals()


def make_blueprint(process: Process) -> Blueprint:
    """Make the receiver's one route."""
    blueprint = Blueprint("hooks", __name__)
    outcomes = Outcomes(lambda delivery_id: outcome_lines(process.reads, delivery_id, process.services.guard().policy))

    @blueprint.post("/hooks/<forge>")
    def hook(forge: str) -> Response:
        correlation_id = process.ids.new()
        try:
            _check_access(process, forge)
            body = _read_body(process.settings.max_body_bytes)
            receipt = receive(process.services, UnverifiedDelivery(forge, _headers(), body), correlation_id)
        except GateError as fault:
            known = forge if forge in process.services.guard().forges else "unknown"
            return _refusal(known, correlation_id, fault).response()
        return Deferred(outcomes.of(receipt), lambda outcome: _answer_by(forge, correlation_id, outcome))

    return blueprint


class Quick:
    """Tells whether a small delivery to a path is taken without waiting. If a token must come with it, its issuer may be asked.

    The configuration is looked at once a second, since a look takes some system calls: at worst the loop waits once.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._slow: frozenset[str] = frozenset()
        self._until = 0.0

    def __call__(self, path: str) -> bool:
        """Tell whether this path is quick."""
        now = time.monotonic()
        if now >= self._until:
            forges = self._process.services.guard().forges
            self._slow = frozenset(f"/hooks/{name}" for name, forge in forges.items() if forge.access_issuer is not None)
            self._until = now + LOOK_SECONDS
        return path.startswith("/hooks/") and path not in self._slow


def _check_access(process: Process, forge: str) -> None:
    """Refuse a delivery that does not come through the access issuer of this forge; raises BadToken and IssuerUnavailable."""
    guard = process.services.guard()
    binding = guard.forges.get(forge)
    if binding is not None and binding.access_issuer is not None:
        check_access(guard, binding.access_issuer)


def _answer_by(forge: str, correlation_id: str, outcome: Future[Outcome]) -> PlainAnswer:
    """Answer by the outcome of the delivery; waits for it."""
    try:
        return _acceptance(forge, *outcome.result(PATIENCE_SECONDS))
    except GateError as fault:
        return _refusal(forge, correlation_id, fault)
    except TimeoutError:
        return _refusal(forge, correlation_id, StoreUnavailable())
    except Exception as fault:
        return PlainAnswer.of(unknown_error(fault))


def _headers() -> Mapping[str, str]:
    headers: Mapping[str, str] | None = request.environ.get(HEADERS)
    return {name.lower(): value for name, value in request.headers.items()} if headers is None else headers


def _read_body(limit: int) -> bytes:
    """Return the body, never more than a byte beyond the limit; raises the fault that the front found in the request.

    Under a server other than granian, the body is not read yet. Werkzeug refuses an announced length above its limit, but
    cuts a chunked body off there without a word (`LimitedStream.readall`). So its limit is one byte more, which shows it.
    """
    if fault := request.environ.get(FAULT):
        raise fault
    if (whole := request.environ.get(BODY)) is not None:
        return bytes(whole)
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except ClientDisconnected as disconnect:
        raise BadDelivery("the delivery ended before its announced length") from disconnect
    except RequestEntityTooLarge as excess:
        raise TooLarge(f"the delivery is larger than {limit} bytes") from excess
    if len(body) > limit:
        raise TooLarge(f"the delivery is larger than {limit} bytes")
    return body


def _acceptance(forge: str, receipt: Receipt, lines: Sequence[str]) -> PlainAnswer:
    if receipt.is_duplicate:
        text = "\n".join(["already received; nothing is done twice", *lines])
        return _answer(forge, receipt.delivery_id, 200, "duplicate", text, is_kept=True)
    if receipt.reason is not None:
        return _answer(forge, receipt.delivery_id, 200, "ignored", f"nothing to do: {receipt.reason}", is_kept=True)
    return _answer(forge, receipt.delivery_id, 202, "accepted", "accepted", is_kept=True)


def _refusal(forge: str, correlation_id: str, fault: GateError) -> PlainAnswer:
    answer = _answer(forge, correlation_id, status_of(fault), fault.code, str(fault))
    if isinstance(fault, StoreUnavailable | Overloaded | IssuerUnavailable):
        answer.headers.append(("Retry-After", str(RETRY_AFTER_SECONDS)))
    if isinstance(fault, RateLimited):
        answer.headers.append(("Retry-After", str(math.ceil(fault.retry_after))))
    return answer


def _answer(forge: str, correlation_id: str, status: int, outcome: str, text: str, *, is_kept: bool = False) -> PlainAnswer:
    """Answer; the last line is the command that shows the delivery if it was kept, else its name in the gate's log."""
    count_delivery(forge, outcome)
    if _is_logged(forge, outcome):
        _log.info("delivery", forge=forge, delivery=correlation_id, correlation=correlation_id, outcome=outcome, status=status)
    last = f"tidegate delivery show {correlation_id}" if is_kept else f"not kept; in the gate's log: {correlation_id}"
    body = f"{text}\n{last}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("X-Request-Id", correlation_id),
    ]
    return PlainAnswer(status, headers, body)


def _is_logged(forge: str, outcome: str) -> bool:
    """Tell whether this delivery gets a log line; first log how many got none in the stretch of time that has ended."""
    now = time.monotonic()
    for (other_forge, other_outcome), count in _refusals.left_out(now).items():
        _log.warning("refusals left out of the log", forge=other_forge, outcome=other_outcome, count=count)
    return outcome not in STRANGERS or _refusals.is_logged((forge, outcome), now)

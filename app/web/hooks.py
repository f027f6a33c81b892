"""`POST /hooks/<forge>`: read, hand to `pipeline/receive.py`, answer in words fit for the forge's delivery page.

The answer is shown to everybody who may see the repository's settings, so it names no person.
"""

from __future__ import annotations

import math

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from app.bootstrap import Process
from app.domain.delivery import Receipt
from app.domain.errors import BadDelivery, GateError, RateLimited, StoreUnavailable, UnknownForge
from app.integrations.forges.protocol import UnverifiedDelivery
from app.pipeline.receive import receive
from app.web.errors import status_of
from app.web.metrics import count_delivery

RETRY_AFTER_SECONDS = 30

_log = structlog.get_logger("tidegate.receive")


def make_blueprint(process: Process) -> Blueprint:
    """Make the receiver's one route."""
    blueprint = Blueprint("hooks", __name__)

    @blueprint.post("/hooks/<forge>")
    def hook(forge: str) -> Response:
        correlation_id = process.ids.new()
        try:
            body = _read_body(process.settings.max_body_bytes)
            unverified = UnverifiedDelivery(forge, {k.lower(): v for k, v in request.headers.items()}, body)
            receipt = receive(process.services, unverified, correlation_id)
        except RequestEntityTooLarge:
            limit = process.settings.max_body_bytes
            return _answer(forge, correlation_id, 413, "too-large", f"the delivery is larger than {limit} bytes")
        except GateError as fault:
            return _refusal(forge, correlation_id, fault)
        return _acceptance(forge, receipt)

    return blueprint


def _read_body(limit: int) -> bytes:
    """Read the body, never more than a byte beyond the limit.

    werkzeug refuses an announced length above its limit, but cuts a chunked body off there without a word
    (`LimitedStream.readall`); so it is given one byte more, and that byte tells.
    """
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except ClientDisconnected as fault:
        raise BadDelivery("the delivery ended before its announced length") from fault
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def _acceptance(forge: str, receipt: Receipt) -> Response:
    if receipt.is_duplicate:
        return _answer(forge, receipt.delivery_id, 200, "duplicate", "already received; nothing is done twice")
    if receipt.reason is not None:
        return _answer(forge, receipt.delivery_id, 200, "ignored", f"nothing to do: {receipt.reason}")
    return _answer(forge, receipt.delivery_id, 202, "accepted", "accepted")


def _refusal(forge: str, correlation_id: str, fault: GateError) -> Response:
    known = "unknown" if isinstance(fault, UnknownForge) else forge
    answer = _answer(known, correlation_id, status_of(fault), fault.code, str(fault))
    if isinstance(fault, StoreUnavailable):
        answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(fault, RateLimited):
        answer.headers["Retry-After"] = str(math.ceil(fault.retry_after))
    return answer


def _answer(forge: str, correlation_id: str, status: int, outcome: str, text: str) -> Response:
    count_delivery(forge, outcome)
    _log.info("delivery", forge=forge, delivery=correlation_id, correlation=correlation_id, outcome=outcome, status=status)
    body = f"{text}\ntidegate delivery {correlation_id}\n"
    return Response(body, status, content_type="text/plain; charset=utf-8", headers={"X-Request-Id": correlation_id})

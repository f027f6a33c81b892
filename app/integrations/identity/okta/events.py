"""Deliveries of Okta's event hooks: a challenge once, then events, each of which only says what to read again.

https://developer.okta.com/docs/concepts/event-hooks: events come at least once and in no order, so the caller drops repeats
by `SourceEvent.id`. A static secret in a header is the whole authentication. An event is a LogEvent of the System Log
(https://developer.okta.com/docs/reference/api/system-log). Pure: the web's view calls it.
"""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.access import Hint, HintKind
from app.domain.errors import BadRequest
from app.integrations.identity.protocol import SourceEvent

OKTA_ID = r"^[A-Za-z0-9]{1,64}$"
LARGEST_BODY = 1024 * 1024
MOST_EVENTS = 1000
MOST_TARGETS = 100
_CHALLENGE = re.compile(r"[!-~]{1,1000}")
_KINDS = {"User": HintKind.IDENTITY, "UserGroup": HintKind.GROUP}


class _Target(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    id: str | None = None
    type: str | None = None


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore")
    uuid: Annotated[str, Field(strict=True, pattern=r"^[0-9A-Fa-f-]{32,36}$")]
    target: Annotated[list[_Target] | None, Field(max_length=MOST_TARGETS)] = None


class _Data(BaseModel):
    model_config = ConfigDict(extra="ignore")
    events: Annotated[list[_Event], Field(max_length=MOST_EVENTS)]


class _Delivery(BaseModel):
    model_config = ConfigDict(extra="ignore")
    data: _Data


def challenge_answer(value: str | None) -> dict[str, str]:
    """Answer the one-time verification by `X-Okta-Verification-Challenge`; raises BadRequest."""
    if value is None or not _CHALLENGE.fullmatch(value):
        raise BadRequest("the header X-Okta-Verification-Challenge is missing or is not a challenge")
    return {"verification": value}


def parse(body: bytes) -> list[SourceEvent]:
    """Read a delivery's events; raises BadRequest if it cannot be understood or is too large."""
    if len(body) > LARGEST_BODY:
        raise BadRequest(f"the delivery is larger than {LARGEST_BODY} bytes")
    try:
        delivery = _Delivery.model_validate_json(body)
    except ValidationError as fault:
        raise _as_bad_request(fault) from None
    return [_event(event) for event in delivery.data.events]


def parse_event(raw: object) -> SourceEvent:
    """Read one LogEvent, as the System Log lists it; raises BadRequest."""
    try:
        return _event(_Event.model_validate(raw))
    except ValidationError as fault:
        raise _as_bad_request(fault) from None


def _as_bad_request(fault: ValidationError) -> BadRequest:
    first = fault.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"][:6]))
    return BadRequest(f"not events of Okta: {where}: {first['msg'][:200]}" if where else "not events of Okta: not JSON")


def _event(event: _Event) -> SourceEvent:
    try:
        uuid = UUID(event.uuid)
    except ValueError:
        raise BadRequest("not events of Okta: an event's uuid is not a UUID") from None
    hints = (_hint(target) for target in event.target or ())
    return SourceEvent(str(uuid), tuple(dict.fromkeys(hint for hint in hints if hint is not None)))


def _hint(target: _Target) -> Hint | None:
    kind = _KINDS.get(target.type or "")
    if kind is None:
        return None  # an application, a policy, a factor …
    if target.id is None or not re.fullmatch(OKTA_ID, target.id):
        raise BadRequest("not events of Okta: a target's id is not an id of Okta's")
    return Hint(kind, target.id)

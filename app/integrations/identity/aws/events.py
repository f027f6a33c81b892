"""Notices of changes in AWS IAM, as an EventBridge API destination posts them. Pure; the source is `source.py`.

IAM's calls reach EventBridge through CloudTrail, in us-east-1 only and as best effort (docs.aws.amazon.com, "AWS service
events delivered via AWS CloudTrail"). So a notice makes the next read come sooner, but does not replace it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.access import Hint, HintKind
from app.domain.errors import BadRequest
from app.integrations.identity.protocol import SourceEvent

LARGEST = 1024 * 1024  # PutEvents accepts 256 KiB (its API reference); CloudTrail's records stay far below
# IAM's calls that change users, roles or groups, their names, their tags, or the members of a group.
CHANGES = frozenset(
    {
        *("CreateUser", "UpdateUser", "DeleteUser", "TagUser", "UntagUser"),
        *("CreateGroup", "UpdateGroup", "DeleteGroup", "AddUserToGroup", "RemoveUserFromGroup"),
        *("CreateRole", "DeleteRole", "TagRole", "UntagRole"),
    }
)


class _Call(BaseModel):
    """A CloudTrail record (docs.aws.amazon.com/awscloudtrail, "CloudTrail record contents")."""

    model_config = ConfigDict(strict=True, extra="ignore")
    event_source: Annotated[Literal["iam.amazonaws.com"], Field(alias="eventSource")]
    event_name: Annotated[str, Field(alias="eventName")]
    error_code: Annotated[str, Field(alias="errorCode")] = ""  # present only if the call was refused


class _Notice(BaseModel):
    """An EventBridge event (docs.aws.amazon.com/eventbridge/latest/ref, "Event structure")."""

    model_config = ConfigDict(strict=True, extra="ignore")
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    source: Literal["aws.iam"]
    detail_type: Annotated[Literal["AWS API Call via CloudTrail"], Field(alias="detail-type")]
    detail: _Call


def challenge_answer(value: str | None) -> dict[str, str]:
    """Raise BadRequest: EventBridge does not send a challenge."""
    raise BadRequest("EventBridge sends no challenge")


def parse(body: bytes) -> list[SourceEvent]:
    """Read a notice; raises BadRequest if it is not an IAM call that EventBridge passes on."""
    if len(body) > LARGEST:
        raise BadRequest(f"the event is larger than {LARGEST} bytes")
    try:
        notice = _Notice.model_validate_json(body)
    except ValidationError as fault:
        raise BadRequest(f"not an event of AWS IAM: {_place(fault)}") from None
    call = notice.detail
    has_changed = call.event_name in CHANGES and not call.error_code
    return [SourceEvent(notice.id, (Hint(HintKind.ALL),) if has_changed else ())]


def _place(fault: ValidationError) -> str:
    """Name the first faulty field, without its value."""
    first = fault.errors(include_url=False, include_context=False, include_input=False)[0]
    return ".".join(map(str, first["loc"])) or "not JSON"

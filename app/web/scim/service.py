"""What the SCIM server announces and tolerates, and the forms of a request that the library does not know.

Announced is what works: PATCH, filters, sorting, ETags. No passwords: the attribute is in no schema, so what a client sends of
it is dropped while it is read, and reaches neither a filter nor the database. Next: `server.py`.
"""

from __future__ import annotations

import json
import re
import time
from functools import cache
from typing import Any
from unicodedata import normalize

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    EnterpriseUser,
    ETag,
    Filter,
    Group,
    InvalidFilterException,
    InvalidPathException,
    InvalidValueException,
    Patch,
    PatchOp,
    PayloadTooLargeException,
    Resource,
    ResourceType,
    ScimPolicy,
    ScimProvider,
    SearchRequest,
    ServiceProviderConfig,
    Sort,
    User,
)
from scim2_server.conditions import Conditions
from scim2_server.service import ScimService

MOST_RESULTS = 1000
MOST_OPERATIONS = 100
LONGEST_PATH = 1024
PATCH_SECONDS = 5.0  # until which it may begin another operation; meanwhile nobody else writes to the source
LONGEST_FILTER = 4096
MEMBERS = "members"
_NOT_SERVED = {"password", "groups"}
_MEMBERS = ("members", "urn:ietf:params:scim:schemas:core:2.0:group:members")
_ONE_MEMBER = re.compile(
    r'(?:urn:ietf:params:scim:schemas:core:2\.0:Group:)?members\[\s*value\s+eq\s+"([^"\\]+)"\s*\]', re.IGNORECASE
)
_MANAGER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:manager"


def comparable(binding: Any, value: str) -> str:
    """Spell a string as it is compared: of two that differ in case or in how an accent is coded, one is enough.

    Unicode's caseless match (Unicode Standard §3.13, D145), as subjects are compared; case counts where the schema says so.
    """
    return normalize("NFC", value if binding.case_exact else normalize("NFD", value).casefold())


@cache
def make_provider() -> ScimProvider:
    """Describe the service. What no schema declares is dropped: clients send attributes of other vendors' schemas."""
    users = User.to_schema()
    users.attributes = [each for each in users.attributes or [] if each.name not in _NOT_SERVED]
    return ScimProvider.from_discovery(
        [users, EnterpriseUser.to_schema(), Group.to_schema()],
        [ResourceType.from_resource(User[EnterpriseUser]), ResourceType.from_resource(Group)],
        config=_config(),
        policy=ScimPolicy(
            unknown=ScimPolicy.Unknown.ignore,
            remove_value_as_filter=ScimPolicy.RemoveValue.apply,
            unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
            comparison_key=comparable,
        ),
    )


def _config() -> ServiceProviderConfig:
    return ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=MOST_RESULTS),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=True),
        etag=ETag(supported=True),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken,
                name="Bearer token",
                description="A token made with `tidegate scim token create`",
                primary=True,
            )
        ],
    )


def standard(body: bytes) -> bytes:
    """Rewrite a PATCH into one form of the standard; what is not understood stays as it is, for the library to refuse.

    Microsoft Entra lists members to remove in a value instead of in a filter, with attributes beside the id that match nothing
    (`$ref`: null), and names a manager by a bare id (learn.microsoft.com/entra/identity/app-provisioning:
    application-provisioning-config-problem-scim-compatibility, use-scim-to-provision-users-and-groups). Members that are added
    or removed one by one become one operation: each costs a look at all members. Raises PayloadTooLargeException where more
    operations are left than anybody sends, and InvalidPathException where a path is longer than any.
    """
    try:
        document = _lower(json.loads(body))
        operations = _joined([_standard(_lower(operation)) for operation in document["operations"]])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return body
    if len(operations) > MOST_OPERATIONS:
        raise PayloadTooLargeException(detail=f"a PATCH has at most {MOST_OPERATIONS} operations")
    if any(len(str(each.get("path", ""))) > LONGEST_PATH for each in operations):
        raise InvalidPathException(detail=f"a path has at most {LONGEST_PATH} characters")
    return json.dumps(document | {"operations": operations}).encode()


def _lower(document: dict[str, Any]) -> dict[str, Any]:
    """Spell the names of attributes in one way: they are compared without case (RFC 7643 §2.1)."""
    return {name.casefold(): value for name, value in document.items()}


def _standard(operation: dict[str, Any]) -> dict[str, Any]:
    path, value, op = str(operation.get("path", "")), operation.get("value"), str(operation["op"]).casefold()
    if op == "remove" and value is None and (one := _ONE_MEMBER.fullmatch(path)):
        return {"op": op, "path": MEMBERS, "value": [{"value": one[1]}]}
    if op == "remove" and value is not None and path.casefold() in _MEMBERS:
        return {"op": op, "path": MEMBERS, "value": [_only_id(each) for each in (value if isinstance(value, list) else [value])]}
    if op == "add" and path.casefold() in _MEMBERS:
        return operation | {"op": op, "path": MEMBERS}
    if path.casefold() == _MANAGER and isinstance(value, str):
        return operation | {"value": {"value": value}}
    return operation


def _only_id(member: Any) -> dict[str, str]:
    """Leave what tells a member; anything else in its place could match all of them."""
    if not isinstance(member, dict) or not isinstance(member.get("value"), str):
        raise InvalidValueException(detail="members that are removed are listed by their value, an id")
    return {"value": member["value"]}


def _joined(operations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make one of those that follow each other and do the same to a list of members."""
    joined: list[dict[str, Any]] = []
    for each in operations:
        if joined and _is_joinable(each) and _is_joinable(joined[-1]) and each["op"] == joined[-1]["op"]:
            joined[-1] = joined[-1] | {"value": joined[-1]["value"] + each["value"]}
        else:
            joined.append(each)
    return joined


def _is_joinable(operation: dict[str, Any]) -> bool:
    is_of_members = operation.get("path") == MEMBERS and isinstance(operation.get("value"), list)
    return is_of_members and operation["op"] in ("add", "remove")


class Service(ScimService):
    """The protocol, with a limit to what is parsed, and members removed at the cost of one look at the group."""

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """Read a search; raises InvalidFilterException where its filter is longer than anybody needs."""
        if isinstance(payload, dict) and len(str(_lower(payload).get("filter", ""))) > LONGEST_FILTER:
            raise InvalidFilterException(detail=f"a filter has at most {LONGEST_FILTER} characters")
        return super().read_search(resource_types, payload)

    def apply_patch(self, current: Resource[Any], patch_op: PatchOp[Any], conditions: Conditions) -> Resource[Any] | None:
        """Apply a PATCH; return None where it changes nothing."""
        self.check_preconditions(current, "PATCH", conditions)
        is_changed, ends_at = False, time.monotonic() + PATCH_SECONDS
        for operation in patch_op.operations or []:
            if time.monotonic() > ends_at:
                raise PayloadTooLargeException(detail="this PATCH takes too long; send its operations in several")
            is_changed |= _apply(current, operation, type(patch_op))
        return current if is_changed else None


def _apply(current: Any, operation: Any, patch: type[PatchOp[Any]]) -> bool:
    """Apply one operation. The library would compare every member with every one that is to be removed: minutes, for many."""
    if operation.op != "remove" or operation.path != MEMBERS or operation.value is None:
        return patch(Operations=[operation]).patch(current)
    gone = {member["value"] for member in operation.value}
    left = [member for member in current.members or [] if member.value not in gone]
    is_change = len(left) != len(current.members or [])
    current.members = left or None
    return is_change

"""What the SCIM server announces and tolerates, and the forms of a request that the library does not know.

It announces only what works: PATCH, filters, sorting, ETags. Passwords are not served: the attribute is in no schema. A password
that a client sends is dropped when the request is read, and reaches neither a filter nor the database. Next: `server.py`.
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
PATCH_SECONDS = 5.0  # after this, no further operation begins; meanwhile nothing else writes to the source
LONGEST_FILTER = 4096
MEMBERS = "members"
_NOT_SERVED = {"password", "groups"}
_MEMBERS = ("members", "urn:ietf:params:scim:schemas:core:2.0:group:members")
_ONE_MEMBER = re.compile(
    r'(?:urn:ietf:params:scim:schemas:core:2\.0:Group:)?members\[\s*value\s+eq\s+"([^"\\]+)"\s*\]', re.IGNORECASE
)
_MANAGER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:manager"


def comparable(binding: Any, value: str) -> str:
    """Spell a string for comparison: two that differ only in case, or in how an accent is coded, are the same.

    Unicode's caseless match (Unicode Standard §3.13, D145), as for subjects. Case counts if the schema says so.
    """
    return normalize("NFC", value if binding.case_exact else normalize("NFD", value).casefold())


@cache
def make_provider() -> ScimProvider:
    """Describe the service. An attribute of no schema is dropped, since clients send those of other vendors' schemas."""
    users = User.to_schema()
    users.attributes = [attribute for attribute in users.attributes or [] if attribute.name not in _NOT_SERVED]
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
                description="A token made with `tidegate scim token create SOURCE --client CLIENT`",
                primary=True,
            )
        ],
    )


def standard(body: bytes) -> bytes:
    """Rewrite a PATCH into one form of the standard; one that is not understood stays as it is, for the library to refuse.

    Microsoft Entra lists members to remove in a value instead of in a filter, with attributes beside the id that match nothing
    (`$ref`: null), and names a manager by a bare id (learn.microsoft.com/entra/identity/app-provisioning:
    application-provisioning-config-problem-scim-compatibility, use-scim-to-provision-users-and-groups). Members that are added
    or removed one by one become one operation: each costs a look at all members. Raises PayloadTooLargeException if more
    operations are left than any client sends, and InvalidPathException if a path is longer than any real one.
    """
    try:
        document = _lower(json.loads(body))
        operations = _join_members([_standardise(_lower(operation)) for operation in document["operations"]])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return body
    if len(operations) > MOST_OPERATIONS:
        raise PayloadTooLargeException(detail=f"a PATCH has at most {MOST_OPERATIONS} operations")
    if any(len(str(operation.get("path", ""))) > LONGEST_PATH for operation in operations):
        raise InvalidPathException(detail=f"a path has at most {LONGEST_PATH} characters")
    return json.dumps(document | {"operations": operations}).encode()


def _lower(document: dict[str, Any]) -> dict[str, Any]:
    """Spell the names of attributes in one way: they are compared without case (RFC 7643 §2.1)."""
    return {name.casefold(): value for name, value in document.items()}


def _standardise(operation: dict[str, Any]) -> dict[str, Any]:
    path, value, op = str(operation.get("path", "")), operation.get("value"), str(operation["op"]).casefold()
    if op == "remove" and value is None and (match := _ONE_MEMBER.fullmatch(path)):
        return {"op": op, "path": MEMBERS, "value": [{"value": match[1]}]}
    if op == "remove" and value is not None and path.casefold() in _MEMBERS:
        members = value if isinstance(value, list) else [value]
        return {"op": op, "path": MEMBERS, "value": [_only_id(member) for member in members]}
    if op == "add" and path.casefold() in _MEMBERS:
        return operation | {"op": op, "path": MEMBERS}
    if path.casefold() == _MANAGER and isinstance(value, str):
        return operation | {"value": {"value": value}}
    return operation


def _only_id(member: Any) -> dict[str, str]:
    """Return a member's id and nothing else; anything else in its place could match all members."""
    if not isinstance(member, dict) or not isinstance(member.get("value"), str):
        raise InvalidValueException(detail='members to remove must be listed by id, as {"value": ID}')
    return {"value": member["value"]}


def _join_members(operations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join operations that follow each other and do the same to a list of members."""
    fewer: list[dict[str, Any]] = []
    for operation in operations:
        last = fewer[-1] if fewer else None
        if last and _is_joinable(operation) and _is_joinable(last) and operation["op"] == last["op"]:
            fewer[-1] = last | {"value": last["value"] + operation["value"]}
        else:
            fewer.append(operation)
    return fewer


def _is_joinable(operation: dict[str, Any]) -> bool:
    is_of_members = operation.get("path") == MEMBERS and isinstance(operation.get("value"), list)
    return is_of_members and operation["op"] in ("add", "remove")


class Service(ScimService):
    """The protocol, with a limit to what is parsed, and members removed at the cost of one look at the group."""

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """Read a search; raises InvalidFilterException if its filter is longer than any client needs."""
        if isinstance(payload, dict) and len(str(_lower(payload).get("filter", ""))) > LONGEST_FILTER:
            raise InvalidFilterException(detail=f"a filter has at most {LONGEST_FILTER} characters")
        return super().read_search(resource_types, payload)

    def apply_patch(self, current: Resource[Any], patch_op: PatchOp[Any], conditions: Conditions) -> Resource[Any] | None:
        """Apply a PATCH; return None if it changes nothing."""
        self.check_preconditions(current, "PATCH", conditions)
        is_changed, ends_at = False, time.monotonic() + PATCH_SECONDS
        for operation in patch_op.operations or []:
            if time.monotonic() > ends_at:
                raise PayloadTooLargeException(detail="this PATCH takes too long; send its operations in several requests")
            is_changed |= _apply(current, operation, type(patch_op))
        return current if is_changed else None


def _apply(current: Any, operation: Any, patch: type[PatchOp[Any]]) -> bool:
    """Apply one operation. The library would compare each member with each one to remove: minutes, if they are many."""
    if operation.op != "remove" or operation.path != MEMBERS or operation.value is None:
        return patch(Operations=[operation]).patch(current)
    removed_ids = {member["value"] for member in operation.value}
    left = [member for member in current.members or [] if member.value not in removed_ids]
    is_change = len(left) != len(current.members or [])
    current.members = left or None
    return is_change

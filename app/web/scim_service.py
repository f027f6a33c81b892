"""What the SCIM server announces and tolerates, and the forms of a request that the library does not know.

Announced is what works: PATCH, filters, sorting, ETags. No passwords: the attribute is in no schema, so what a client sends of
it is dropped while it is read, and reaches neither a filter nor the database. Next: `scim.py`.
"""

from __future__ import annotations

import json
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
    Patch,
    ResourceType,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    User,
)

MOST_RESULTS = 1000
_NOT_SERVED = {"password", "groups"}
_MEMBERS = ("members", "urn:ietf:params:scim:schemas:core:2.0:group:members")
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
    """Rewrite a PATCH as Microsoft Entra sends it into the standard's form; what is not understood stays as it is.

    A removal lists members in its value instead of in a filter, with attributes beside the id that match nothing (`$ref`:
    null); a manager is a bare id instead of an object (learn.microsoft.com/entra/identity/app-provisioning,
    application-provisioning-config-problem-scim-compatibility and use-scim-to-provision-users-and-groups).
    """
    try:
        document = json.loads(body)
        operations = [_standard(operation) for operation in document["Operations"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body
    return json.dumps(document | {"Operations": operations}).encode()


def _standard(operation: dict[str, Any]) -> dict[str, Any]:
    path, value = str(operation.get("path", "")).casefold(), operation.get("value")
    if path in _MEMBERS and str(operation.get("op")).casefold() == "remove" and isinstance(value, list):
        return operation | {"value": [_only_id(member) for member in value]}
    if path == _MANAGER and isinstance(value, str):
        return operation | {"value": {"value": value}}
    return operation


def _only_id(member: Any) -> Any:
    return {"value": member["value"]} if isinstance(member, dict) and "value" in member else member

"""Read single claims of a token whose signature holds. A claim is well formed or absent, or the token is refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.domain.errors import BadToken

LONGEST_TEXT = 256
MOST_GROUPS = 500
_LAST = 253_402_300_799  # the end of the year 9999, the last that Python can hold


def text(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim that is one printable line of bounded length, else an empty string."""
    value = claims.get(name)
    return value if isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_TEXT else ""


def instant(claims: Mapping[str, Any], name: str) -> datetime | None:
    """Return a NumericDate (RFC 7519 §2), or None if it is absent; raises BadToken for anything else."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST:
        raise BadToken(f"{name}: not a time" + (", but a text" if isinstance(value, str) else ""))
    return datetime.fromtimestamp(value, UTC)


def needed_instant(claims: Mapping[str, Any], name: str) -> datetime:
    """Return a NumericDate; raises BadToken if it is absent or malformed."""
    moment = instant(claims, name)
    if moment is None:
        raise BadToken(f"{name}: missing")
    return moment


def groups(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the groups; raises BadToken if the list is not complete, since a policy may forbid by the missing one.

    OpenID Connect Core 1.0 §5.6.2: `_claim_names` lists claims to be fetched elsewhere; Entra does so with over 200 groups.
    """
    elsewhere = claims.get("_claim_names")
    if (isinstance(elsewhere, dict) and name in elsewhere) or claims.get("hasgroups"):
        raise BadToken(f"{name}: too many for the token, so it does not carry them")
    value = claims.get(name, [])
    names = [value] if isinstance(value, str) else value  # some issuers send a single group without a list
    if not isinstance(names, list) or len(names) > MOST_GROUPS or not all(map(_is_group, names)):
        raise BadToken(f"{name}: not a list of at most {MOST_GROUPS} group names")
    return frozenset(names)


def methods(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the methods of authentication (`amr`, RFC 8176); none if the claim is no list, or one method as a text."""
    value = claims.get("amr")
    if isinstance(value, str):  # as AD FS and others send a single one
        value = [value] if value.split() == [value] else []
    return tuple(m for m in value if isinstance(m, str) and m.isprintable())[:20] if isinstance(value, list) else ()


def why_email_unverified(claims: Mapping[str, Any]) -> str | None:
    """Say why `email_verified` does not vouch for the e-mail; None if it does: true, or the text "true" (Cognito, JumpCloud)."""
    if "email_verified" not in claims:
        return "the token does not say email_verified"
    value = claims["email_verified"]
    if value is True or value == "true":
        return None
    if value is False or value == "false":
        return "the token says email_verified is false"
    return f"email_verified is neither true nor false but {_kind_of(value)}"


def _kind_of(value: object) -> str:
    """Name the JSON type of a value, without the value."""
    names = {str: "another text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing")


def scopes(claims: Mapping[str, Any], *, has_roles: bool) -> frozenset[str]:
    """Return the scopes: `scope` (RFC 9068 §2.2.3), or `scp`, a list at Okta and one text at Entra.

    An Entra token of a program (`has_roles`) has its permissions in `roles` instead
    (learn.microsoft.com/entra/identity-platform/access-token-claims-reference).
    """
    names = ("scope", "scp", "roles") if has_roles else ("scope", "scp")
    return frozenset(scope for name in names for scope in _words(claims.get(name)))


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return value.split(" ")
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _is_group(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= LONGEST_TEXT

"""`[issuers.NAME]`: the issuers whose tokens are accepted, and at which people sign in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from app.config.tables.fields import Fault, OpenTable, Seconds
from app.config.tables.identity import FILE
from app.domain.access import SourceKind, SourceRule
from app.toml_lines import Where

Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5B\x5D-\x7E]{1,256}$")]  # RFC 6749 §3.3


class IssuerTable(OpenTable):
    """`[issuers.NAME]`. With `max_age` a sign-in also makes a person known for that long.

    A bearer token must carry all `required_scopes`. Further keys are the issuer's own.
    """

    max_age: Seconds | None = None
    required_scopes: list[Scope] = Field(default=[], max_length=20)


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """An issuer as configured: its own options, already validated; `rule` if its sign-ins are a source of people.

    `required_scopes` are those that a bearer token must carry.
    """

    options: BaseModel
    rule: SourceRule | None
    required_scopes: frozenset[str] = frozenset()

    @property
    def is_for_people(self) -> bool:
        """Tell whether people can sign in here: with a client, in a browser."""
        return self.options.model_dump().get("client_id") is not None


def issuer_faults(issuers: Mapping[str, IssuerTable], *, sources: Collection[str]) -> Iterator[Fault]:
    """Find issuers that take each other's tokens, or that share a name with a source."""
    seen: dict[tuple[str, str], str] = {}
    for name, table in issuers.items():
        if table.max_age is not None and (name == FILE or name in sources):
            yield ("issuers", name, "max_age"), "makes it a source of people, but another source has this name"
        options = table.model_extra or {}
        other = seen.setdefault((str(options.get("issuer")), str(options.get("audience"))), name)
        if other != name:
            yield ("issuers", name), f"has the issuer and audience of {other!r}"
    yield from _mistakable_tokens(issuers)


def _mistakable_tokens(issuers: Mapping[str, IssuerTable]) -> Iterator[Fault]:
    """Find audiences that are clients of the same issuer: the clients' ID tokens would open the API as bearer tokens.

    A Cognito user pool has no audience but its clients; there `token_use` tells the tokens apart.
    """
    options = {name: table.model_extra or {} for name, table in issuers.items()}
    clients = {(str(o.get("issuer")), str(o["client_id"])): name for name, o in options.items() if "client_id" in o}
    for name, own in options.items():
        where: Where = ("issuers", name, "audience")
        if own.get("kind") != "cognito" and "client_id" in own and own.get("audience") == own["client_id"]:
            yield where, "is also the client_id, so anyone with an ID token could call the API with it: choose another one"
        elif (other := clients.get((str(own.get("issuer")), str(own.get("audience"))), name)) != name:
            yield where, f"is the client_id of {other!r}, so its ID tokens would open the API: choose another one"


def issuer_settings(name: str, table: IssuerTable, options: type[BaseModel]) -> IssuerSettings:
    """Make the settings from a checked table."""
    rule = SourceRule(name, SourceKind.OIDC, timedelta(seconds=table.max_age)) if table.max_age else None
    return IssuerSettings(table.options(options), rule, frozenset(table.required_scopes))

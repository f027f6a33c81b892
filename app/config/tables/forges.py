"""`[forges.NAME]`: the forges that send deliveries, and from which repositories are fetched."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pydantic import Field

from app.config.tables.fields import Clone, Fault, Reference, Table, Url

# The e-mail that each kind of forge gives its operating-system user at the start, if that user has none.
COMMITTERS = {"gogs": "gogs@fake.local", "gitea": "gitea@fake.local", "forgejo": "gitea@fake.local"}
RESERVED = ("os", "tidegate", "person")


class ForgeTable(Table):
    """`[forges.NAME]`."""

    kind: str
    url: Url
    clone: Clone = "{url}/{repository}.git"
    webhook_secrets: list[Reference] = Field(min_length=1)
    api_token: Reference | None = None
    decide_secrets: list[Reference] | None = Field(None, min_length=1)
    link_by_login: bool = False
    access_issuer: str | None = None
    committer: list[str] | None = None


@dataclass(frozen=True, slots=True)
class ForgeSettings:
    """A forge as configured. Secrets are references; `clone` is a template with {url} and {repository}.

    `committers` are the e-mails, in lower case, under which the forge itself commits.
    """

    name: str
    kind: str
    url: str
    clone: str
    webhook_secrets: tuple[str, ...]
    api_token: str | None
    link_by_login: bool = False
    access_issuer: str | None = None
    decide_secrets: tuple[str, ...] = ()
    committers: frozenset[str] = frozenset()


def forge_faults(forges: Mapping[str, ForgeTable], *, kinds: Collection[str], issuers: Collection[str]) -> Iterator[Fault]:
    """Find forges of unknown kinds, names that are reserved, and issuers that do not exist."""
    for name, forge in forges.items():
        if forge.kind not in kinds:
            yield ("forges", name, "kind"), f"unknown kind {forge.kind!r}; known: {', '.join(sorted(kinds))}"
        if name in RESERVED:
            yield ("forges", name), "this name is reserved for the gate itself"
        if forge.access_issuer is not None and forge.access_issuer not in issuers:
            yield ("forges", name, "access_issuer"), f"there is no issuer {forge.access_issuer!r}"


def forge_settings(name: str, table: ForgeTable) -> ForgeSettings:
    """Make the settings from a checked table."""
    return ForgeSettings(
        name=name,
        kind=table.kind,
        url=table.url,
        clone=table.clone,
        webhook_secrets=tuple(table.webhook_secrets),
        api_token=table.api_token,
        link_by_login=table.link_by_login,
        access_issuer=table.access_issuer,
        decide_secrets=tuple(table.decide_secrets or ()),
        committers=frozenset(email.casefold() for email in _committers(table)),
    )


def _committers(table: ForgeTable) -> list[str]:
    if table.committer is not None:
        return table.committer
    return [COMMITTERS[table.kind]] if table.kind in COMMITTERS else []

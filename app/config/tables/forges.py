"""`[forges.NAME]`: the forges that send deliveries, and from which repositories are fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from app.config.tables.fields import Clone, Fault, Reference, Table, Url

# The e-mail that each kind of forge gives its operating-system user at the start, if that user has none.
COMMITTERS = {"gogs": "gogs@fake.local", "gitea": "gitea@fake.local", "forgejo": "gitea@fake.local"}
RESERVED = ("os", "tidegate", "person")
RepositoryName = Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]


class RepositoryTable(Table):
    """`[forges.NAME.repositories."OWNER/NAME"]`."""

    webhook_secrets: list[Reference] = Field(min_length=1)


class ForgeTable(Table):
    """`[forges.NAME]`. `webhook_secrets` are good for all repositories that have none of their own."""

    kind: str
    url: Url
    clone: Clone = "{url}/{repository}.git"
    webhook_secrets: list[Reference] | None = Field(None, min_length=1)
    repositories: dict[RepositoryName, RepositoryTable] = Field(default_factory=dict)
    api_token: Reference | None = None
    allow_plaintext: bool = False
    decide_secrets: list[Reference] | None = Field(None, min_length=1)
    link_by_login: bool = False
    access_issuer: str | None = None
    committer: list[str] | None = None


@dataclass(frozen=True, slots=True)
class ForgeSettings:
    """A forge as configured. Secrets are references; `clone` is a template with {url} and {repository}.

    `repository_secrets`: the webhook secrets of repositories that have their own, by `owner/name` in lower case.
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
    repository_secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    committers: frozenset[str] = frozenset()


def forge_faults(forges: Mapping[str, ForgeTable], *, kinds: Collection[str], issuers: Collection[str]) -> Iterator[Fault]:
    """Find forges of unknown kinds or without a secret, names that are reserved or double, and issuers that do not exist."""
    for name, forge in forges.items():
        if forge.kind not in kinds:
            yield ("forges", name, "kind"), f"unknown kind {forge.kind!r}; known: {', '.join(sorted(kinds))}"
        if name in RESERVED:
            yield ("forges", name), "this name is reserved for the gate itself"
        if forge.access_issuer is not None and forge.access_issuer not in issuers:
            yield ("forges", name, "access_issuer"), f"there is no issuer {forge.access_issuer!r}"
        if forge.webhook_secrets is None and not forge.repositories:
            yield ("forges", name, "webhook_secrets"), "Field required, here or for each repository in `repositories`"
        for repository, count in Counter(repository.casefold() for repository in forge.repositories).items():
            if count > 1:
                yield ("forges", name, "repositories"), f"{repository} stands here twice: upper and lower case are the same"


def shared_secrets(forges: Mapping[str, ForgeSettings], repositories: Collection[str]) -> list[str]:
    """List webhook secrets of several repositories or forges. `repositories`: the deployed ones, as `FORGE:OWNER/NAME`."""
    return [*(warning for forge in forges.values() for warning in _shared_by(forge, repositories)), *_shared_across(forges)]


def _shared_across(forges: Mapping[str, ForgeSettings]) -> Iterator[str]:
    """Find secrets of several forges: what one signs is taken as the other's, whose numbers stand for other people."""
    users: dict[str, set[str]] = {}
    for forge in forges.values():
        own = {*forge.webhook_secrets, *(each for references in forge.repository_secrets.values() for each in references)}
        for reference in own:
            users.setdefault(reference, set()).add(forge.name)
    for reference, names in sorted(users.items()):
        if len(names) > 1:
            yield (
                f"forges.{min(names)}: {reference} is a webhook secret of {' and '.join(sorted(names))}: an administrator of a "
                "repository at one of them can deliver as anybody at the others; give each forge its own"
            )


def _shared_by(forge: ForgeSettings, repositories: Collection[str]) -> Iterator[str]:
    deployed = {key.partition(":")[2].casefold() for key in repositories if key.partition(":")[0] == forge.name}
    served = {reference: deployed - set(forge.repository_secrets) for reference in forge.webhook_secrets[:1]}
    for repository, references in forge.repository_secrets.items():
        for reference in references:
            served[reference] = served.get(reference, set()) | {repository}
    for reference, names in served.items():
        if len(names) > 1:
            yield _too_wide(forge.name, reference, sorted(names))


def _too_wide(forge: str, reference: str, repositories: Sequence[str]) -> str:
    return (
        f"forges.{forge}: {reference} is the webhook secret of {', '.join(repositories)}: an administrator of one of them reads "
        "it at the forge, and can deliver for all, as any sender; give each repository its own: "
        f'[forges.{forge}.repositories."{repositories[0]}"] webhook_secrets = [...]'
    )


def forge_settings(name: str, table: ForgeTable) -> ForgeSettings:
    """Make the settings from a checked table."""
    return ForgeSettings(
        name=name,
        kind=table.kind,
        url=table.url,
        clone=table.clone,
        webhook_secrets=tuple(table.webhook_secrets or ()),
        api_token=table.api_token,
        link_by_login=table.link_by_login,
        access_issuer=table.access_issuer,
        decide_secrets=tuple(table.decide_secrets or ()),
        repository_secrets={key.casefold(): tuple(own.webhook_secrets) for key, own in table.repositories.items()},
        committers=frozenset(email.casefold() for email in _committers(table)),
    )


def _committers(table: ForgeTable) -> list[str]:
    if table.committer is not None:
        return table.committer
    return [COMMITTERS[table.kind]] if table.kind in COMMITTERS else []

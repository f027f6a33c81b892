"""Protocols of the access map, and of the systems that know people and sign tokens about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.domain.access import Group, Hint, Identity, Page, SourceRule, Standing
from app.domain.clock import Clock
from app.domain.event import Account
from app.domain.principal import Principal
from app.domain.signature import CommitKey
from app.integrations.http import HttpClient
from app.integrations.secrets.protocol import Secret


class AccessMap(Protocol):
    """All that the configured sources say at this moment. Every method may raise StoreUnavailable."""

    def principal_of(self, account: Account) -> Principal | None:
        """Return the principal that is linked to this account (by forge and stable id, never by name or e-mail), or None."""
        ...

    def principal(self, subject: str) -> Principal | None:
        """Return the principal of this subject, or None if no source names it."""
        ...

    def standing(self, subject: str) -> Standing | None:
        """Return a principal with all that the sources say about it."""
        ...

    def everybody(self) -> list[Standing]:
        """Return all principals that a configured source names, by subject."""
        ...

    def owners_of(self, emails: Collection[str]) -> dict[str, str]:
        """Return the owner's subject for each of these e-mails (in lower case) that exactly one active principal owns.

        This is evidence about authors, not identity.
        """
        ...

    def claimants_of(self, emails: Collection[str]) -> list[Principal]:
        """Return every principal, active or not, to whom any source gives one of these e-mails (in lower case)."""
        ...

    def commit_keys(self) -> list[CommitKey]:
        """List the keys of all principals, revoked keys included."""
        ...

    @property
    def rules(self) -> Mapping[str, SourceRule]:
        """The configured sources by name."""
        ...


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """One event of a source's notice. It may come twice under the same id. Without hints, nothing that is read has changed."""

    id: str
    hints: tuple[Hint, ...]


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools that every source gets: secrets by reference, the time, sleeping (for rate limits), and HTTP."""

    secret: Callable[[str], Secret]
    clock: Clock
    pause: Callable[[float], None]
    client: HttpClient


class IdentitySource(Protocol):
    """A system that is read. Every method raises SourceUnavailable if it cannot be read now, or not completely."""

    def read_all(self) -> Iterator[Page]:
        """Read everything, identities before the groups that name them. Whatever no page names is gone."""
        ...

    def read_changes(self, since: datetime) -> Iterator[Page] | None:
        """Read all changes since then, and perhaps more. None: the source can only be read as a whole."""
        ...

    def read_again(self, hint: Hint) -> Iterator[Page] | None:
        """Read the subject of a hint again. None: the source can only be read as a whole."""
        ...


class Documents(Protocol):
    """Reads the documents that a client writes to its source. Such a source is written to, not read (SCIM)."""

    def identity(self, user_id: str, document: Mapping[str, Any]) -> Identity:
        """Read a user; raises BadRequest if it names no principal."""
        ...

    def group(self, group_id: str, document: Mapping[str, Any]) -> Group:
        """Read a group; raises BadRequest if its name cannot be a group's name."""
        ...


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The facts that a token proves. `issuer` is the name of the profile that accepted it, `sub` the claim as the token has it.

    `is_service`: the token is a program's, which must never pass as a person. `scopes` are those that the token carries.
    `email` is empty unless the issuer has verified it.
    """

    issuer: str
    subject: str
    sub: str
    is_service: bool
    client_id: str
    groups: frozenset[str]
    email: str
    name: str
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime | None
    issued_at: datetime
    expires_at: datetime
    country: str
    login: str = ""
    scopes: frozenset[str] = frozenset()


class TokenValidator(Protocol):
    """Checks tokens of one issuer, or of all configured issuers."""

    def validate(self, token: str) -> VerifiedToken:
        """Return what the token proves; raises BadToken or IssuerUnavailable."""
        ...


class LoginSettings(Protocol):
    """The gate's configuration as a client of one issuer, with which people sign in."""

    @property
    def issuer(self) -> str:
        """The issuer's URL."""
        ...

    @property
    def client_id(self) -> str | None:
        """The name under which the issuer knows the gate. None: people do not sign in with this issuer."""
        ...

    @property
    def client_secret(self) -> str | None:
        """A reference to the client's secret. None: the issuer gave none."""
        ...

    @property
    def scopes(self) -> Sequence[str]:
        """The scopes that a sign-in asks for."""
        ...


class LoginValidator(Protocol):
    """Checks the ID tokens that a sign-in with one issuer brings."""

    def validate(self, token: str, *, nonce: str | None = None) -> VerifiedToken:
        """Return what the token proves, if it holds this nonce; raises BadToken or IssuerUnavailable."""
        ...

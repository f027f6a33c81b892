"""What the pipeline asks of the access map, and what a system that knows people answers when it is read."""

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
    """What all configured sources together say, as of this moment. Every method may raise StoreUnavailable."""

    def principal_of(self, account: Account) -> Principal | None:
        """Return who is linked to this account (forge and stable id, never name or e-mail), or None."""
        ...

    def principal(self, subject: str) -> Principal | None:
        """Return the principal of this subject, or None where no source speaks of it."""
        ...

    def standing(self, subject: str) -> Standing | None:
        """Return a principal with all that is said of it."""
        ...

    def everybody(self) -> list[Standing]:
        """Return all principals of whom a configured source speaks, by subject."""
        ...

    def owners_of(self, emails: Collection[str]) -> dict[str, str]:
        """Return, for each of these e-mails (in lower case) that exactly one active principal owns, that subject.

        Evidence about authors, not identity.
        """
        ...

    def claimants_of(self, emails: Collection[str]) -> list[Principal]:
        """Return everybody, active or not, of whom any source says that one of these e-mails (in lower case) is theirs."""
        ...

    def commit_keys(self) -> list[CommitKey]:
        """List the keys that stand for anybody, revoked ones too."""
        ...

    @property
    def rules(self) -> Mapping[str, SourceRule]:
        """The configured sources by name."""
        ...


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """One event of a source's notice. It may come twice under the same id; no hints: nothing that is read has changed."""

    id: str
    hints: tuple[Hint, ...]


@dataclass(frozen=True, slots=True)
class Tools:
    """What sources are made with: secrets by reference, the time, sleeping (for rate limits), and HTTP."""

    secret: Callable[[str], Secret]
    clock: Clock
    pause: Callable[[float], None]
    client: HttpClient


class IdentitySource(Protocol):
    """A system that is read. Every method raises SourceUnavailable where it cannot be read now, or not whole."""

    def read_all(self) -> Iterator[Page]:
        """Read everything, identities before the groups that name them; what no page names is gone."""
        ...

    def read_changes(self, since: datetime) -> Iterator[Page] | None:
        """Read what changed since then, and perhaps more; None where only the whole can be read."""
        ...

    def read_again(self, hint: Hint) -> Iterator[Page] | None:
        """Read again what a hint is about; None where only the whole can be read."""
        ...


class Documents(Protocol):
    """Reads the documents that a client writes to its source: such a source speaks by itself (SCIM)."""

    def identity(self, user_id: str, document: Mapping[str, Any]) -> Identity:
        """Read a user; raises BadRequest if it names no principal."""
        ...

    def group(self, group_id: str, document: Mapping[str, Any]) -> Group:
        """Read a group; raises BadRequest if its name is none."""
        ...


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token proves. `issuer` is the name of the profile that took it, `sub` the claim as it stands there.

    `is_service`: it speaks for a program; that must never pass as a person. `email` is empty unless the issuer has verified it.
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


class TokenValidator(Protocol):
    """Checks tokens of one issuer, or of all that are configured."""

    def validate(self, token: str) -> VerifiedToken:
        """Return what the token proves; raises BadToken or IssuerUnavailable."""
        ...


class LoginSettings(Protocol):
    """What the gate is configured with as a client of one issuer, with which people sign in."""

    @property
    def issuer(self) -> str:
        """The issuer's URL."""
        ...

    @property
    def client_id(self) -> str | None:
        """The name under which the issuer knows the gate; None: nobody signs in with it."""
        ...

    @property
    def client_secret(self) -> str | None:
        """A reference to the secret that belongs to it; None: the issuer gave none."""
        ...

    @property
    def scopes(self) -> Sequence[str]:
        """What a sign-in asks for."""
        ...


class LoginValidator(Protocol):
    """Checks the ID tokens that a sign-in with one issuer brings."""

    def validate(self, token: str, *, nonce: str | None = None) -> VerifiedToken:
        """Return what the token proves, if it holds this nonce; raises BadToken or IssuerUnavailable."""
        ...

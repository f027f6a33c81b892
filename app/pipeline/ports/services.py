"""Everything that a step may use, handed in. `bootstrap.py` puts it together; tests put fakes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.domain.access import SourceRule
from app.domain.clock import Clock, Ids
from app.domain.deployment import Wake
from app.domain.environment import Environment, Zone
from app.domain.notice import wants
from app.domain.rate import Buckets
from app.integrations.forges.protocol import AccountProof, Forge
from app.integrations.identity.protocol import (
    AccessMap,
    Documents,
    IdentitySource,
    LoginSettings,
    LoginValidator,
    SourceEvent,
    TokenValidator,
)
from app.integrations.inspection.protocol import Inspector
from app.integrations.policy.protocol import Policy
from app.integrations.repositories.protocol import CommitSource
from app.integrations.sinks.protocol import Sink
from app.integrations.targets.protocol import Target
from app.integrations.tokens.protocol import TokenIssuer
from app.pipeline.ports.limit import DeliveryLimits
from app.pipeline.ports.record import Recorder
from app.pipeline.ports.stores.line import Inbox
from app.pipeline.ports.stores.unit import Store
from app.toml_lines import Slip


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds and counts, from the settings. `window`: how many deployments of an environment are under way at once.

    `keep_trying`: how long a passing fault is waited out. `give_up_after`: how long, if all others of the environment wait too,
    or if the fault is one of the gate. `keep_bodies`: for how many days bodies of deliveries are kept (0: for ever).
    """

    sweep_after: float = 10.0
    poll_every: float = 1.0
    lease: float = 15.0
    dispatch_attempts: int = 5
    resolve_attempts: int = 20
    keep_trying: float = 86_400.0
    keep_bodies: float = 0.0
    give_up_after: float = 7200.0  # longer than any command may run
    window: int = 4


@dataclass(frozen=True, slots=True)
class ForgeBinding:
    """A configured forge. `secrets` reads its webhook secrets anew at each delivery.

    `repository_secrets` reads those of each repository that has its own, by `owner/name` in lower case; the forge's are not good
    for such a repository.

    `accounts` tells whose account a forge's token is. `access_issuer` names the issuer whose token each of its deliveries must
    bring. `decide_secrets` reads the secrets by which the forge proves itself when it asks about a push (None: it does not ask).
    `committers` are the e-mails (in lower case) under which the forge itself commits, as for a merge in its pages.
    """

    forge: Forge
    secrets: Callable[[], list[bytes]]
    accounts: AccountProof | None = None
    access_issuer: str | None = None
    decide_secrets: Callable[[], list[bytes]] | None = None
    repository_secrets: Mapping[str, Callable[[], list[bytes]]] = field(default_factory=dict)
    committers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SourceHooks:
    """The reader of a source's hints: the secret that it sends, the meaning of a body, and the answer to a first challenge."""

    secret: Callable[[], bytes]
    parse: Callable[[bytes], list[SourceEvent]]
    answer: Callable[[str | None], dict[str, str]]


@dataclass(frozen=True, slots=True)
class SourceBinding:
    """A configured identity source: its rule, its reader, and `notices`, the reader of its hints.

    `documents` reads what a SCIM client writes to it (None: no client writes to it).
    """

    rule: SourceRule
    reader: Callable[[], IdentitySource]
    notices: SourceHooks | None = None
    documents: Documents | None = None


@dataclass(frozen=True, slots=True)
class IssuerBinding:
    """A configured issuer: its URL, the validator of its tokens, and that of ID tokens at sign-in (None without a client).

    `rule` is set if its sign-ins are a source of people. `client` holds the settings of a sign-in client.
    `required_scopes`: those that each bearer token must carry.
    `is_access_proxy`: the issuer stands in front of the gate and puts its tokens into a header (Cloudflare Access).
    """

    url: str
    is_access_proxy: bool
    client: LoginSettings
    tokens: TokenValidator
    logins: LoginValidator | None
    rule: SourceRule | None
    required_scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SinkBinding:
    """A configured sink: the events that it wants (`subject:verb`, or `subject:*`), and of which environments.

    Without environments it gets the notices of all environments, and those that are about none. `sink` makes the adapter.
    `is_mail`: the sink can also send to a person's own addresses.
    """

    events: tuple[str, ...]
    environments: frozenset[str]
    sink: Callable[[], Sink]
    is_mail: bool = False

    def wants(self, event: str, environment: str | None) -> bool:
        """Tell whether the sink gets notices of this event in this environment."""
        return wants(self.events, event) and (not self.environments or environment in self.environments)


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules in force: one consistent version of configuration, people and policies.

    `tokens` validates tokens of all configured issuers. `access_issuer` names the issuer whose token pages and API demand too.
    `slips` are what its files say in vain: only a gate that starts takes them.
    """

    digest: str
    environments: tuple[Environment, ...]
    forges: Mapping[str, ForgeBinding]
    target_zones: Mapping[str, Zone]
    targets: Mapping[str, Target]
    identity: AccessMap
    policy: Policy
    repositories: CommitSource
    sources: Mapping[str, SourceBinding] = field(default_factory=dict)
    issuers: Mapping[str, IssuerBinding] = field(default_factory=dict)
    tokens: TokenValidator | None = None
    access_issuer: str | None = None
    sinks: Mapping[str, SinkBinding] = field(default_factory=dict)
    slips: tuple[Slip, ...] = ()

    @property
    def issuer_urls(self) -> dict[str, str]:
        """Return the URLs of the configured issuers by name. Sessions of other issuers do not count (`Session.counts`)."""
        return {name: issuer.url for name, issuer in self.issuers.items()}

    def environment(self, name: str) -> Environment | None:
        """Return the environment of this name, or None if the configuration does not have it."""
        return next((e for e in self.environments if e.name == name), None)


class HealthProbe(Protocol):
    """Asks a deployed service whether it is healthy."""

    def check(self, url: str) -> tuple[bool, str]:
        """Tell whether `url` answers 2xx now; also return its answer in one line."""
        ...


class Wakes(Protocol):
    """Messages that only say "look". A lost one costs time, never a deployment."""

    def plan(self, delivery_id: str) -> None:
        """Wake the planner for this delivery; many wakes become one. Never raises."""
        ...

    def resolve(self, delivery_id: str) -> None:
        """Have a tag's commit found at its forge, and its delivery planned. Never raises."""
        ...

    def run(self, wake: Wake) -> None:
        """Send the chain of stages, from the wake's stage on. Never raises."""
        ...

    def sync(self, source: str) -> None:
        """Have an identity source read, as far as that is due. Never raises."""
        ...

    def notify(self) -> None:
        """Say that notices are due; call it after the commit that holds them. Never raises."""
        ...

    def notify_sink(self, sink: str) -> None:
        """Have the due notices of one sink sent. Never raises."""
        ...

    def repeat(self, wakes: Sequence[Wake]) -> None:
        """Send wakes again that may be lost. If the queue is long they are only late, and nothing is sent. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one process. `holder` names this process in leases."""

    clock: Clock
    ids: Ids
    store: Store
    inbox: Inbox
    wakes: Wakes
    guard: Callable[[], Guard]
    tokens: TokenIssuer
    health: HealthProbe
    limits: Limits
    holder: str
    inspector: Inspector
    public_url: str = ""  # the sign-in address, shown to people who have not signed in
    link_limit: Buckets = field(default_factory=lambda: Buckets(rate=0.1, burst=10))  # by subject
    proposal_limit: Buckets = field(default_factory=lambda: Buckets(rate=1 / 60, burst=10))  # by subject
    claim_limit: Buckets = field(default_factory=lambda: Buckets(rate=0.1, burst=10))  # rights that are asked for, by subject
    vote_limit: Buckets = field(default_factory=lambda: Buckets(rate=0.5, burst=30))  # by subject: each asks git
    delivery_limits: DeliveryLimits = field(default_factory=lambda: DeliveryLimits.of(rate=20.0, burst=600))

    @property
    def recorder(self) -> Recorder:
        """Make a recorder of audit entries; their actor is the gate, unless they name another."""
        return Recorder(self.clock, self.ids)

"""Environments, where rules live: the refs that they deploy from, and the targets and zones behind them."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.domain.approval import ONE_OF_ANY, ApprovalSettings
from app.domain.deployment import Stage
from app.domain.event import Event, EventKind, Repository
from app.domain.refs.glob import glob_fits

BRANCHES, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class Zone:
    """An approved place: a kind (compute or storage) in a region."""

    name: str
    kind: str
    region: str


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A URL that must answer 2xx within `within` seconds of the dispatch's end."""

    url: str
    within: float


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """A target as configured: its kind picks the adapter; `options` are the adapter's own, already validated.

    `pool` ("fast" or "slow") overrides its kind's expectation of how long a start may take.
    """

    name: str
    kind: str
    zone: Zone
    options: dict[str, object] = field(hash=False)
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """A place to deploy one repository to, and the refs to deploy from. `is_slow`: a start on its targets may take long.

    `time_zone` is that of the people who look after the environment. Hours and weekdays in policies are in this zone.
    """

    name: str
    repository: str
    repository_id: int | None
    deploys: tuple[str, ...]
    targets: tuple[str, ...]
    audience: str
    health: HealthCheck | None = None
    is_slow: bool = False
    time_zone: str = "UTC"
    approvals: ApprovalSettings = ONE_OF_ANY

    @property
    def resources(self) -> frozenset[tuple[str, str]]:
        """The resources by which policies name it: (type, id) of the environment and of its repository."""
        return frozenset({("Environment", self.name), ("Repository", self.repository)})

    def may_block(self, stage: Stage) -> bool:
        """Tell whether this stage may wait long for an answer from outside. Such a stage runs in a pool of its own."""
        return self.is_slow or (stage is Stage.CONFIRM_DEPLOY and self.health is not None)

    def deploys_event(self, event: Event) -> bool:
        """Tell whether this environment deploys from `event`: repository, kind and ref all fit."""
        if event.repository.key.casefold() != self.repository.casefold():
            return False
        if self.repository_id is not None and event.repository.id != self.repository_id:
            return False
        return any(pattern_fits(pattern, event.kind, event.ref) for pattern in self.deploys)

    def is_of(self, repository: Repository) -> bool:
        """Tell whether `repository` is still this environment's: by its number if that is configured, else by name.

        So releases of a renamed repository can be brought back only if the number proves that it is the same one.
        """
        if self.repository_id is not None:
            return repository.forge == self.repository.partition(":")[0] and repository.id == self.repository_id
        return repository.key.casefold() == self.repository.casefold()

    def deploys_ref(self, ref: str) -> bool:
        """Tell whether any kind of event on `ref` may be deployed here."""
        return any(pattern_fits(pattern, kind, ref) for pattern in self.deploys for kind in EventKind)


def pattern_fits(pattern: str, event: EventKind, ref: str) -> bool:
    """Tell whether a pattern of `deploys` takes this kind of event on this ref."""
    kind, _, glob = pattern.partition(":")
    match kind:
        case "branch":
            return event is EventKind.PUSH and ref.startswith(BRANCHES) and glob_fits(glob, ref.removeprefix(BRANCHES))
        case "tag":
            return event is EventKind.TAG and ref.startswith(TAGS) and glob_fits(glob, ref.removeprefix(TAGS))
        case "release":
            return event is EventKind.RELEASE and ref.startswith(TAGS)
        case _:
            return False  # unknown pattern kinds fail closed; `config check` refuses them

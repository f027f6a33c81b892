"""The adapter of each configured kind, imported on first use (the only dynamic import).

A new kind is one entry of a table; a new sort of adapter is one more table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Generic, Protocol, TypeVar, cast

from pydantic import BaseModel

from app.domain.clock import Clock
from app.domain.errors import BadConfiguration
from app.integrations.forges.protocol import Forge
from app.integrations.identity.protocol import IdentitySource, SourceEvent, Tools
from app.integrations.secrets.protocol import Secret
from app.integrations.sinks.protocol import Sink
from app.integrations.targets.protocol import Target

Adapter = TypeVar("Adapter")


class TargetClass(Protocol):
    """The signature of a target's class. `options` are an instance of its module's `Options`."""

    def __call__(
        self, name: str, options: BaseModel, *, state_dir: Path, clock: Clock, secret: Callable[[str], Secret]
    ) -> Target:
        """Make the target."""
        ...


class SourceClass(Protocol):
    """The signature of an identity source's class. `options` are an instance of its module's `Options`."""

    def __call__(self, options: BaseModel, tools: Tools) -> IdentitySource:
        """Make the source."""
        ...


class SinkClass(Protocol):
    """The signature of a sink's class. `options` are an instance of its module's `Options`."""

    def __call__(self, options: BaseModel, *, clock: Clock, secret: Callable[[str], Secret]) -> Sink:
        """Make the sink."""
        ...


class HintReader(Protocol):
    """A module that reads the notices of an identity source."""

    def parse(self, body: bytes) -> list[SourceEvent]:
        """Read a notice; raises BadRequest."""
        ...

    def challenge_answer(self, value: str | None) -> dict[str, str]:
        """Answer a first challenge; raises BadRequest."""
        ...


@dataclass(frozen=True, slots=True)
class Adapters(Generic[Adapter]):
    """The adapters of one sort, each by its kind as `module:Class`, or as `module` if the module itself is the adapter."""

    sort: str
    places: Mapping[str, str]

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that may be configured."""
        return frozenset(self.places)

    def load(self, kind: str) -> Adapter:
        """Return the adapter of a kind; raises BadConfiguration."""
        return cast(Adapter, _load(self._place(kind)))

    def options(self, kind: str) -> type[BaseModel]:
        """Return the pydantic model of a kind's own keys; raises BadConfiguration."""
        return cast(type[BaseModel], _load(f"{self._place(kind).partition(':')[0]}:Options"))

    def _place(self, kind: str) -> str:
        if kind not in self.places:
            raise BadConfiguration([f"unknown {self.sort} kind {kind!r}; known: {', '.join(sorted(self.places))}"])
        return self.places[kind]


@cache
def _load(place: str) -> object:
    path, _, name = place.partition(":")
    module: object = import_module(path)
    return getattr(module, name) if name else module


FORGES: Adapters[Callable[[], Forge]] = Adapters(
    "forge",
    {
        "gogs": "app.integrations.forges.gogs:Gogs",
        "gitea": "app.integrations.forges.gitea:Gitea",
        "forgejo": "app.integrations.forges.forgejo:Forgejo",
    },
)
TARGETS: Adapters[TargetClass] = Adapters(
    "target",
    {
        "directory": "app.integrations.targets.directory:Directory",
        "webhook": "app.integrations.targets.webhook:Webhook",
        "command": "app.integrations.targets.command:Command",
    },
)
SOURCES: Adapters[SourceClass] = Adapters(
    "identity source",
    {
        "scim": "app.integrations.identity.scim:Scim",
        "okta": "app.integrations.identity.okta.source:Okta",
        "aws_iam": "app.integrations.identity.aws.source:AwsIam",
    },
)
SINKS: Adapters[SinkClass] = Adapters(
    "sink",
    {
        "webhook": "app.integrations.sinks.webhook:Webhook",
        "smtp": "app.integrations.sinks.smtp:Smtp",
    },
)
HINT_READERS: Adapters[HintReader] = Adapters(
    "notice",
    {
        "okta": "app.integrations.identity.okta.events",
        "aws_iam": "app.integrations.identity.aws.events",
    },
)
# A start of these kinds waits for an answer, up to their `timeout`; the others return as soon as the work has begun.
SLOW_TARGETS = frozenset({"webhook"})


def is_slow(kind: str, pool: str | None) -> bool:
    """Tell whether a start on such a target may take long: by its configured pool, else by its kind."""
    return pool == "slow" if pool else kind in SLOW_TARGETS

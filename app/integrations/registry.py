"""Which class stands behind a configured kind; imported on first use (the only dynamic import)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from pydantic import BaseModel

from app.domain.clock import Clock
from app.domain.errors import BadConfiguration
from app.integrations.forges.protocol import Forge
from app.integrations.identity.protocol import IdentitySource, SourceEvent, Tools
from app.integrations.secrets.protocol import Secret
from app.integrations.sinks.protocol import Sink
from app.integrations.targets.protocol import Target

FORGES = {
    "gogs": "app.integrations.forges.gogs:Gogs",
    "gitea": "app.integrations.forges.gitea:Gitea",
    "forgejo": "app.integrations.forges.forgejo:Forgejo",
}
TARGETS = {
    "directory": "app.integrations.targets.directory:Directory",
    "webhook": "app.integrations.targets.webhook:Webhook",
    "command": "app.integrations.targets.command:Command",
}
SOURCES = {
    "scim": "app.integrations.identity.scim:Scim",
    "okta": "app.integrations.identity.okta.source:Okta",
    "aws_iam": "app.integrations.identity.aws.source:AwsIam",
}
SINKS = {
    "webhook": "app.integrations.sinks.webhook:Webhook",
    "smtp": "app.integrations.sinks.smtp:Smtp",
}
HINT_READERS = {
    "okta": "app.integrations.identity.okta.events",
    "aws_iam": "app.integrations.identity.aws.events",
}
# Kinds whose start waits for an answer, as long as their `timeout` says; the others return as soon as they have begun.
SLOW_TARGETS = frozenset({"webhook"})


class TargetClass(Protocol):
    """How a target's class is called. `options` are an instance of its module's `Options`."""

    def __call__(
        self, name: str, options: BaseModel, *, state_dir: Path, clock: Clock, secret: Callable[[str], Secret]
    ) -> Target:
        """Make the target."""
        ...


def forge_class(kind: str) -> Callable[[], Forge]:
    """Return the adapter class of a forge kind; raises BadConfiguration."""
    return cast(Callable[[], Forge], _load(_spec(FORGES, "forge", kind)))


def target_class(kind: str) -> TargetClass:
    """Return the adapter class of a target kind; raises BadConfiguration."""
    return cast(TargetClass, _load(_spec(TARGETS, "target", kind)))


def is_slow(kind: str, pool: str | None) -> bool:
    """Tell whether a start on such a target may take long: by what is configured, else by its kind."""
    return pool == "slow" if pool else kind in SLOW_TARGETS


def target_options(kind: str) -> type[BaseModel]:
    """Return the pydantic model of a target kind's own keys; raises BadConfiguration."""
    return _options(_spec(TARGETS, "target", kind))


class SourceClass(Protocol):
    """How an identity source's class is called. `options` are an instance of its module's `Options`."""

    def __call__(self, options: BaseModel, tools: Tools) -> IdentitySource:
        """Make the source."""
        ...


class HintReader(Protocol):
    """What the module of a kind's notices holds."""

    def parse(self, body: bytes) -> list[SourceEvent]:
        """Read a notice; raises BadRequest."""
        ...

    def challenge_answer(self, value: str | None) -> dict[str, str]:
        """Answer a first challenge; raises BadRequest."""
        ...


def hint_reader(kind: str) -> HintReader:
    """Return the module that reads the notices of an identity source's kind; raises BadConfiguration."""
    return cast(HintReader, import_module(_spec(HINT_READERS, "notice", kind)))


def source_class(kind: str) -> SourceClass:
    """Return the adapter class of an identity source's kind; raises BadConfiguration."""
    return cast(SourceClass, _load(_spec(SOURCES, "identity source", kind)))


def source_options(kind: str) -> type[BaseModel]:
    """Return the pydantic model of an identity source's own keys; raises BadConfiguration."""
    return _options(_spec(SOURCES, "identity source", kind))


class SinkClass(Protocol):
    """How a sink's class is called. `options` are an instance of its module's `Options`."""

    def __call__(self, options: BaseModel, *, clock: Clock, secret: Callable[[str], Secret]) -> Sink:
        """Make the sink."""
        ...


def sink_class(kind: str) -> SinkClass:
    """Return the adapter class of a sink's kind; raises BadConfiguration."""
    return cast(SinkClass, _load(_spec(SINKS, "sink", kind)))


def sink_options(kind: str) -> type[BaseModel]:
    """Return the pydantic model of a sink's own keys; raises BadConfiguration."""
    return _options(_spec(SINKS, "sink", kind))


def _options(spec: str) -> type[BaseModel]:
    return cast(type[BaseModel], _load(f"{spec.partition(':')[0]}:Options"))


def _spec(table: dict[str, str], what: str, kind: str) -> str:
    if kind not in table:
        raise BadConfiguration([f"unknown {what} kind {kind!r}; known: {', '.join(sorted(table))}"])
    return table[kind]


@cache
def _load(spec: str) -> object:
    module, _, name = spec.partition(":")
    found: object = getattr(import_module(module), name)
    return found

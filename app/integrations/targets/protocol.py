"""The protocol of targets: start a dispatch once per key, and report its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.domain.deployment import Dispatch, Progress
from app.domain.errors import GateError, TargetFailed, TargetUnavailable
from app.domain.text import plain_line
from app.integrations.tokens.protocol import Token


@dataclass(frozen=True, slots=True)
class Order:
    """The release to put on a target. `export(folder)` writes the commit's files into a new folder (may be slow)."""

    dispatch: Dispatch
    repository: str
    ref: str
    sha: str
    is_rollback: bool
    export: Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Report:
    """A target's answer: its progress, and one line for people (bounded, secrets masked, made printable here)."""

    progress: Progress
    detail: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", plain_line(self.detail))


class Target(Protocol):
    """A machine or service that a release is put on."""

    def start(self, order: Order, token: Token) -> Report:
        """Start `order` under its dispatch id as idempotency key.

        A second call with the same id never does the work twice, and never concurrently. Raises TargetUnavailable
        (surely not started: try again), TargetFailed (do not try again), StaleDispatch (a newer position was already taken).
        """
        ...

    def poll(self, dispatch: Dispatch) -> Report:
        """Report the dispatch's progress; UNKNOWN if the target cannot tell, or never heard of it."""
        ...


def export_fault(fault: GateError) -> GateError:
    """Turn a fault of the export into the target's error. Nothing was started, so a temporary fault may be tried again."""
    kind = TargetFailed if fault.permanent else TargetUnavailable
    return kind(f"the commit could not be exported: {fault}")

"""Principals, the proven actors: entries of the access map, never a name or an e-mail from a payload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PrincipalKind(StrEnum):
    """The kinds of principals."""

    HUMAN = "human"
    MACHINE = "machine"
    AGENT = "agent"


class How(StrEnum):
    """The kinds of proof that a caller can bring."""

    BEARER = "bearer"
    SESSION = "session"
    ACCESS = "access"


@dataclass(frozen=True, slots=True)
class Principal:
    """A person, machine or agent that identity sources vouch for.

    `owner` is the subject of the person who answers for an agent; `why_inactive` names each source's objection.
    """

    subject: str
    kind: PrincipalKind
    active: bool
    groups: frozenset[str]
    emails: frozenset[str]
    accounts: frozenset[str]
    owner: str | None = None
    why_inactive: str = ""

    @property
    def why_barred(self) -> str | None:
        """The reason why the principal may not do anything; None if it is active."""
        return None if self.active else f"{self.subject} is not active: {self.why_inactive}"


GATE_PRINCIPAL = Principal(
    subject="tidegate",
    kind=PrincipalKind.MACHINE,
    active=True,
    groups=frozenset(),
    emails=frozenset(),
    accounts=frozenset({"tidegate:gate"}),
)

"""Who acts, proven: an entry of the access map, never a name or an e-mail from a payload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PrincipalKind(StrEnum):
    """What kind of actor a principal is."""

    HUMAN = "human"
    MACHINE = "machine"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Principal:
    """A person, machine or agent that an identity source vouches for."""

    subject: str
    kind: PrincipalKind
    active: bool
    groups: frozenset[str]
    emails: frozenset[str]
    accounts: frozenset[str]


GATE_PRINCIPAL = Principal(
    subject="tidegate",
    kind=PrincipalKind.MACHINE,
    active=True,
    groups=frozenset(),
    emails=frozenset(),
    accounts=frozenset({"tidegate:gate"}),
)

"""Proposals that a person decides: to go back to a release, or to change a file of policies. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.text import visible

HOLDS = timedelta(days=7)  # a proposal that is not decided and done by then has expired
LONGEST_TEXT = 64 * 1024
_FILE = re.compile(r"\A[a-z0-9-]{1,100}\.cedar\Z")


class ProposalKind(StrEnum):
    """The kinds of proposals."""

    ROLLBACK = "rollback"
    POLICY = "policy"


class ProposalState(StrEnum):
    """The state of a proposal. A rollback is planned together with its acceptance; a policy is applied after it."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    APPLIED = "applied"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal. Of a rollback: `environment` and `release_id`; of a policy: `file`, its whole new `text`, `policy_digest`.

    `policy_digest` names the policies that the text was last checked with. `deployment_id` is that of an accepted rollback.
    """

    id: str
    kind: ProposalKind
    proposer: str
    reason: str
    made_at: datetime
    expires_at: datetime
    environment: str | None = None
    release_id: str | None = None
    file: str | None = None
    text: str | None = None
    policy_digest: str | None = None
    state: ProposalState = ProposalState.OPEN
    decided_by: str | None = None
    decided_at: datetime | None = None
    comment: str = ""
    deployment_id: str | None = None

    @property
    def is_policy(self) -> bool:
        """Tell whether the proposal changes policies."""
        return self.kind is ProposalKind.POLICY

    @property
    def has_ended(self) -> bool:
        """Tell whether the proposal is in a final state. Expiry is not counted (`has_expired`)."""
        if self.is_policy:
            return self.state in (ProposalState.REJECTED, ProposalState.APPLIED)
        return self.state is not ProposalState.OPEN

    @property
    def text_digest(self) -> str | None:
        """SHA-256 (hex) of a proposed text, by which the audit log names it."""
        return hashlib.sha256(self.text.encode()).hexdigest() if self.text is not None else None

    def has_expired(self, now: datetime) -> bool:
        """Tell whether the proposal's time ran out before it ended."""
        return not self.has_ended and now >= self.expires_at


def faults_of_file(name: str, text: str) -> list[str]:
    """List the faults of a proposed file, before it is parsed. Characters that a reader could not see are refused, by line."""
    if not _FILE.match(name):
        return ["a policy file is named NAME.cedar, of a-z, 0-9 and -"]
    if len(text) > LONGEST_TEXT:
        return [f"{name}: is longer than {LONGEST_TEXT} characters"]
    lines = (line.removesuffix("\r").replace("\t", " ") for line in text.split("\n"))
    faults = (f"{name}:{n}: contains an invisible character" for n, line in enumerate(lines, 1) if _hides_text(line))
    return list(faults)[:10]


def _hides_text(line: str) -> bool:
    return visible(line, len(line) * 10) != line

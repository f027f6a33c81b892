"""What content inspection finds in a push: facts for policies, with file and line. What they mean is for policies to say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """What was found; docs/inspection.md says it at length."""

    BIDI = "bidi"
    INVISIBLE = "invisible"
    TAG_CHARACTERS = "tag-characters"
    CONFUSABLE_NAME = "confusable-name"
    SECRET = "secret"  # noqa: S105 - a kind
    AGENT_INSTRUCTIONS = "agent-instructions"
    AGENT_RULES = "agent-rules"
    GATE_FILES = "gate-files"
    CI_FILES = "ci-files"
    AGENT_COMMIT = "agent-commit"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. `where` is a path or `commit <sha12>`; `what` is a short sentence that repeats nothing secret or hostile."""

    kind: FindingKind
    where: str
    line: int | None
    what: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found, and whether everything was looked at.

    `inspected` is false where a bound was met or something could not be looked at, and `why_not` says so. `paths` are the changed
    ones as git has them, not made fit to be shown (`plain.spelled`); they are all where `paths_known`.
    """

    findings: tuple[Finding, ...] = ()
    paths: tuple[str, ...] = ()
    inspected: bool = True
    paths_known: bool = True
    why_not: str = ""

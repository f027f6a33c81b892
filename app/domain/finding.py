"""Findings of content inspection in a push: facts with file and line. Policies say what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """The kinds of findings, described in docs/inspection.md."""

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
    OUTSIDE_LINK = "outside-link"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. `where` is a path or `commit <sha12>`; `what` is a short sentence that repeats nothing secret or hostile."""

    kind: FindingKind
    where: str
    line: int | None
    what: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """The findings in a push, and whether everything was inspected.

    `inspected` is false if a limit was reached or something could not be inspected; `why_not` says which. `paths` are the
    changed paths as git has them, not yet made fit to show (`text.visible`). They are complete if `paths_known`.
    """

    findings: tuple[Finding, ...] = ()
    paths: tuple[str, ...] = ()
    inspected: bool = True
    paths_known: bool = True
    why_not: str = ""

"""Runs every detector over the changes of a push, within bounds of time and of findings, and says what was not inspected."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from app.domain.change import NOT_LOOKED_AT, Changes, CommitMessage, FileKind
from app.domain.finding import Finding, FindingKind, Inspection
from app.domain.text import visible
from app.integrations.inspection import agents as instructions
from app.integrations.inspection import authorship, credentials, files, links, names, unicode
from app.integrations.inspection.protocol import passages

MOST_SECONDS = 10.0
MOST_OF_A_KIND = 50  # each kind counts by itself, so that one does not crowd out another
MOST_REASONS = 5
LONGEST_WHERE = 300  # characters


@dataclass
class _Findings:
    """The findings so far, each once, and the reasons why they are not all."""

    ends: float
    clock: Callable[[], float]
    findings: dict[tuple[FindingKind, str, int | None, str], Finding] = field(default_factory=dict)
    counts: Counter[FindingKind] = field(default_factory=Counter)
    reasons: dict[str, None] = field(default_factory=dict)

    def add(self, findings: Iterator[Finding]) -> None:
        for finding in findings:
            key = (finding.kind, finding.where, finding.line, finding.what)
            if key in self.findings:
                continue
            if self.counts[finding.kind] >= MOST_OF_A_KIND:
                self.reasons[f"more than {MOST_OF_A_KIND} findings of the kind {finding.kind} are not listed"] = None
                return
            self.counts[finding.kind] += 1
            self.findings[key] = finding

    def may_go_on(self) -> bool:
        return self.clock() < self.ends


class ContentInspector:
    """Inspects changes in the caller's thread (protocol: Inspector). It holds no state, so threads may share it."""

    def __init__(self, most_seconds: float = MOST_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_seconds = most_seconds
        self._clock = clock

    def inspect(self, changes: Changes, *, agents: frozenset[str]) -> Inspection:
        """List the findings in `changes`. Never raises."""
        results = _Findings(self._clock() + self._most_seconds, self._clock)
        if not changes.is_whole:
            results.reasons[changes.why_not or "not everything that changed could be read"] = None
        for look in _steps(changes, agents, results):
            if not results.may_go_on():
                results.reasons[f"it took longer than {self._most_seconds:g} s"] = None
                break
            results.add(look)
        return _inspection(changes, results)


def _steps(changes: Changes, agents: frozenset[str], results: _Findings) -> Iterator[Iterator[Finding]]:
    """Yield one piece of the work after the other; the cheap and the informative ones come first."""
    for file in changes.files:
        yield files.look(file.path)
        yield unicode.name(file.path)
        yield links.look(file)
        if file.kind in NOT_LOOKED_AT:
            results.reasons[f"{visible(file.path, LONGEST_WHERE)} is {_DESCRIPTIONS[file.kind]}"] = None
        elif any("\0" in line for _, line in file.added):  # the words between them are not read
            results.reasons[f"{visible(file.path, LONGEST_WHERE)} has NULs in it, as UTF-16 without a mark has"] = None
    yield names.look(file.path for file in changes.files if file.kind is not FileKind.GONE)
    for message in changes.messages:
        yield from _message(message, agents)
    for note in changes.notes:
        yield from _words(visible(note.where, LONGEST_WHERE), note.text)
    for file in changes.files:
        where, is_rules = visible(file.path), files.is_agent_rules(file.path)
        yield unicode.look(where, file.added)
        for passage in passages(where, file.added):
            yield credentials.look(passage)
            if is_rules:
                yield instructions.look(passage, is_message=False)


_DESCRIPTIONS = {
    FileKind.BINARY: "binary",
    FileKind.LARGE: "too large to be inspected",
    FileKind.UNREAD: "beyond the limit of reading",
}


def _message(message: CommitMessage, agents: frozenset[str]) -> Iterator[Iterator[Finding]]:
    where = f"commit {message.sha[:12]}"
    yield authorship.look(message, where, agents)
    for name in dict.fromkeys((message.author_name, message.committer_name)):
        yield unicode.look(where, ((1, name),))
    yield from _words(where, message.text)


def _words(where: str, text: str) -> Iterator[Iterator[Finding]]:
    lines = tuple(enumerate(text.split("\n"), 1))
    yield unicode.look(where, lines)
    for passage in passages(where, lines):
        yield credentials.look(passage)
        yield instructions.look(passage, is_message=True)


def _inspection(changes: Changes, results: _Findings) -> Inspection:
    reasons = list(results.reasons)
    more = f"; and {len(reasons) - MOST_REASONS} more reasons" if len(reasons) > MOST_REASONS else ""
    return Inspection(
        findings=tuple(results.findings.values()),
        paths=tuple(sorted({file.path for file in changes.files})),
        inspected=not reasons,
        paths_known=changes.paths_known,
        why_not="; ".join(reasons[:MOST_REASONS]) + more,
    )

"""Read what the check (version 2 on) lists of one ref: commits with their e-mails, and paths. Each list proves that it is whole.

The last line of a whole list is `=end`. The check has it printed after everything else has succeeded, so a list that was cut
off, by a limit or a fault, lacks it. No e-mail, path or commit can pass for it: each stands on a line that begins otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

END = b"=end"
MOST_BASES = 1_000
_COMMIT = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64})")
_EMAIL = re.compile(rb"(?:<(?P<author>.*)>|\((?P<committer>.*)\))", re.DOTALL)
_PATH = re.compile(rb"[A-Z]\d*\t(.+)", re.DOTALL)

Graph = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CommitList:
    """New commits with their parents, parents first, and each e-mail with the first commit that has it.

    `committers` are the e-mails that stand only as a committer's.
    """

    graph: Graph = field(default_factory=dict)
    emails: Mapping[bytes, str] = field(default_factory=dict)
    committers: frozenset[bytes] = frozenset()
    is_whole: bool = False

    def forced(self, old: str, new: str) -> bool | None:
        """Tell whether no way leads from `old` to `new`; None if that is not known."""
        if not self.is_whole:
            return None
        reached = {old}
        for commit, parents in self.graph.items():
            if not reached.isdisjoint(parents):
                reached.add(commit)
        return new not in reached

    def bases(self, sha: str) -> tuple[str, ...]:
        """List the commits that were compared with: only listed commits are in `sha` and in none of them."""
        if not self.is_whole or sha not in self.graph:
            return (sha,)
        bases = {parent for parents in self.graph.values() for parent in parents} - self.graph.keys()
        return tuple(sorted(bases)) if len(bases) <= MOST_BASES else (sha,)


def read_commits(value: bytes | None) -> CommitList:
    """Read a list of commits and e-mails: `<AUTHOR>` and `(COMMITTER)`, each e-mail once in each role."""
    lines, is_whole = _lines(value)
    graph: Graph = {}
    emails: dict[bytes, str] = {}
    authors = set[bytes]()
    for line in lines:
        if (email := _EMAIL.fullmatch(line)) and graph:
            emails.setdefault(email[email.lastindex or 0], next(reversed(graph)))
            authors |= {email["author"]} - {None}
        elif (commit := _commit(line)) is not None:
            graph[commit[0]] = commit[1:]
        else:
            is_whole = False
    return CommitList(graph, emails, frozenset(emails) - authors, is_whole)


def read_graph(value: bytes) -> Graph:
    """Read a list of commits and parents only. A line that is something else, or after a child of its commit, is left out."""
    graph: Graph = {}
    named: set[str] = set()
    for line in value.split(b"\n"):
        commit = _commit(line)
        if commit is not None and commit[0] not in named:
            graph[commit[0]] = commit[1:]
            named.update(commit[1:])
    return graph


def read_paths(value: bytes | None) -> tuple[list[bytes], bool]:
    """Return the paths, each once and as git quotes it, and whether they are all."""
    lines, is_whole = _lines(value)
    matches = [_PATH.fullmatch(line) for line in lines]
    paths = dict.fromkeys(match[1] for match in matches if match is not None)
    return list(paths), is_whole and all(matches)


def _commit(line: bytes) -> tuple[str, ...] | None:
    words = line.split()
    return tuple(word.decode() for word in words) if words and all(map(_COMMIT.fullmatch, words)) else None


def _lines(value: bytes | None) -> tuple[list[bytes], bool]:
    """Split into lines without the last one, and tell whether that is the end mark."""
    *lines, last = (value or b"").removesuffix(b"\n").split(b"\n")
    is_whole = last == END and (value or b"").endswith(b"\n")
    return [line for line in lines if line], is_whole

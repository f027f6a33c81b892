"""Name what policies object to in a push: e-mails, commits, paths, and what was not looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.domain.push import RefUpdate
from app.domain.text import visible
from app.integrations.policy.protocol import Asks

MOST_NAMED = 5
LONGEST = 300
_AUTHORS = frozenset({"authors_known", "unknown_authors"})
_CONTENT = frozenset({"inspected", "findings"})
_PATHS = frozenset({"paths", "paths_known"})


def culprits(asks: Asks, update: RefUpdate, evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """List the facts about a ref that its policies ask for, and that may have denied it, each as one line."""
    lines: list[str] = []
    if asks.facts & _AUTHORS:
        lines += _authors(update, evidence)
    if asks.facts & _PATHS:
        lines += _paths(asks, update, evidence)
    if asks.facts & _CONTENT and not evidence["inspected"]:
        lines.append(f"not looked at: {evidence['not_inspected'] or 'its content'}")
    if "signatures" in asks.facts:
        lines.append("signatures are not verified at the push")
    return tuple(visible(line, LONGEST) for line in lines)


def _authors(update: RefUpdate, evidence: Mapping[str, Any]) -> Iterator[str]:
    unknown = evidence["unknown_authors"]
    for email in unknown[:MOST_NAMED]:
        commit = update.commit_of.get(email)
        yield f"e-mail {email or '(empty)'} belongs to nobody" + (f" (commit {commit[:12]})" if commit else "")
    if len(unknown) > MOST_NAMED:
        yield f"and {len(unknown) - MOST_NAMED} more e-mails that belong to nobody"
    if update.event != "delete" and not update.emails_known:
        yield "not looked at: not all commits could be listed, so not all authors are known"


def _paths(asks: Asks, update: RefUpdate, evidence: Mapping[str, Any]) -> Iterator[str]:
    """Name changed files that policies name, by themselves, by a folder (`db/`) or by a suffix (`*.sql`)."""
    named = asks.compared_with("paths")
    changed = [path for path in update.paths if any(_fits(path, name) for name in named)]
    for path in changed[:MOST_NAMED]:
        yield f"changes {path}"
    if len(changed) > MOST_NAMED:
        yield f"and changes {len(changed) - MOST_NAMED} more such files"
    if not evidence["paths_known"]:
        yield "not looked at: not all changed paths could be listed"


def _fits(path: str, name: str) -> bool:
    if name.endswith("/"):
        return path.startswith(name)
    return path.endswith(name[1:]) if name.startswith("*.") else path == name

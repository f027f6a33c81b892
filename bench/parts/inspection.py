"""What it costs to look at a push of many files: read from a mirror, or from git log's text, and inspected."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from app.domain.change import Changes
from app.integrations.inspection.inspector import ContentInspector
from app.integrations.inspection.patch import GIT_ARGUMENTS, parse
from app.integrations.repositories.mirror import Mirror
from bench.effort import Effort
from bench.figures import summary

FILES, OLD_LINES, NEW_LINES, FOLDERS = 1_000, 200, 50, 20
EVERY = 50  # each so many files have one thing to be found
KEY, REF = "gogs:acme/shop", "refs/heads/main"
_SPARSE = (
    "t = 'ghp_" + "aB3" * 12 + "'",
    "if access_level != 'user\u202e \u2066# admin\u2069 \u2066':",
    "pass\u200bword = None",
)  # fmt: skip


def measure(effort: Effort) -> dict[str, Any]:
    """Measure each step by itself, on one thread, round after round; milliseconds."""
    files, rounds = effort.of(FILES, 200), effort.of(20, 5)
    with tempfile.TemporaryDirectory() as folder:
        origin = Path(folder) / "origin"
        before, sha = _commits(origin, files)
        mirror = Mirror(Path(folder) / "mirrors", lambda _: f"file://{origin}", lambda _: None, environ=os.environ)
        mirror.fetch(KEY, REF, sha)
        changes = mirror.changes(KEY, [before], sha)
        text = _git(origin, *GIT_ARGUMENTS, f"{before}..{sha}")
        steps = {
            "mirror": lambda: mirror.changes(KEY, [before], sha),
            "patch": lambda: parse(text),
            "inspect": lambda: _inspect(changes),
            "whole": lambda: _inspect(mirror.changes(KEY, [before], sha)),
        }
        found: dict[str, Any] = {"files": files, "lines": files * NEW_LINES, "findings": _inspect(changes)}
        for name, step in steps.items():
            effort.noise.sample()
            found[name] = summary([_milliseconds(step) for _ in range(rounds)])
    return found


def _milliseconds(step: Any) -> float:
    began = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - began)


def _inspect(changes: Changes) -> int:
    inspection = ContentInspector().inspect(changes, agents=frozenset())
    if not inspection.inspected:
        raise RuntimeError(inspection.why_not)
    return len(inspection.findings)


def _commits(origin: Path, files: int) -> tuple[str, str]:
    """Make a repository of Python-like files, and a commit that adds lines in the midst of each."""
    origin.mkdir()
    _git(origin, "init", "-q", "-b", "main")
    made = []
    for new_lines in (0, NEW_LINES):
        for number in range(files):
            path = origin / f"pkg{number % FOLDERS}" / f"module_{number}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join([*_old(number, OLD_LINES // 2), *_new(number, new_lines), *_old(-number, OLD_LINES // 2)]))
        _git(origin, "add", "-A")
        _git(origin, "commit", "-q", "-m", f"Add {new_lines} lines to each file")
        made.append(_git(origin, "rev-parse", "HEAD").decode().strip())
    return made[0], made[1]


def _old(number: int, lines: int) -> list[str]:
    return [f"def old_{number}_{line}(x): return x + {line}" for line in range(lines)]


def _new(number: int, lines: int) -> list[str]:
    new = [
        f"    value_{line} = compute(self.name, key='abc', token=None, url='https://example.com')  # {number}"
        for line in range(lines)
    ]
    if new and number % EVERY == 0:
        new[0] = _SPARSE[number // EVERY % len(_SPARSE)]
    return new


def _git(folder: Path, *arguments: str) -> bytes:
    names = ("-c", "user.email=bench@example.com", "-c", "user.name=Bench")
    return subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True).stdout

"""The upkeep of a mirror that lives for years: drop refs that the forge no longer has, hold what is still needed, repack, prune.

The caller has the mirror alone (`Places.own`). Commits of releases and of what waits hold refs of our own, so a release can be
exported after its branch is gone. A crash at any line leaves a mirror that works; the next upkeep does the rest.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence, Set
from pathlib import Path

from app.domain.errors import RepositoryUnavailable
from app.domain.event import is_object_id
from app.integrations.repositories.commits import BRANCHES, TAGS, object_format
from app.integrations.repositories.git import Git

KEEP = "refs/tidegate/keep/"
_GRACE = "2.days.ago"  # what nothing names is deleted only when it is older, since a fetch may be about to name it
_PACKS = ("pack.packSizeLimit=1g", "gc.writeCommitGraph=false", "gc.reflogExpire=now")
_LEFT = ("keys-*", "index-*")  # folders of calls that a crash has ended
_DIGITS = {"sha1": 40, "sha256": 64}


def refs(git: Git, mirror: Path) -> dict[str, str]:
    """List the mirror's refs and the objects on which they stand; raises RepositoryUnavailable."""
    rows = git.read(mirror, "for-each-ref", "--format=%(refname) %(objectname)").decode().splitlines()
    return {name: oid for name, _, oid in (row.rpartition(" ") for row in rows)}


def maintain(git: Git, mirror: Path, *, gone: Set[str], keep: Sequence[str], lock: int) -> None:
    """Drop the refs `gone`, hold the commits `keep` that the mirror has, repack, and delete what nothing names any longer.

    `lock` is the file that locks the mirror: git inherits it, so that nobody else begins while it outlives this process.
    Raises RepositoryUnavailable or ContentTooLarge; then nothing needed is lost.
    """
    _change(git, mirror, [f"delete {name}" for name in sorted(gone)])
    held = {name for name in refs(git, mirror) if name.startswith(KEEP)}
    wanted = {f"{KEEP}{sha}": sha for sha in _unnamed(git, mirror, keep)}
    adds = [f"create {name} {sha}" for name, sha in wanted.items() if name not in held]
    _change(git, mirror, [*adds, *(f"delete {name}" for name in sorted(held - wanted.keys()))])
    gc = ("gc", "--quiet", "--force", f"--prune={_GRACE}")
    git.read(mirror, *gc, settings=_PACKS, seconds=git.limits.fetch_seconds, inherited=(lock,))
    for counted in mirror.glob("slow-*"):
        counted.unlink(missing_ok=True)
    for left in (each for pattern in _LEFT for each in mirror.glob(pattern)):
        shutil.rmtree(left, ignore_errors=True)  # nobody else is at work here


def _unnamed(git: Git, mirror: Path, keep: Sequence[str]) -> list[str]:
    """List the commits of `keep` that the mirror has whole, and that no branch or tag of the forge contains."""
    digits = _DIGITS[object_format(mirror)]
    ids = list(dict.fromkeys(sha for sha in keep if is_object_id(sha) and len(sha) == digits))
    answer = git.read(
        mirror, "cat-file", "--batch-check=%(objectname) %(objecttype)", given=_lines([f"{i}^{{commit}}" for i in ids])
    ).decode()
    present = [row.split(" ")[0] for row in answer.splitlines() if row.endswith(" commit")]
    named = (f"--glob={BRANCHES}*", f"--glob={TAGS}*")
    try:
        new = set(git.read(mirror, "rev-list", "--stdin", "--not", *named, given=_lines(present)).decode().split())
    except RepositoryUnavailable:
        new = set(present)  # a fetch that was killed has left a commit without its parents
    wanted = [sha for sha in present if sha in new]
    return wanted if _are_whole(git, mirror, wanted) else [sha for sha in wanted if _are_whole(git, mirror, [sha])]


def _are_whole(git: Git, mirror: Path, commits: list[str]) -> bool:
    if not commits:
        return True
    return git.run(mirror, "rev-list", "--quiet", "--objects", "--stdin", given=_lines(commits)).code == 0


def _change(git: Git, mirror: Path, lines: Sequence[str]) -> None:
    if lines:
        git.read(mirror, "update-ref", "--stdin", given=_lines(lines))


def _lines(words: Sequence[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()

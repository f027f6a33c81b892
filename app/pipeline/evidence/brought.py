"""Find what a deployment brings: all that the environment has not accepted before. Every fact is about all of it.

Accepted is the history of the environment's last release, and that of its baselines. The ref's former commit is not: an earlier
push that was never released comes along with the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from app.domain.deployment import Deployment
from app.domain.errors import UnknownCommit
from app.domain.push import Ground
from app.integrations.repositories.protocol import COMMITS_LISTED, CommitAuthor
from app.pipeline.evidence.coverage import NewCommits
from app.pipeline.ports.services import Guard


@dataclass(frozen=True, slots=True)
class Brought:
    """What a deployment brings. `accepted` are the accepted commits that the mirror has; without any, all history is new.

    `bases` are the commits whose trees are compared with its own (None: with nothing). `commits` are the new ones, or the
    deployment's own if none is new, so that there is always one to judge.
    """

    ground: Ground
    commits: tuple[CommitAuthor, ...]
    accepted: tuple[str, ...]
    bases: tuple[str | None, ...]
    new: NewCommits

    @property
    def is_first(self) -> bool:
        """Tell whether the environment has accepted nothing yet, so that the whole history counts."""
        return not self.accepted


def brought_by(guard: Guard, deployment: Deployment, ground: Ground) -> Brought:
    """Find what a deployment brings; raises RepositoryUnavailable and UnknownCommit."""
    key, sha, repositories = deployment.repository.key, deployment.sha, guard.repositories
    repositories.fetch(key, deployment.ref, sha)
    accepted = _accepted(guard, deployment, ground)
    listed = repositories.authors(key, accepted, sha)
    new = NewCommits([commit for commit in listed if commit.is_new], len(listed) <= COMMITS_LISTED)
    return Brought(ground, tuple(listed), accepted, _bases(guard, deployment, ground, accepted), new)


def _accepted(guard: Guard, deployment: Deployment, ground: Ground) -> tuple[str, ...]:
    """List the accepted commits that the mirror has. It may have been made anew, and the release's ref may be gone."""
    key, repositories = deployment.repository.key, guard.repositories
    release: tuple[str, ...] = ()
    if ground.release is not None:
        with suppress(UnknownCommit):
            release = (repositories.fetch(key, *ground.release),)
    baselines = (b for b in ground.baselines if b not in release and repositories.is_ancestor(key, b, b))
    return (*release, *baselines)


def _bases(guard: Guard, deployment: Deployment, ground: Ground, accepted: Sequence[str]) -> tuple[str | None, ...]:
    """List the commits to compare with: the ref's former one, the release, and the newest baselines.

    What stands in the environment is always compared with, unless an accepted part of this commit's history contains it.
    """
    key, sha, contains = deployment.repository.key, deployment.sha, guard.repositories.is_ancestor
    before = () if deployment.before is None or deployment.is_rollback else (deployment.before,)
    if len(accepted) < 2:
        return tuple(dict.fromkeys((*before, *(accepted or (None,)))))
    held = [commit for commit in accepted if contains(key, commit, sha)]
    stands = [commit for commit in accepted if ground.release is not None and commit == ground.release[1]]
    usable = list(dict.fromkeys((*stands, *held))) or list(accepted[:1])
    newest = [u for u in usable if not any(o != u and contains(key, u, o) for o in usable)]
    return tuple(dict.fromkeys((*before, *newest)))

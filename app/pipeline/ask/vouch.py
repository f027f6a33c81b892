"""Tell which commits of a repository the gate vouches for. The check asks before it takes a new ref: all others count as new.

The gate vouches for what came in through the check, for what was released, with all that a release holds, and for baselines. It
does not vouch for a commit because some ref holds it: that ref may have come in past the check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.pipeline.ports.services import Services

MOST_COMMITS = 15_000  # their ancestors take 28 MB


def vouched(services: Services, forge: str, repository_id: int, graph: Mapping[str, tuple[str, ...]]) -> list[str]:
    """List the commits of `graph` (each with its parents, parents first) that are no longer new. Raises StoreUnavailable."""
    shas = list(graph)
    with services.store.reading() as unit:
        pushes = unit.pushes.of_commits(forge, repository_id, shas)
        released = unit.pushes.released(forge, repository_id, shas)
        accepted = {baseline.sha for baseline in unit.baselines.all() if baseline.repository.startswith(f"{forge}:")}
    # The bases of a checked push are ancestors of its commit, so those outside of the graph take nothing away.
    ancestry, numbers = _ancestry(graph), {sha: number for number, sha in enumerate(graph)}
    known = _union(ancestry, released | accepted)
    for push in pushes:
        known |= 1 << numbers[push.sha] if push.bases is None else ancestry[push.sha] & ~_union(ancestry, push.bases)
    return [sha for sha, number in numbers.items() if known >> number & 1]


def _ancestry(graph: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Return for each commit the set of itself and its ancestors within the graph, as bits."""
    ancestry: dict[str, int] = {}
    for number, (sha, parents) in enumerate(graph.items()):
        ancestry[sha] = 1 << number | _union(ancestry, parents)
    return ancestry


def _union(ancestry: Mapping[str, int], shas: Iterable[str]) -> int:
    union = 0
    for sha in shas:
        union |= ancestry.get(sha, 0)
    return union

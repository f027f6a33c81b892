"""Spell everything that is known of what a deployment brings, once `brought.py` has found it.

The content of commits never changes, so the same commits are inspected once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.deployment import Deployment
from app.domain.push import Ground
from app.pipeline.evidence.authors import Authors, author_facts, authors_of, committers_of
from app.pipeline.evidence.brought import Brought
from app.pipeline.evidence.content import content_facts
from app.pipeline.evidence.forced import left_behind
from app.pipeline.evidence.hands import hand_facts, hands_in
from app.pipeline.evidence.signed import signed
from app.pipeline.ports.services import Guard, Services

CONTENT = ("paths", "paths_known", "findings", "inspected", "not_inspected")


def facts_of(
    services: Services, guard: Guard, deployment: Deployment, brought: Brought, known: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Spell all facts about what is brought."""
    committers, is_whole = committers_of(guard, deployment), brought.new.is_whole
    authors = authors_of(guard, brought.commits, committers)
    shas = [commit.sha for commit in brought.commits]
    signatures = signed(guard, deployment, shas, committers, is_whole=is_whole)
    hands = hands_in(services, guard, deployment, brought, committers)
    left = left_behind(guard, deployment, brought.ground)
    return {
        **author_facts(authors, is_whole=is_whole),
        **signatures.facts,
        **hand_facts(guard, deployment, hands, authors.subjects, signatures.signers),
        **_content(services, guard, deployment, brought, authors, known),
        "forced": bool(left),
        "left_behind": left,
        "ground": ground_as_json(brought.ground),
        "is_first": brought.is_first,
    }


def ground_as_json(ground: Ground) -> dict[str, Any]:
    """Spell what facts were measured against, to tell later whether it is still the same."""
    return {
        "release": ground.release[1] if ground.release else "",
        "baselines": list(ground.baselines),
        "former": list(ground.former),
    }


def _content(
    services: Services,
    guard: Guard,
    deployment: Deployment,
    brought: Brought,
    authors: Authors,
    known: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Inspect the changes. Earlier findings still hold if the same commits were looked at for the same agents."""
    looked_at = {"bases": list(brought.bases), "accepted": list(brought.accepted), "agents": sorted(authors.agents)}
    if known is not None and all(known.get(name) == value for name, value in looked_at.items()):
        return {**looked_at, **{name: known[name] for name in CONTENT}}
    changes = guard.repositories.changes(deployment.repository.key, brought.bases, deployment.sha, known=brought.accepted)
    return {**looked_at, **content_facts(services.inspector.inspect(changes, agents=authors.agents))}

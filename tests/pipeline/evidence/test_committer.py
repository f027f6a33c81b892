"""The forge's own identity commits, and proves nothing: such a commit is judged by its author."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.deployment import State
from app.integrations.forges.gogs import Gogs
from app.integrations.policy.cedar import load
from app.pipeline.ports.services import ForgeBinding, Guard, Services
from tests.integrations.repositories.test_mirror import Origin
from tests.pipeline.conftest import Line
from tests.pipeline.evidence.cast import found, merge, push, released

FORGE = "gogs@fake.local"


def with_committer(line: Line) -> Services:
    """Have the forge commit as Gogs does if nobody gave its user a name."""
    ask = line.services.guard

    def guard() -> Guard:
        return replace(ask(), forges={"gogs": ForgeBinding(Gogs(), list, committers=frozenset({FORGE}))})

    return replace(line.services, guard=guard)


@pytest.fixture
def forge(gate: Line, origin: Origin) -> Line:
    gate.services = with_committer(gate)
    released(gate, push(gate, None, origin.commit("base")))
    return gate


def test_a_merge_in_the_forges_pages_is_judged_by_its_author(forge: Line, origin: Origin) -> None:
    base = origin.git("rev-parse", "HEAD")
    origin.git("checkout", "-q", "-b", "topic")
    origin.commit("topic", branch="topic", email="bob@example.com")
    evidence = found(forge, push(forge, base, merge(origin, "topic")))
    assert evidence["authors_known"] and evidence["authors"] == ["alice@example.com", "bob@example.com"]


def test_the_starter_policies_take_a_pull_request_merged_in_the_forges_pages(forge: Line, origin: Origin) -> None:
    forge.policy = load(Path(__file__).parents[3] / "examples" / "policies")  # type: ignore[assignment]
    base = origin.git("rev-parse", "HEAD")
    origin.git("checkout", "-q", "-b", "topic")
    origin.commit("topic", branch="topic", email="bob@example.com")
    merged = merge(origin, "topic")
    made = forge.run(push(forge, base, merged))
    assert made.state is State.SUCCEEDED, made.reason
    later = forge.run(push(forge, merged, origin.commit("later")))
    assert later.state is State.SUCCEEDED, later.reason


def test_the_forges_identity_as_an_author_is_nobody(forge: Line, origin: Origin) -> None:
    forge.identity.people["gogs:0"] = replace(forge.identity.people["gogs:3"], subject="gogs-itself", emails=frozenset({FORGE}))
    base = origin.git("rev-parse", "HEAD")
    forged = origin.commit("forged", email=FORGE.upper())
    evidence = found(forge, push(forge, base, forged))
    assert not evidence["authors_known"] and evidence["unknown_authors"] == [FORGE.upper()]
    assert evidence["unknown_in"] == [{"email": FORGE.upper(), "commit": forged, "role": "author"}]
    assert "gogs-itself" not in evidence["involved"]


def test_the_forges_identity_as_a_committer_makes_no_author_known(forge: Line, origin: Origin) -> None:
    base = origin.git("rev-parse", "HEAD")
    origin.git("checkout", "-q", "-b", "topic")
    stranger = origin.commit("topic", branch="topic", email="eve@example.com")
    evidence = found(forge, push(forge, base, merge(origin, "topic", author="mallory@example.com")))
    assert evidence["unknown_authors"] == ["eve@example.com", "mallory@example.com"]
    assert {"email": "eve@example.com", "commit": stranger, "role": "author"} in evidence["unknown_in"]


def test_an_unknown_committer_is_named_as_one(forge: Line, origin: Origin) -> None:
    base = origin.git("rev-parse", "HEAD")
    origin.git("checkout", "-q", "-b", "topic")
    origin.commit("topic", branch="topic")
    merged = merge(origin, "topic", committer="build@example.com")
    unknown = found(forge, push(forge, base, merged))["unknown_in"]
    assert unknown == [{"email": "build@example.com", "commit": merged, "role": "committer"}]

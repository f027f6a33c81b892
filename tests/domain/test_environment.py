"""The events that an environment deploys: repository, kind and ref must all fit."""

from __future__ import annotations

import pytest

from app.domain.environment import Environment
from app.domain.event import Account, Event, EventKind, Repository

SHA = "a" * 40
ALICE = Account("gogs", "2", "alice")


def event(kind: EventKind, ref: str, *, forge: str = "gogs", full_name: str = "acme/shop", number: int = 42) -> Event:
    return Event(kind, Repository(forge, number, full_name, full_name.partition("/")[0], 7), ref, None, SHA, ALICE)


def environment(*deploys: str, repository: str = "gogs:acme/shop", repository_id: int | None = None) -> Environment:
    return Environment("production", repository, repository_id, deploys, ("box",), "https://shop.example/deploy")


BRANCHES = [
    ("branch:main", "main", True),
    ("branch:main", "maine", False),
    ("branch:main", "amain", False),
    ("branch:main", "Main", False),
    ("branch:main", "main/x", False),
    ("branch:main", "x/main", False),
    ("branch:*", "main", True),
    ("branch:*", "release/1", False),
    ("branch:*/*", "release/1", True),
    ("branch:*/*", "release/1/hotfix", False),
    ("branch:*/*", "main", False),
    ("branch:release/*", "release/1.2", True),
    ("branch:release/*", "release/1/hotfix", False),
    ("branch:release/*", "release", False),
    ("branch:release/*", "prerelease/1", False),
    ("branch:release-*", "release-1", True),
    ("branch:release-*", "release-1/x", False),
    ("branch:*-stable", "12-stable", True),
    ("branch:*-stable", "x/12-stable", False),
    ("branch:v?", "v1", True),
    ("branch:v?", "v10", False),
    ("branch:v?x", "v/x", False),
    ("branch:v[0-9]", "v7", True),
    ("branch:v[0-9]", "vx", False),
    ("branch:**", "main", True),
    ("branch:**", "a/b", True),
    ("branch:", "main", False),
    ("branch:ma.n", "main", False),
    ("branch:refs/heads/main", "main", False),
]


@pytest.mark.parametrize(("pattern", "name", "fits"), BRANCHES)
def test_a_branch_pattern_fits_part_by_part_and_two_stars_cross_parts(pattern: str, name: str, fits: bool) -> None:
    assert environment(pattern).deploys_event(event(EventKind.PUSH, f"refs/heads/{name}")) is fits


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("tag:v*", "v1.2.3", True),
        ("tag:v*", "v1/x", False),
        ("tag:v*", "1.2.3", False),
        ("tag:*", "anything", True),
        ("tag:shop/v*", "shop/v1", True),
        ("tag:shop/v*", "web/v1", False),
        ("tag:V*", "v1", False),
    ],
)
def test_a_tag_pattern_fits_segment_by_segment(pattern: str, name: str, fits: bool) -> None:
    assert environment(pattern).deploys_event(event(EventKind.TAG, f"refs/tags/{name}")) is fits


@pytest.mark.parametrize("pattern", ["branch:*", "tag:*", "release", "release:*"])
@pytest.mark.parametrize("kind", EventKind)
def test_each_kind_of_pattern_deploys_its_own_kind_of_event_only(pattern: str, kind: EventKind) -> None:
    ref = "refs/heads/main" if kind is EventKind.PUSH else "refs/tags/main"
    its_own = {"branch": EventKind.PUSH, "tag": EventKind.TAG, "release": EventKind.RELEASE}[pattern.partition(":")[0]]
    assert environment(pattern).deploys_event(event(kind, ref)) is (kind is its_own)


def test_a_branch_named_like_a_tag_is_no_tag() -> None:
    assert not environment("tag:v1").deploys_event(event(EventKind.PUSH, "refs/heads/v1"))
    assert not environment("branch:v1").deploys_event(event(EventKind.TAG, "refs/tags/v1"))


@pytest.mark.parametrize("pattern", ["", "main", "*", "Branch:main", "push:main", "ref:main", " branch:main"])
def test_an_unknown_kind_of_pattern_deploys_nothing(pattern: str) -> None:
    for kind, ref in (
        (EventKind.PUSH, "refs/heads/main"),
        (EventKind.TAG, "refs/tags/main"),
        (EventKind.RELEASE, "refs/tags/main"),
    ):
        assert not environment(pattern).deploys_event(event(kind, ref))


def test_an_environment_without_patterns_deploys_nothing() -> None:
    assert not environment().deploys_event(event(EventKind.PUSH, "refs/heads/main"))


def test_one_fitting_pattern_of_several_is_enough() -> None:
    several = environment("tag:v*", "branch:main", "release")
    assert several.deploys_event(event(EventKind.PUSH, "refs/heads/main"))
    assert several.deploys_event(event(EventKind.TAG, "refs/tags/v1"))
    assert several.deploys_event(event(EventKind.RELEASE, "refs/tags/1"))
    assert not several.deploys_event(event(EventKind.PUSH, "refs/heads/v1"))


@pytest.mark.parametrize(
    ("configured", "forge", "full_name", "fits"),
    [
        ("gogs:acme/shop", "gogs", "acme/shop", True),
        ("gogs:acme/shop", "gogs", "Acme/SHOP", True),
        ("gogs:ACME/Shop", "gogs", "acme/shop", True),
        ("gogs:acme/shop", "gitea", "acme/shop", False),
        ("gogs:acme/shop", "gogs", "acme/shop2", False),
        ("gogs:acme/shop", "gogs", "evil/shop", False),
        ("gogs:acme/shop", "gogs", "acme/sho", False),
        ("gogs:acme/*", "gogs", "acme/shop", False),
    ],
)
def test_the_repository_is_compared_whole_and_without_regard_to_case(
    configured: str, forge: str, full_name: str, fits: bool
) -> None:
    push = event(EventKind.PUSH, "refs/heads/main", forge=forge, full_name=full_name)
    assert environment("branch:main", repository=configured).deploys_event(push) is fits


@pytest.mark.parametrize(("pinned", "fits"), [(None, True), (42, True), (43, False), (0, False)])
def test_a_pinned_repository_id_refuses_another_repository_of_the_same_name(pinned: int | None, fits: bool) -> None:
    push = event(EventKind.PUSH, "refs/heads/main", number=42)
    assert environment("branch:main", repository_id=pinned).deploys_event(push) is fits


def test_a_pinned_repository_id_does_not_stand_in_for_the_name() -> None:
    push = event(EventKind.PUSH, "refs/heads/main", full_name="acme/other", number=42)
    assert not environment("branch:main", repository_id=42).deploys_event(push)

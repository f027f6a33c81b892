"""An event that no environment deploys says why, and what in tidegate.toml would change that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.event import Event, EventKind
from app.store.reads import Reads
from tests.pipeline.conftest import ALICE, REPOSITORY, Line, environment, sha


def reason(line: Line, event: Event) -> str:
    assert line.deliver(event) == []
    (newest, *_) = Reads(line.engine).deliveries(1)
    return newest.reason or ""


def push(ref: str, **over: object) -> Event:
    return replace(Event(EventKind.PUSH, REPOSITORY, ref, None, sha("one"), ALICE), **over)  # type: ignore[arg-type]


def test_a_star_that_stopped_at_a_slash_is_told_with_the_pattern_that_crosses_it(line: Line) -> None:
    line.environments[:] = [environment(deploys=("branch:main", "branch:feature/*"))]
    told = reason(line, push("refs/heads/feature/team/x"))
    assert 'production deploys "branch:feature/*", and * stops at /: write "branch:feature/**"' in told


@pytest.mark.parametrize(("ref", "deploys"), [("refs/heads/master", ("branch:main",)), ("refs/heads/Main", ("branch:main",))])
def test_the_nearest_pattern_is_named(line: Line, ref: str, deploys: tuple[str, ...]) -> None:
    line.environments[:] = [environment("preview", deploys=("branch:feature-*",)), environment(deploys=deploys)]
    told = reason(line, push(ref))
    assert f"deploys a push of {ref}; " in told
    assert 'the nearest pattern is "branch:main" of production: change deploys in tidegate.toml' in told


def test_a_kind_of_event_without_a_pattern_says_what_is_deployed(line: Line) -> None:
    told = reason(line, push("refs/tags/v1", kind=EventKind.TAG))
    assert "production deploys branch:main: add a pattern to deploys" in told


def test_a_renamed_repository_is_known_by_the_number_that_is_configured(line: Line) -> None:
    line.environments[:] = [environment(repository_id=1)]
    told = reason(line, push("refs/heads/main", repository=replace(REPOSITORY, full_name="acme/store")))
    assert told == (
        "no environment deploys gogs:acme/store (number 1), which was gogs:acme/shop: renamed?"
        " Change repository of production in tidegate.toml"
    )


def test_a_renamed_repository_is_known_by_what_it_deployed_before(line: Line) -> None:
    line.push("one")
    told = reason(line, push("refs/heads/main", repository=replace(REPOSITORY, full_name="acme/store"), after=sha("two")))
    assert "(number 1), which was gogs:acme/shop: renamed?" in told


def test_another_repository_is_not_taken_for_a_renamed_one(line: Line) -> None:
    line.push("one")
    other = replace(REPOSITORY, id=9, full_name="eve/shop")
    assert reason(line, push("refs/heads/main", repository=other)) == "no environment deploys gogs:eve/shop"


def test_a_repository_that_took_over_a_name_is_told_by_both_numbers(line: Line) -> None:
    line.environments[:] = [environment(repository_id=42)]
    told = reason(line, push("refs/heads/main"))
    assert "has the number 1, and tidegate.toml binds production number 42" in told and "change repository_id" in told

"""Paths and findings of a push are those of the tree's change and of every step between, whatever merges it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.pipeline.ask.cast import Hub, Person, git
from tests.web.gate import Gate

Make = Callable[[str], Person]
KEY = "aws_access_key_id = AKIAQ3EGRIUTPLB5CZ4D\n"


def context(gate: Gate) -> dict[str, Any]:
    found: dict[str, Any] = gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]
    return found


def merge(person: Person, tree: str, *parents: str) -> str:
    given = [word for parent in parents for word in ("-p", parent)]
    mail = {"GIT_AUTHOR_EMAIL": f"{person.name}@example.com", "GIT_COMMITTER_EMAIL": f"{person.name}@example.com"}
    return git(person.clone, "commit-tree", f"{tree}^{{tree}}", *given, "-m", "merge", env=mail).stdout.strip()


@pytest.fixture
def mended(alice: Person, hub: Hub) -> tuple[str, str]:
    """An old commit on main with a vulnerable file of db/ and a key, and the commit that mended both."""
    alice.commit("db/schema.sql", "vulnerable\n")
    old = alice.commit("config", KEY)
    alice.commit("db/schema.sql", "mended\n")
    new = alice.commit("config", "clean\n")
    assert alice.push("main").returncode == 0
    hub.install(inspects=True)
    return old, new


@pytest.fixture
def bob(mended: tuple[str, str], person: Make) -> Person:
    return person("bob")


def test_a_plain_revert_and_a_merge_that_reverts_are_refused_alike(bob: Person, mended: tuple[str, str], gate: Gate) -> None:
    old, new = mended
    plain = merge(bob, old, new)
    done = bob.push(f"{plain}:refs/heads/main")
    assert done.returncode != 0 and "migrations-need-owners" in done.stderr
    as_merge = merge(bob, old, old, new)
    done = bob.push(f"{as_merge}:refs/heads/main")
    assert done.returncode != 0 and "migrations-need-owners" in done.stderr, done.stderr
    found = context(gate)
    assert {"db/schema.sql", "config"} <= set(found["paths"]) and found["paths_known"] and not found["forced"]
    assert "secret" in found["findings"] and found["inspected"]


@pytest.mark.parametrize("how", ["merge and back", "octopus", "nested", "back by a merge"])
def test_no_chain_of_merges_hides_a_step(bob: Person, mended: tuple[str, str], gate: Gate, how: str) -> None:
    old, new = mended
    first = merge(bob, old, old, new)
    tip = {
        "merge and back": lambda: merge(bob, new, first),
        "octopus": lambda: merge(bob, old, old, merge(bob, new, new), new),
        "nested": lambda: merge(bob, old, merge(bob, old, old), merge(bob, new, new)),
        "back by a merge": lambda: merge(bob, new, new, first),
    }[how]()
    done = bob.push(f"{tip}:refs/heads/main")
    assert done.returncode != 0 and "migrations-need-owners" in done.stderr
    assert {"db/schema.sql", "config"} <= set(context(gate)["paths"]) and "secret" in context(gate)["findings"]


def test_a_forced_push_to_an_ancestor_has_its_paths_and_findings(alice: Person, mended: tuple[str, str], gate: Gate) -> None:
    old, _ = mended
    done = alice.push(f"+{old}:refs/heads/main")
    assert done.returncode != 0 and "no-secrets" in done.stderr, done.stderr
    found = context(gate)
    assert {"db/schema.sql", "config"} <= set(found["paths"]) and found["forced"] and found["inspected"]


def test_a_forced_push_to_a_sibling_has_what_it_takes_back(alice: Person, mended: tuple[str, str], gate: Gate) -> None:
    old, _ = mended
    side = merge(alice, old, old)
    assert alice.push(f"+{side}:refs/heads/main").returncode != 0
    assert {"db/schema.sql", "config"} <= set(context(gate)["paths"]) and context(gate)["forced"]


def test_a_tag_that_moves_back_has_its_paths(alice: Person, mended: tuple[str, str], gate: Gate) -> None:
    old, new = mended
    alice.git("tag", "-a", "-m", "x", "v1", new)
    assert alice.push("refs/tags/v1").returncode == 0
    alice.git("tag", "-f", "-a", "-m", "x", "v1", old)
    assert alice.push("+refs/tags/v1").returncode != 0
    assert {"db/schema.sql", "config"} <= set(context(gate)["paths"]) and context(gate)["forced"]


def test_what_only_the_merge_itself_brings_is_seen(bob: Person, mended: tuple[str, str], gate: Gate) -> None:
    _, new = mended
    side = bob.commit("side")
    bob.git("reset", "-q", "--hard", new)
    evil = bob.commit("evil", KEY)
    tip = merge(bob, evil, new, side)
    done = bob.push(f"{tip}:refs/heads/main")
    assert done.returncode != 0 and "found secret in evil:1" in done.stderr
    assert {"evil", "side"} <= set(context(gate)["paths"])


def test_pulling_before_pushing_brings_only_what_one_has_done(alice: Person, bob: Person, gate: Gate) -> None:
    """git pull makes the pulled commit the second parent: others' changes, which the ref holds, are not the pusher's."""
    alice.git("pull", "-q", str(alice.hub.bare), "main")
    alice.commit("db/owners", "x\n")
    assert alice.push("main").returncode == 0
    own = bob.commit("own")
    bob.git("fetch", "-q", "origin", "main")
    theirs = bob.git("rev-parse", "FETCH_HEAD")
    bob.git("-c", "user.email=bob@example.com", "-c", "user.name=x", "merge", "-q", "--no-commit", theirs)
    tip = merge(bob, bob.commit("own2"), own, theirs)
    done = bob.push(f"{tip}:refs/heads/main")
    assert done.returncode == 0, done.stderr
    assert {"own", "own2"} <= set(context(gate)["paths"]) and "db/" not in context(gate)["paths"]


def test_a_topic_that_has_taken_main_in_brings_main_only_the_topic(alice: Person, bob: Person, gate: Gate) -> None:
    start = bob.commit("topic")
    assert bob.push(f"{start}:refs/heads/topic").returncode == 0
    alice.git("pull", "-q", str(alice.hub.bare), "main")
    theirs = alice.commit("db/owners", "x\n")
    assert alice.push("main").returncode == 0
    bob.git("fetch", "-q", "origin")
    bob.git("checkout", "-q", theirs)
    both = bob.commit("topic")
    taken = merge(bob, both, start, theirs)
    tip = merge(bob, both, theirs, taken)
    done = bob.push(f"{tip}:refs/heads/main")
    assert done.returncode == 0, done.stderr
    assert "db/" not in context(gate)["paths"]

"""New at a new ref is what neither came in through the check, nor was released, nor stood when the check was installed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from app.domain.deployment import State
from app.domain.errors import BadToken
from app.integrations.forges.pre_receive import TIPS, install, remove
from app.web.api import decide
from tests.answers.values import DEPLOYMENT
from tests.pipeline.ask.cast import REPOSITORY_ID, Hub, Person, configure, git
from tests.web.gate import Gate

Make = Callable[[str], Person]
KNOWN = """\
@id("all") permit (principal, action == Action::"push", resource);
@id("known") @reason("only known people's commits")
forbid (principal, action == Action::"push", resource) when { !context.authors_known || !context.paths_known };
"""


def context(gate: Gate) -> dict[str, Any]:
    found: dict[str, Any] = gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]
    return found


def bypass(person: Person, *refspecs: str) -> None:
    """Bring commits in past the check, as merges in the forge's pages do."""
    for refspec in refspecs:
        source, _, ref = refspec.rpartition(":")
        git(person.hub.bare, "fetch", "-q", str(person.clone), f"+{person.git('rev-parse', source)}:{ref}")


def bases(gate: Gate, ref: str) -> list[str] | None:
    ((found,),) = gate.rows(f"SELECT bases FROM checked_pushes WHERE ref = '{ref}' ORDER BY decided_at DESC LIMIT 1")
    return list(found) if found is not None else None


@pytest.fixture
def develop(alice: Person, hub: Hub, gate: Gate) -> str:
    """A branch whose older commits are by somebody unknown, and that stood when the check was installed."""
    alice.commit("legacy/one", email="eve@example.com")
    tip = alice.commit("legacy/two", email="eve@example.com")
    bypass(alice, "HEAD:refs/heads/develop")
    remove(hub.bare)
    hub.install()
    configure(gate, policies=KNOWN)
    return tip


@pytest.fixture
def bob(develop: str, person: Make) -> Person:
    bob = person("bob")
    bob.git("checkout", "-q", "-B", "work", "origin/develop")
    return bob


def test_a_branch_that_adds_nothing_a_branch_of_one_commit_and_a_tag_of_an_old_one_are_taken(
    bob: Person, develop: str, gate: Gate
) -> None:
    assert bob.push("HEAD:refs/heads/topic-1").returncode == 0
    assert (context(gate)["paths"], context(gate)["paths_known"]) == ([], True) and bases(gate, "refs/heads/topic-1") == [develop]
    bob.commit("own")
    assert bob.push("HEAD:refs/heads/topic-2").returncode == 0
    assert context(gate)["paths"] == ["own"] and bases(gate, "refs/heads/topic-2") == [develop]
    bob.git("tag", "-a", "-m", "old", "v0", f"{develop}~1")
    assert bob.push("refs/tags/v0").returncode == 0
    assert context(gate)["paths"] == []


def test_what_came_in_checked_is_not_new_again(bob: Person, develop: str, gate: Gate) -> None:
    shas = [bob.commit(f"own{n}") for n in range(3)]
    assert bob.push("HEAD:refs/heads/develop").returncode == 0
    assert bob.push("HEAD:refs/heads/topic-3").returncode == 0
    assert context(gate)["paths"] == [] and bases(gate, "refs/heads/topic-3") == [shas[-1]]
    bob.commit("more")
    assert bob.push("HEAD:refs/heads/a", "HEAD:refs/heads/b", "HEAD~2:refs/heads/c").returncode == 0
    assert [entry["detail"]["request"]["request"]["context"]["paths"] for entry in gate.audit("push:%")[-3:]] == [
        ["more"],
        ["more"],
        [],
    ]
    assert bases(gate, "refs/heads/a") == [shas[-1]]


def test_an_unchecked_branch_launders_nothing(bob: Person, develop: str, gate: Gate) -> None:
    """A merge in the pages after the installation: a branch made from there brings these commits, and what is checked on top."""
    bob.commit("smuggled/file", email="eve@example.com")
    bypass(bob, "HEAD:refs/heads/develop")
    done = bob.push("HEAD:refs/heads/topic-4")
    assert done.returncode != 0 and "e-mail eve@example.com belongs to nobody" in done.stderr
    assert context(gate)["paths"] == ["smuggled/", "smuggled/file"]
    bob.commit("harmless")
    assert bob.push("HEAD:refs/heads/develop").returncode == 0  # the same ref: only the new commit is asked about
    done = bob.push("HEAD:refs/heads/topic-5")
    assert done.returncode != 0 and context(gate)["unknown_authors"] == ["eve@example.com"]
    assert "harmless" not in context(gate)["paths"]


def test_a_branch_pushed_beside_another_that_is_known_takes_nothing_from_it(bob: Person, develop: str, gate: Gate) -> None:
    """What the gate vouches for counts for new refs only, though the same push also moves a ref that is there."""
    configure(
        gate, policies=KNOWN.replace("when {", 'when { context.branch == "main" && ').replace("};", "};").replace("||", "&&")
    )
    bob.commit("own", email="eve@example.com")
    assert bob.push("HEAD:refs/heads/topic-6").returncode == 0
    configure(gate, policies=KNOWN)
    done = bob.push("HEAD:refs/heads/develop", "HEAD:refs/heads/topic-7")
    assert done.returncode != 0
    by_ref = {e["detail"]["ref"]: e["detail"]["request"]["request"]["context"] for e in gate.audit("push:%")[-2:]}
    assert by_ref["refs/heads/develop"]["unknown_authors"] == ["eve@example.com"]
    assert by_ref["refs/heads/topic-7"]["unknown_authors"] == []


def test_a_release_vouches_for_all_that_it_holds(bob: Person, develop: str, gate: Gate) -> None:
    bob.commit("merged", email="eve@example.com")
    sha = bob.commit("released", email="eve@example.com")
    bypass(bob, "HEAD:refs/heads/develop")
    assert bob.push("HEAD:refs/heads/topic-8").returncode != 0
    release(gate, sha)
    done = bob.push("HEAD:refs/heads/topic-8")
    assert done.returncode == 0, done.stderr
    assert context(gate)["paths"] == []


def release(gate: Gate, sha: str) -> None:
    """Write a release into the database, as the line does at its end."""
    deployment = replace(
        DEPLOYMENT,
        id=str(uuid4()),
        sha=sha,
        state=State.SUCCEEDED,
        release_id=None,
        delivery_id=None,
        correlation_id=str(uuid4()),
        repository=replace(DEPLOYMENT.repository, id=REPOSITORY_ID),
    )
    with gate.process.services.store.unit() as unit:
        unit.deployments.add(deployment, None)


@pytest.mark.parametrize("answer", ["refused", "odd", "fault"])
def test_where_the_gate_does_not_say_what_it_vouches_for_all_is_new(
    bob: Person, hub: Hub, gate: Gate, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob.commit("own")
    assert bob.push("HEAD:refs/heads/develop").returncode == 0

    def spoil(*_: object) -> list[str]:
        if answer == "odd":
            return ["x y", "=end"]
        raise {"refused": BadToken, "fault": RuntimeError}[answer]

    monkeypatch.setattr(decide, "vouched", spoil)
    assert bob.push("HEAD:refs/heads/topic-9").returncode == 0
    assert context(gate)["paths"] == ["own"] and context(gate)["paths_known"]


def test_without_the_list_of_what_stood_all_is_new(bob: Person, hub: Hub, gate: Gate) -> None:
    (hub.bare / "custom_hooks" / TIPS).unlink()
    done = bob.push("HEAD:refs/heads/topic-10")
    assert done.returncode != 0 and "eve@example.com" in done.stderr


def test_installing_again_keeps_what_stood_and_accepts_nothing_new(bob: Person, hub: Hub) -> None:
    before = (hub.bare / "custom_hooks" / TIPS).read_text()
    bob.commit("smuggled", email="eve@example.com")
    bypass(bob, "HEAD:refs/heads/develop")
    install(hub.bare, hub.check())
    assert (hub.bare / "custom_hooks" / TIPS).read_text() == before


def test_ten_thousand_refs_do_not_break_it(bob: Person, hub: Hub, gate: Gate, develop: str) -> None:
    remove(hub.bare)
    text = "".join(f"create refs/heads/many/{n} {develop}\n" for n in range(10_000))
    subprocess.run(["git", "-C", str(hub.bare), "update-ref", "--stdin"], input=text, text=True, check=True)
    git(hub.bare, "pack-refs", "--all")
    hub.install()
    bob.commit("own")
    assert bob.push("HEAD:refs/heads/topic-11").returncode == 0
    assert context(gate)["paths"] == ["own"]


def merged_in_pages(person: Person, *, author: str = "alice@example.com") -> str:
    """Bring in a commit as the forge makes it in its pages: the person who clicks is the author, the forge the committer."""
    person.commit("merged", email=author)
    committer = {"GIT_COMMITTER_EMAIL": "gogs@fake.local", "GIT_COMMITTER_NAME": "Gogs"}
    git(person.clone, "commit", "-q", "--amend", "--no-edit", env=committer)
    bypass(person, "HEAD:refs/heads/main")
    return person.git("rev-parse", "HEAD")


def test_who_goes_on_from_what_the_forge_merged_in_its_pages_meets_no_unknown_author(bob: Person, gate: Gate) -> None:
    assert bob.push("HEAD:refs/heads/topic").returncode == 0
    merged_in_pages(bob)
    bob.commit("next")
    for refspec in ("HEAD:refs/heads/topic", "HEAD:refs/heads/fresh"):
        done = bob.push(refspec)
        assert done.returncode == 0, done.stderr
    assert context(gate)["authors_known"] and context(gate)["unknown_authors"] == []


@pytest.mark.parametrize("author", ["gogs@fake.local", "GOGS@fake.local", "eve@example.com"])
def test_the_forges_own_e_mail_as_an_author_is_nobody_and_hides_no_other(bob: Person, gate: Gate, author: str) -> None:
    sha = merged_in_pages(bob, author=author)
    refused = bob.push("HEAD:refs/heads/topic")
    assert refused.returncode != 0 and f"e-mail {author} belongs to nobody (commit {sha[:12]})" in refused.stderr
    assert context(gate)["unknown_authors"] == [author]

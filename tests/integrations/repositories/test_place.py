"""Mirrors that live for years: refs that conflict, repositories that are made anew, mirrors of an older version."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from app.domain.errors import ContentTooLarge, RepositorySlow, UnknownCommit
from app.integrations.repositories.commits import object_format
from app.integrations.repositories.git import GitLimits
from app.integrations.repositories.mirror import Mirror
from app.integrations.repositories.place import tracking
from tests.integrations.repositories.test_mirror import KEY, MAIN, Origin, mirror, origin

__all__ = ["mirror", "origin"]  # fixtures


def place(tmp_path: Path) -> Path:
    return tmp_path / "mirrors/gogs/acme/shop.git"


def refs(tmp_path: Path) -> dict[str, str]:
    listed = subprocess.run(
        ["git", "--git-dir", str(place(tmp_path)), "for-each-ref", "--format=%(refname) %(objectname)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return dict(row.split(" ") for row in listed.stdout.splitlines())


@pytest.mark.parametrize(("first", "then"), [("hotfix", "hotfix/login"), ("hotfix/login", "hotfix"), ("a/b/c", "a/b")])
def test_a_branch_whose_name_was_a_folders_is_fetched_at_once(
    origin: Origin, mirror: Mirror, first: str, then: str, tmp_path: Path
) -> None:
    """Git refuses a ref in another's place: a mirror that kept their names stood still for ever."""
    one = origin.commit("one", branch=first)
    assert mirror.fetch(KEY, f"refs/heads/{first}", one) == one
    origin.git("push", "-q", "origin", f":refs/heads/{first}")
    two = origin.commit("two", branch=then)
    assert mirror.fetch(KEY, f"refs/heads/{then}", two) == two
    assert mirror.head(KEY, f"refs/heads/{then}") == two
    assert refs(tmp_path)[tracking(f"refs/heads/{then}")] == two  # so the next push costs no search either


def test_tags_in_each_others_place_are_fetched_and_verified(origin: Origin, mirror: Mirror) -> None:
    sha = origin.commit("one")
    for name in ("v1", "v1/final"):
        origin.git("tag", "-f", "-a", "-m", name, name.replace("/", "-"), sha)
        origin.git("push", "-q", "origin", f"{name.replace('/', '-')}:refs/tags/{name}")
        tag = origin.git("rev-parse", f"refs/tags/{name.replace('/', '-')}")
        assert mirror.fetch(KEY, f"refs/tags/{name}", tag) == sha
        [commit, signed] = mirror.signatures(KEY, commits=[sha], tag_ref=f"refs/tags/{name}", keys=[])
        assert (commit.id, signed.id) == (sha, tag)
        origin.git("push", "-q", "origin", f":refs/tags/{name}")


def test_names_that_differ_by_case_or_are_long_have_places_of_their_own(origin: Origin, mirror: Mirror) -> None:
    names = ["Main", "x" * 200 + "/" + "y" * 200, "größe/日本"]
    for name in names:
        sha = origin.commit(f"on {len(name)}", branch=name)
        assert mirror.fetch(KEY, f"refs/heads/{name}", sha) == sha
    assert len({tracking(f"refs/heads/{name}") for name in [*names, "main"]}) == 4


def test_a_repository_made_anew_with_another_hash_gets_a_new_mirror_once(
    origin: Origin, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = origin.commit("one")
    mirror.fetch(KEY, MAIN, old)
    other = "sha1" if len(old) == 64 else "sha256"
    for folder in (origin.bare, origin.work):
        shutil.rmtree(folder)
    origin.work.mkdir()
    subprocess.run(["git", "init", "-q", "--bare", f"--object-format={other}", str(origin.bare)], check=True)
    origin.git("init", "-q", "-b", "main", f"--object-format={other}")
    origin.git("remote", "add", "origin", str(origin.bare))
    new = origin.commit("two")
    assert len(new) != len(old)
    made: list[str] = []
    anew = mirror._places.make_anew
    monkeypatch.setattr(mirror._places, "make_anew", lambda key, wanted: (made.append(wanted), anew(key, wanted)))
    assert mirror.head(KEY, MAIN) == new and mirror.fetch(KEY, MAIN, new) == new
    assert made == [other] and object_format(place(tmp_path)) == other
    with pytest.raises(UnknownCommit):
        mirror.fetch(KEY, MAIN, old)


def test_an_id_of_the_other_length_alone_does_not_cost_a_mirror(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    """A payload could name one: only the forge's own answer decides."""
    sha = origin.commit("one")
    mirror.fetch(KEY, MAIN, sha)
    with pytest.raises(UnknownCommit):
        mirror.fetch(KEY, MAIN, "1" * (64 if len(sha) == 40 else 40))
    with pytest.raises(UnknownCommit):  # a beginning of an id is not an id
        mirror.fetch(KEY, MAIN, sha[:40] if len(sha) == 64 else sha + "0" * 24)
    assert tracking(MAIN) in refs(tmp_path)


def test_a_mirror_of_the_first_layout_is_renamed_on_first_use(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    """There each ref stood under its own name; what was known must stay known, or old commits would count as new."""
    base = origin.commit("base")
    mirror.fetch(KEY, MAIN, base)
    for file in place(tmp_path).glob("tidegate-layout-*"):
        file.unlink()
    git = ["git", "--git-dir", str(place(tmp_path))]
    subprocess.run([*git, "update-ref", "-d", tracking(MAIN)], check=True)
    for name in ("heads/main", "heads/hotfix", "tags/v1"):
        subprocess.run([*git, "update-ref", f"refs/tidegate/{name}", base], check=True)
    sha = origin.commit("feature", branch="hotfix/login", email="bob@example.com")
    mirror.fetch(KEY, "refs/heads/hotfix/login", sha)
    assert [a.author_email for a in mirror.authors(KEY, [base], sha)] == ["bob@example.com"]
    known = {MAIN, "refs/heads/hotfix", "refs/heads/hotfix/login", "refs/tags/v1"}
    assert set(refs(tmp_path)) == {tracking(ref) for ref in known}


def test_a_question_that_takes_too_long_again_and_again_ends(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = origin.commit("one")
    mirror.fetch(KEY, MAIN, sha)
    (slow := tmp_path / "slow").mkdir()
    (slow / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (slow / "git").chmod(0o755)
    path = {"PATH": f"{slow}:{os.environ['PATH']}"}
    limits = GitLimits(seconds=0.2, fetch_seconds=0.2)
    hurried = Mirror(tmp_path / "mirrors", lambda _: "", lambda _: None, environ=path, limits=limits)
    (tmp_path / "out").mkdir()
    for _ in range(2):
        with pytest.raises(RepositorySlow):
            hurried.changes(KEY, [None], sha)
    found = hurried.changes(KEY, [None], sha)
    assert not found.is_whole and not found.paths_known and "too long 3 times" in found.why_not
    with pytest.raises(ContentTooLarge, match="too long 4 times"):
        hurried.export(KEY, sha, tmp_path / "out")

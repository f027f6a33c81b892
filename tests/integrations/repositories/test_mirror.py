"""The mirror against real bare repositories and the real git program."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import ConfigLevel

from app.domain.errors import RepositoryUnavailable, UnknownCommit
from app.integrations.repositories.git import GitLimits
from app.integrations.repositories.mirror import Mirror

KEY = "gogs:acme/shop"
MAIN = "refs/heads/main"


@dataclass
class Origin:
    """A bare repository as a forge has it, and a work tree that pushes to it."""

    bare: Path
    work: Path

    def git(self, *arguments: str, email: str = "alice@example.com") -> str:
        names = ("-c", f"user.email={email}", "-c", "user.name=Someone", "-c", "init.defaultBranch=main")
        done = subprocess.run(["git", *names, *arguments], cwd=self.work, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, name: str, *, branch: str = "main", email: str = "alice@example.com") -> str:
        (self.work / name).write_text(name)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", name, email=email)
        self.git("push", "-q", "-f", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(params=["sha1", "sha256"])
def origin(tmp_path: Path, request: pytest.FixtureRequest) -> Origin:
    """Both hashes that a forge may make ids with: the mirror finds out which."""
    bare, work = tmp_path / "acme" / "shop.git", tmp_path / "work"
    work.mkdir()
    subprocess.run(["git", "init", "-q", "--bare", f"--object-format={request.param}", str(bare)], check=True)
    made = Origin(bare, work)
    made.git("init", "-q", "-b", "main", f"--object-format={request.param}")
    made.git("remote", "add", "origin", str(bare))
    return made


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirrors", lambda _: f"file://{tmp_path}/acme/shop.git", lambda _: None, environ={})


def test_a_pushed_commit_is_fetched_and_returned(origin: Origin, mirror: Mirror) -> None:
    sha = origin.commit("one")
    assert mirror.fetch(KEY, MAIN, sha) == sha
    assert mirror.fetch(KEY, MAIN, None) == sha


def test_annotated_and_nested_tags_peel_to_their_commit(origin: Origin, mirror: Mirror) -> None:
    sha = origin.commit("one")
    for name, what in (("v1", sha), ("v2", "v1")):
        origin.git("tag", "-a", "-m", name, name, what)
    origin.git("push", "-q", "origin", "v1", "v2")
    tag_object = origin.git("rev-parse", "refs/tags/v2")
    assert tag_object != sha
    assert mirror.fetch(KEY, "refs/tags/v2", tag_object) == sha
    assert mirror.fetch(KEY, "refs/tags/v1", None) == sha
    assert mirror.head(KEY, "refs/tags/v2") == sha


def test_the_head_is_where_the_ref_stands_now_even_after_a_forced_push(origin: Origin, mirror: Mirror) -> None:
    first, second = origin.commit("one"), origin.commit("two")
    mirror.fetch(KEY, MAIN, second)
    assert mirror.head(KEY, MAIN) == second and mirror.is_ancestor(KEY, first, second)
    origin.git("reset", "-q", "--hard", first)
    third = origin.commit("three")
    assert mirror.head(KEY, MAIN) == third
    assert mirror.is_ancestor(KEY, first, third) and not mirror.is_ancestor(KEY, second, third)


def test_a_deleted_branch_has_no_head(origin: Origin, mirror: Mirror) -> None:
    sha = origin.commit("one", branch="gone")
    mirror.fetch(KEY, "refs/heads/gone", sha)
    origin.git("push", "-q", "origin", ":refs/heads/gone")
    assert mirror.head(KEY, "refs/heads/gone") is None


def test_authors_are_read_from_git_over_the_whole_span(origin: Origin, mirror: Mirror) -> None:
    before = origin.commit("base")
    for n in range(7):
        sha = origin.commit(f"c{n}", email=f"p{n}@example.com")
    mirror.fetch(KEY, MAIN, sha)
    authors = mirror.authors(KEY, [before], sha)
    assert [a.author_email for a in authors] == [f"p{n}@example.com" for n in reversed(range(7))]


def test_another_branch_makes_no_commit_known(origin: Origin, mirror: Mirror) -> None:
    base = origin.commit("base", email="carol@example.com")
    mirror.fetch(KEY, MAIN, base)
    sha = origin.commit("feature", branch="feature", email="bob@example.com")
    mirror.fetch(KEY, "refs/heads/feature", sha)
    everything = mirror.authors(KEY, [], sha)
    assert [a.author_email for a in everything] == ["bob@example.com", "carol@example.com"]
    assert [(a.sha, a.parents, a.is_new) for a in mirror.authors(KEY, [base, "0" * 40], sha)] == [(sha, (base,), True)]
    assert [(a.sha, a.is_new) for a in mirror.authors(KEY, [sha], base)] == [(base, False)]


def test_export_keeps_links_and_executable_bits(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    (origin.work / "run").write_text("#!/bin/sh\n")
    (origin.work / "run").chmod(0o755)
    (origin.work / "link").symlink_to("run")
    sha = origin.commit("file")
    mirror.fetch(KEY, MAIN, sha)
    out = tmp_path / "out"
    out.mkdir()
    mirror.export(KEY, sha, out)
    assert (out / "run").stat().st_mode & 0o111 and (out / "link").is_symlink()
    assert sorted(p.name for p in out.iterdir()) == ["file", "link", "run"]


@pytest.mark.parametrize("ref", ["refs/heads/--upload-pack=x", "refs/heads/a b", "refs/notes/x", "--all", "refs/heads/a..b"])
def test_odd_refs_never_reach_git_as_options(origin: Origin, mirror: Mirror, ref: str) -> None:
    origin.commit("one")
    with pytest.raises(UnknownCommit):
        mirror.fetch(KEY, ref, None)


@pytest.mark.parametrize("key", ["gogs:../../etc", "gogs:acme/..", "gogs:a/b/c", "gogs:acme/.git", "nothing"])
def test_a_repository_name_cannot_leave_the_folder(mirror: Mirror, key: str) -> None:
    with pytest.raises(UnknownCommit):
        mirror.fetch(key, MAIN, None)


def test_a_commit_that_is_nowhere_is_unknown(origin: Origin, mirror: Mirror) -> None:
    origin.commit("one")
    with pytest.raises(UnknownCommit):
        mirror.fetch(KEY, MAIN, "1" * 40)


def test_a_forge_that_is_away_is_worth_another_try(tmp_path: Path) -> None:
    away = Mirror(tmp_path / "mirrors", lambda _: f"file://{tmp_path}/nowhere.git", lambda _: None, environ={})
    with pytest.raises(RepositoryUnavailable):
        away.fetch(KEY, MAIN, "1" * 40)


def test_a_fetch_that_hangs_is_ended(tmp_path: Path) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/acme/shop.git"
        slow = Mirror(
            tmp_path / "mirrors", lambda _: url, lambda _: "s3cret-token", environ={}, limits=GitLimits(fetch_seconds=0.5)
        )
        with pytest.raises(RepositoryUnavailable, match="too slowly"):
            slow.fetch(KEY, MAIN, "1" * 40)


def test_many_at_once_share_one_mirror(origin: Origin, mirror: Mirror) -> None:
    sha = origin.commit("one")
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(mirror.fetch(KEY, MAIN, sha))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [sha] * 8


def no_git(*_: object, **__: object) -> None:
    raise AssertionError("git was started")


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_the_head_of_a_forge_on_this_disk_is_read_without_git(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    mirror = Mirror(tmp_path / "mirrors", lambda _: f"{scheme}{origin.bare}", lambda _: None, environ={})
    sha = origin.commit("one")
    origin.git("pack-refs", "--all")
    assert mirror.fetch(KEY, MAIN, sha) == sha
    if len(sha) == 40:  # libgit2 reads no others
        monkeypatch.setattr(subprocess, "Popen", no_git)
    assert mirror.head(KEY, MAIN) == sha


@pytest.mark.parametrize("how", ["%", "suffix", "extension"])
def test_whatever_is_odd_about_a_forge_on_this_disk_is_asked_of_git(origin: Origin, tmp_path: Path, how: str) -> None:
    sha = origin.commit("one")
    if how == "extension":  # libgit2 does not know it
        origin.git("--git-dir", str(origin.bare), "config", "core.repositoryformatversion", "1")
        origin.git("--git-dir", str(origin.bare), "config", "extensions.preciousObjects", "true")
    url = {"%": f"file://{tmp_path}/acm%65/shop.git", "suffix": f"file://{tmp_path}/acme/shop"}.get(how, f"file://{origin.bare}")
    mirror = Mirror(tmp_path / "mirrors", lambda _: url, lambda _: None, environ={})
    assert mirror.head(KEY, MAIN) == sha


def test_a_forge_of_another_owner_is_left_to_git(
    origin: Origin, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git refuses it: whoever owns a repository could lead its reader elsewhere (git-config(1), safe.directory)."""
    sha = origin.commit("one")
    mirror.fetch(KEY, MAIN, sha)
    asked: list[object] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: asked.append(a[0][-3:]) or popen(*a, **k))
    monkeypatch.setattr(os, "geteuid", lambda: origin.bare.stat().st_uid + 1)
    assert mirror.head(KEY, MAIN) == sha
    assert asked[0] == [f"file://{origin.bare}", MAIN, f"{MAIN}^{{}}"]


def test_what_users_of_this_machine_have_set_is_not_read(mirror: Mirror) -> None:
    levels = (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL, ConfigLevel.PROGRAMDATA)
    assert [pygit2.settings.search_path[level] for level in levels] == [""] * 4


@pytest.mark.parametrize("by_head", [False, True])
def test_a_commit_that_came_without_what_it_holds_is_fetched(origin: Origin, mirror: Mirror, by_head: bool) -> None:
    """Such as the newest one of a fetch that was killed: git unpacks that one first."""
    first = origin.commit("one")
    mirror.fetch(KEY, MAIN, first)
    second, third = origin.commit("two"), origin.commit("three")
    _unpack(origin, mirror, third)
    assert (mirror.head(KEY, MAIN) if by_head else mirror.fetch(KEY, MAIN, third)) == third
    assert len(mirror.authors(KEY, [first], third)) == 2
    assert mirror.is_ancestor(KEY, second, third)


def test_a_commit_that_is_whole_needs_no_forge_though_no_ref_holds_it_any_more(origin: Origin, mirror: Mirror) -> None:
    first, second = origin.commit("one"), origin.commit("two")
    mirror.fetch(KEY, MAIN, second)
    origin.git("reset", "-q", "--hard", first)
    mirror.fetch(KEY, MAIN, origin.commit("instead"))
    origin.bare.rename(origin.bare.with_name("gone.git"))
    assert mirror.fetch(KEY, MAIN, second) == second
    assert mirror.fetch(KEY, MAIN, first) == first


def test_what_a_fetch_brings_is_waited_for(origin: Origin, mirror: Mirror) -> None:
    first = origin.commit("one")
    mirror.fetch(KEY, MAIN, first)
    origin.commit("two")
    third = origin.commit("three")
    _unpack(origin, mirror, third)
    lock = _place(mirror) / "fetch.lock"
    found: list[str] = []
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        asking = threading.Thread(target=lambda: found.append(mirror.fetch(KEY, MAIN, third)))
        asking.start()
        asking.join(0.5)
        assert asking.is_alive()
        for each in sorted(origin.bare.glob("objects/??/*")):  # the other one unpacks the rest
            place = _place(mirror) / "objects" / each.parent.name
            place.mkdir(exist_ok=True)
            if not (place / each.name).exists():
                shutil.copy(each, place)
        origin.bare.rename(origin.bare.with_name("gone.git"))
    asking.join(30)
    assert found == [third] and len(mirror.authors(KEY, [first], third)) == 2


def _place(mirror: Mirror) -> Path:
    return mirror._places._folder / "gogs" / "acme" / "shop.git"


def _unpack(origin: Origin, mirror: Mirror, sha: str) -> None:
    """Put one commit into the mirror, and nothing that it holds."""
    place = Path("objects") / sha[:2] / sha[2:]
    (_place(mirror) / place).parent.mkdir(exist_ok=True)
    shutil.copy(origin.work / ".git" / place, _place(mirror) / place)

"""A mirror that lives for years: it forgets what nothing needs, and never what a release, a wait or a replay may need."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.errors import RepositoryUnavailable, UnknownCommit
from app.integrations.repositories import mirror as module
from app.integrations.repositories.mirror import Mirror
from app.integrations.repositories.place import hold, tracking
from app.integrations.repositories.protocol import Upkeep
from tests.integrations.repositories.test_mirror import KEY, MAIN, Origin, mirror, origin
from tests.integrations.repositories.test_place import place, refs

__all__ = ["mirror", "origin"]  # fixtures
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def age(tmp_path: Path) -> None:
    """Let everything in the mirror be older than the grace."""
    old = time.time() - 10 * 86_400
    for path in (place(tmp_path) / "objects").rglob("*"):
        os.utime(path, (old, old))


def upkeep(mirror: Mirror, tmp_path: Path, *keep: str, now: datetime = NOW) -> Upkeep:
    age(tmp_path)
    return mirror.maintain(KEY, now, lambda: keep)


def holds(tmp_path: Path, sha: str) -> bool:
    return subprocess.run(["git", "--git-dir", str(place(tmp_path)), "cat-file", "-e", sha], check=False).returncode == 0


def test_a_release_is_exported_after_its_branch_is_gone_and_the_mirror_pruned(
    origin: Origin, mirror: Mirror, tmp_path: Path
) -> None:
    released = origin.commit("released", branch="feature")
    mirror.fetch(KEY, "refs/heads/feature", released)
    forgotten = origin.commit("forgotten", branch="other")
    mirror.fetch(KEY, "refs/heads/other", forgotten)
    origin.git("push", "-q", "origin", ":refs/heads/feature", ":refs/heads/other")
    origin.git("checkout", "-q", "--orphan", "main2")
    mirror.fetch(KEY, MAIN, origin.commit("main"))
    assert upkeep(mirror, tmp_path, released) is Upkeep.DONE
    assert holds(tmp_path, released) and not holds(tmp_path, forgotten)
    assert set(refs(tmp_path)) == {tracking(MAIN), f"refs/tidegate/keep/{released}"}
    (out := tmp_path / "out").mkdir()
    assert mirror.fetch(KEY, "refs/heads/feature", released) == released  # as a rollback does, though the forge has it no longer
    mirror.export(KEY, released, out)
    assert (out / "released").read_text() == "released"


def test_what_a_branch_still_holds_needs_no_ref_of_our_own_until_it_is_forced_away(
    origin: Origin, mirror: Mirror, tmp_path: Path
) -> None:
    first, second = origin.commit("one"), origin.commit("two")
    mirror.fetch(KEY, MAIN, second)
    upkeep(mirror, tmp_path, first, second)
    assert set(refs(tmp_path)) == {tracking(MAIN)}
    origin.git("reset", "-q", "--hard", first)
    third = origin.commit("three")
    mirror.fetch(KEY, MAIN, third)
    upkeep(mirror, tmp_path, first, second, now=NOW + timedelta(days=2))
    assert set(refs(tmp_path)) == {tracking(MAIN), f"refs/tidegate/keep/{second}"}
    upkeep(mirror, tmp_path, first, now=NOW + timedelta(days=4))
    assert set(refs(tmp_path)) == {tracking(MAIN)} and not holds(tmp_path, second)
    with pytest.raises(UnknownCommit):
        mirror.export(KEY, second, tmp_path)


def test_a_tag_of_a_kept_commit_and_ids_that_are_none_do_no_harm(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = origin.commit("one", branch="gone")
    origin.git("tag", "-a", "-m", "v1", "v1", sha)
    origin.git("push", "-q", "origin", "v1")
    tag = origin.git("rev-parse", "refs/tags/v1")
    mirror.fetch(KEY, "refs/tags/v1", tag)
    origin.git("push", "-q", "origin", ":refs/heads/gone", ":refs/tags/v1")
    other = "1" * (40 if len(sha) == 64 else 64)
    assert upkeep(mirror, tmp_path, tag, other, "2" * len(sha), "--all", "", "\nquit") is Upkeep.DONE
    assert set(refs(tmp_path)) == {f"refs/tidegate/keep/{sha}"}


def test_upkeep_is_done_once_a_day_and_makes_no_mirror(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    assert mirror.maintain(KEY, NOW, list) is Upkeep.NOT_DUE and not place(tmp_path).exists()
    mirror.fetch(KEY, MAIN, origin.commit("one"))
    results = [upkeep(mirror, tmp_path, now=NOW + timedelta(hours=h)) for h in (0, 1, 23, 24)]
    assert results == [Upkeep.DONE, Upkeep.NOT_DUE, Upkeep.NOT_DUE, Upkeep.DONE]


def test_many_fetches_end_in_one_pack(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    for n in range(4):
        sha = origin.commit(f"c{n}")
        mirror.fetch(KEY, MAIN, sha)
    upkeep(mirror, tmp_path, sha)
    assert len(list((place(tmp_path) / "objects/pack").glob("*.pack"))) == 1
    assert not list((place(tmp_path) / "objects").glob("??/*"))
    assert len(mirror.authors(KEY, [], sha)) == 4 and mirror.fetch(KEY, MAIN, origin.commit("next"))


def test_upkeep_waits_for_nobody_and_nobody_fetches_or_exports_beside_it(
    origin: Origin, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = origin.commit("one")
    mirror.fetch(KEY, MAIN, sha)
    monkeypatch.setattr(module, "_UPKEEP_PATIENCE", 0.1)
    with mirror._places.use(KEY):  # such as an export
        assert upkeep(mirror, tmp_path) is Upkeep.BUSY
    (out := tmp_path / "out").mkdir()
    started: list[threading.Thread] = []

    def keep() -> Sequence[str]:
        for act in (lambda: mirror.export(KEY, sha, out), lambda: mirror.fetch(KEY, MAIN, sha)):
            started.append(threading.Thread(target=act))
            started[-1].start()
        time.sleep(0.3)
        assert all(thread.is_alive() for thread in started) and not list(out.iterdir())
        return [sha]

    assert mirror.maintain(KEY, NOW + timedelta(days=2), keep) is Upkeep.DONE
    for thread in started:
        thread.join(30)
    assert (out / "one").exists()


def test_git_that_outlives_a_killed_worker_keeps_the_mirror_locked(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    mirror.fetch(KEY, MAIN, origin.commit("one"))
    lock = place(tmp_path).with_suffix(".lock")
    with lock.open("a") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        left = subprocess.Popen(["sleep", "1"], pass_fds=(mine.fileno(),))
    begun = time.monotonic()
    with hold(lock, fcntl.LOCK_SH):
        assert left.poll() is not None or time.monotonic() - begun > 0.5
    left.wait()


def test_a_commit_that_came_without_its_objects_is_not_held(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    """Otherwise it would count as whole from then on, and no fetch would bring the rest."""
    from tests.integrations.repositories.test_mirror import _unpack

    mirror.fetch(KEY, MAIN, origin.commit("one"))
    second = origin.commit("two")
    _unpack(origin, mirror, second)
    assert upkeep(mirror, tmp_path, second) is Upkeep.DONE
    assert f"refs/tidegate/keep/{second}" not in refs(tmp_path)
    assert mirror.fetch(KEY, MAIN, second) == second and len(mirror.authors(KEY, [], second)) == 2


def test_what_a_crash_left_is_cleared(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    mirror.fetch(KEY, MAIN, origin.commit("one"))
    (place(tmp_path) / "keys-x").mkdir()
    (place(tmp_path) / "objects/pack/tmp_pack_x").write_bytes(b"x")
    (place(tmp_path) / f"slow-{'1' * 40}").write_text(".")
    upkeep(mirror, tmp_path)
    assert not [p for p in place(tmp_path).rglob("*") if p.name.startswith(("keys-", "tmp_pack", "slow-"))]


def test_a_forge_that_is_away_costs_no_ref(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    sha = origin.commit("one")
    mirror.fetch(KEY, MAIN, sha)
    origin.bare.rename(origin.bare.with_name("away.git"))
    with pytest.raises(RepositoryUnavailable):
        upkeep(mirror, tmp_path)
    assert set(refs(tmp_path)) == {tracking(MAIN)} and holds(tmp_path, sha)

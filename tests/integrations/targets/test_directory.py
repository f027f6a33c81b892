"""A folder as target: real files, a real git mirror, and crashes by SIGKILL."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.deployment import Progress
from app.domain.errors import StaleDispatch, TargetFailed, UnknownCommit
from app.integrations.repositories.mirror import Mirror
from app.integrations.targets.directory import Directory, Options
from app.integrations.targets.protocol import Order
from tests.fakes import FakeClock
from tests.integrations.repositories.test_mirror import KEY, MAIN, Origin
from tests.integrations.targets.cast import dispatch, fresh_token, no_secret, order
from tests.waiting import until


def directory(path: Path, **options: object) -> Directory:
    chosen = Options.model_validate({"path": path, **options})
    return Directory("shop", chosen, state_dir=path.parent / "state", clock=FakeClock(), secret=no_secret)


def release_of(name: str) -> str:
    return f"{int(name):040x}"


def writes(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "file").write_text(text)

    return write


def numbered(number: int, *, sha: str | None = None) -> Order:
    """Order release `number` by the dispatch of that number and position."""
    sha = sha or release_of(str(number))
    return order(dispatch(f"dispatch-{number:04}", position=number), sha=sha, export=writes(str(int(sha, 16))))


def releases(path: Path) -> set[str]:
    return {entry.name for entry in (path / "releases").iterdir()}


def current(path: Path) -> str:
    return os.readlink(path / "current")


class Shop:
    """A repository with commits, and orders for them."""

    def __init__(self, folder: Path) -> None:
        bare, work = folder / "acme" / "shop.git", folder / "work"
        work.mkdir()
        self.origin = Origin(bare, work)
        self.origin.git("init", "-q", "--bare", str(bare))
        self.origin.git("init", "-q", "-b", "main")
        self.origin.git("remote", "add", "origin", str(bare))
        self.mirror = Mirror(folder / "mirrors", lambda _: f"file://{bare}", lambda _: None, environ={})
        self.exports: list[str] = []

    def commit(self, text: str) -> str:
        (self.origin.work / "file").write_text(text)
        sha = self.origin.commit(f"name-{text}")
        return self.mirror.fetch(KEY, MAIN, sha)

    def order(self, sha: str, name: str = "dispatch-1", *, position: int = 1) -> Order:
        def export(folder: Path) -> None:
            self.exports.append(sha)
            self.mirror.export(KEY, sha, folder)

        return order(dispatch(name, position=position), sha=sha, export=export)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "www"


def test_the_first_deploy_makes_the_release_and_current(shop: Shop, path: Path) -> None:
    sha = shop.commit("one")
    report = directory(path).start(shop.order(sha), fresh_token())
    assert report.progress is Progress.SUCCEEDED
    assert sha in report.detail
    assert releases(path) == {sha}
    assert current(path) == f"releases/{sha}"
    assert (path / "current" / "file").read_text() == "one"
    assert sorted(entry.name for entry in (path / "current").iterdir()) == ["file", "name-one"]


def test_the_next_deploy_switches_current_and_leaves_the_release_before_as_it_was(shop: Shop, path: Path) -> None:
    first, second = shop.commit("one"), shop.commit("two")
    target = directory(path)
    target.start(shop.order(first, "d-1", position=1), fresh_token())
    target.start(shop.order(second, "d-2", position=2), fresh_token())
    assert releases(path) == {first, second}
    assert (path / "current" / "file").read_text() == "two"
    assert (path / "releases" / first / "file").read_text() == "one"


def test_the_folder_can_be_moved_since_the_link_is_relative(path: Path, tmp_path: Path) -> None:
    directory(path).start(numbered(1), fresh_token())
    path.rename(tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "current" / "file").read_text() == "1"


def test_a_rollback_takes_the_release_that_is_there_if_it_still_holds_its_commit(shop: Shop, path: Path) -> None:
    first, second = shop.commit("one"), shop.commit("two")
    target = directory(path)
    for position, sha in enumerate((first, second, first), start=1):
        target.start(shop.order(sha, f"d-{position}", position=position), fresh_token())
        if position == 1:
            folder = (path / "current").stat().st_ino
    assert shop.exports == [first, second, first]
    assert (path / "current" / "file").read_text() == "one"
    assert (path / "current").stat().st_ino == folder
    assert releases(path) == {first, second}


def changed(path: Path, sha: str, change: str) -> None:
    release = path / "releases" / sha
    match change:
        case "bytes":
            (release / "file").write_text("ONE")
        case "new file":
            (release / "shell.php").write_text("<?php")
        case "lost file":
            (release / "file").unlink()
        case "executable":
            (release / "file").chmod(0o755)
        case "link":
            (release / "file").unlink()
            (release / "file").symlink_to("/etc/passwd")
        case "folder":
            (release / "file").unlink()
            (release / "file").mkdir()
        case "fifo":
            (release / "file").unlink()
            os.mkfifo(release / "file")
        case "all":
            shutil.rmtree(release)
            release.symlink_to("/etc")


@pytest.mark.parametrize("change", ["bytes", "new file", "lost file", "executable", "link", "folder", "fifo", "all"])
def test_a_release_that_was_changed_since_is_not_used_again(shop: Shop, path: Path, change: str) -> None:
    first, second = shop.commit("one"), shop.commit("two")
    target = directory(path)
    target.start(shop.order(first, "d-1", position=1), fresh_token())
    target.start(shop.order(second, "d-2", position=2), fresh_token())
    changed(path, first, change)
    report = target.start(shop.order(first, "d-3", position=3), fresh_token())
    assert report.detail == f"current -> releases/{first}-2"
    assert (path / "current" / "file").read_text() == "one"
    assert sorted(entry.name for entry in (path / "current").iterdir()) == ["file", "name-one"]
    assert target.start(shop.order(first, "d-4", position=4), fresh_token()).detail == report.detail


def test_a_release_that_cannot_be_compared_with_its_commit_is_not_used_again(shop: Shop, path: Path) -> None:
    first, second = shop.commit("one"), shop.commit("two")
    target = directory(path)
    target.start(shop.order(first, "d-1", position=1), fresh_token())
    target.start(shop.order(second, "d-2", position=2), fresh_token())

    def fails(folder: Path) -> None:
        raise UnknownCommit("the mirror is lost")

    with pytest.raises(TargetFailed, match="the mirror is lost"):
        target.start(order(dispatch("d-3", position=3), sha=first, export=fails), fresh_token())
    assert current(path) == f"releases/{second}"


def test_a_reader_never_misses_the_file_while_releases_are_switched(shop: Shop, path: Path) -> None:
    texts = [f"text {n}" for n in range(6)]
    commits = [shop.commit(text) for text in texts]
    target = directory(path, keep=3)
    target.start(shop.order(commits[0], "d-0000"), fresh_token())
    seen: list[str] = []
    faults: list[OSError] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                seen.append((path / "current" / "file").read_text())
            except OSError as fault:
                faults.append(fault)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for position in range(1, 120):
            target.start(shop.order(commits[position % 6], f"d-{position:04}", position=position), fresh_token())
        so_far = len(seen)
        until(lambda: len(seen) > so_far or faults)
    finally:
        done.set()
        reader.join()
    assert faults == []
    assert set(seen) <= set(texts)
    assert len(set(seen)) > 1


def test_the_last_releases_are_kept_and_older_ones_go(path: Path) -> None:
    target = directory(path, keep=3)
    for number in range(1, 8):
        target.start(numbered(number), fresh_token())
        assert (path / "current" / "file").read_text() == str(number)
    assert releases(path) == {release_of(str(n)) for n in (5, 6, 7)}


def test_a_release_that_was_rolled_back_to_counts_as_used_last(path: Path) -> None:
    target = directory(path, keep=2)
    target.start(numbered(1), fresh_token())
    target.start(numbered(2), fresh_token())
    target.start(numbered(3, sha=release_of("1")), fresh_token())
    target.start(numbered(4), fresh_token())
    assert releases(path) == {release_of("1"), release_of("4")}


def test_the_current_release_stays_even_where_only_one_is_kept_and_its_age_is_the_greatest(path: Path) -> None:
    target = directory(path, keep=1)
    target.start(numbered(1), fresh_token())
    for stray in ("2", "3"):
        (path / "releases" / release_of(stray)).mkdir()
        os.utime(path / "releases" / release_of(stray), (4e9, 4e9))
    target.start(numbered(5, sha=release_of("1")), fresh_token())
    assert releases(path) == {release_of("1")}
    assert (path / "current" / "file").read_text() == "1"


def test_the_same_dispatch_exports_once(shop: Shop, path: Path) -> None:
    sha = shop.commit("one")
    first = directory(path).start(shop.order(sha), fresh_token())
    second = directory(path).start(shop.order(sha), fresh_token())
    assert shop.exports == [sha]
    assert first == second


def test_the_same_dispatch_started_again_does_not_undo_a_newer_one(path: Path) -> None:
    target = directory(path)
    target.start(numbered(1), fresh_token())
    target.start(numbered(2), fresh_token())
    assert target.start(numbered(1), fresh_token()).progress is Progress.SUCCEEDED
    assert (path / "current" / "file").read_text() == "2"


def test_many_at_once_with_one_dispatch_export_once(shop: Shop, path: Path) -> None:
    sha = shop.commit("one")
    barrier = threading.Barrier(6)
    reports: list[Progress] = []

    def start() -> None:
        barrier.wait()
        reports.append(directory(path).start(shop.order(sha), fresh_token()).progress)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reports == [Progress.SUCCEEDED] * 6
    assert shop.exports == [sha]


def test_a_poll_knows_what_was_done_and_nothing_else(path: Path) -> None:
    target = directory(path)
    assert target.poll(dispatch("dispatch-0001")).progress is Progress.UNKNOWN
    report = target.start(numbered(1), fresh_token())
    assert directory(path).poll(dispatch("dispatch-0001")) == report
    assert target.poll(dispatch("dispatch-0002")).progress is Progress.UNKNOWN


def test_an_older_position_is_refused_and_changes_nothing(path: Path) -> None:
    target = directory(path)
    target.start(numbered(7), fresh_token())
    with pytest.raises(StaleDispatch):
        target.start(numbered(6), fresh_token())
    assert releases(path) == {release_of("7")}
    assert (path / "current" / "file").read_text() == "7"
    assert target.poll(dispatch("dispatch-0006")).progress is Progress.UNKNOWN


def test_an_older_position_is_refused_even_where_the_newer_one_failed(path: Path) -> None:
    def fails(folder: Path) -> None:
        raise UnknownCommit

    target = directory(path)
    with pytest.raises(TargetFailed):
        target.start(order(dispatch("newer", position=7), export=fails), fresh_token())
    with pytest.raises(StaleDispatch):
        target.start(numbered(6), fresh_token())


def test_positions_are_compared_as_numbers(path: Path) -> None:
    target = directory(path)
    target.start(numbered(9), fresh_token())
    target.start(numbered(10), fresh_token())
    assert (path / "current" / "file").read_text() == "10"


def test_a_commit_that_cannot_be_exported_fails_and_leaves_current_alone(shop: Shop, path: Path) -> None:
    target = directory(path)
    good = shop.commit("one")
    target.start(shop.order(good, "d-1", position=1), fresh_token())
    with pytest.raises(TargetFailed, match="could not be exported"):
        target.start(shop.order("1" * 40, "d-2", position=2), fresh_token())
    assert releases(path) == {good}
    assert (path / "current" / "file").read_text() == "one"
    assert target.poll(dispatch("d-2")).progress is Progress.UNKNOWN


def test_a_dispatch_whose_export_failed_can_be_started_again(path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise UnknownCommit

    target = directory(path)
    again = dispatch("d-1")
    with pytest.raises(TargetFailed):
        target.start(order(again, export=fails), fresh_token())
    assert target.start(order(again), fresh_token()).progress is Progress.SUCCEEDED
    assert [entry.name for entry in (path / "current").iterdir()] == ["file"]


def die_while_exporting(path: Path, number: int) -> None:
    """Be the worker that is killed when half of the files are there."""

    def export(folder: Path) -> None:
        (folder / "half").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

    directory(path).start(
        order(dispatch(f"dispatch-{number:04}", position=number), sha=release_of(str(number)), export=export), fresh_token()
    )


def killed_while_exporting(path: Path, number: int) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=die_while_exporting, args=(path, number))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("next_number", [2, 3])
def test_what_a_killed_worker_left_is_cleaned_by_the_same_or_the_next_dispatch(path: Path, next_number: int) -> None:
    target = directory(path)
    target.start(numbered(1), fresh_token())
    killed_while_exporting(path, 2)
    assert len(releases(path)) == 2
    assert (path / "current" / "file").read_text() == "1"
    assert target.poll(dispatch("dispatch-0002")).progress is Progress.UNKNOWN
    target.start(numbered(next_number), fresh_token())
    assert releases(path) == {release_of("1"), release_of(str(next_number))}
    assert [entry.name for entry in (path / "current").iterdir()] == ["file"]
    assert (path / "current" / "file").read_text() == str(next_number)


def test_a_crash_after_the_export_is_finished_with_the_release_that_is_there(path: Path) -> None:
    done = directory(path).start(numbered(1), fresh_token())
    (path / "current").unlink()
    (path / ".tidegate" / "current.new").symlink_to("releases/nowhere")
    shutil.rmtree(path / ".tidegate" / "dispatches")
    assert directory(path).start(numbered(1), fresh_token()) == done
    assert (path / "current" / "file").read_text() == "1"
    assert releases(path) == {release_of("1")}


@pytest.mark.parametrize("below", ["", "further/down"])
def test_a_file_in_place_of_the_folder_is_a_clear_failure(path: Path, below: str) -> None:
    path.write_text("in the way")
    target = directory(path / below)
    with pytest.raises(TargetFailed, match=r"www.*: (File exists|Not a directory)"):
        target.start(numbered(1), fresh_token())
    assert path.read_text() == "in the way"
    assert target.poll(dispatch("dispatch-0001")).progress is Progress.UNKNOWN


def test_a_file_in_place_of_the_releases_is_a_clear_failure(path: Path) -> None:
    path.mkdir()
    (path / "releases").write_text("in the way")
    with pytest.raises(TargetFailed, match="File exists"):
        directory(path).start(numbered(1), fresh_token())


def test_a_folder_in_place_of_current_is_a_clear_failure_and_stays(path: Path) -> None:
    (path / "current").mkdir(parents=True)
    (path / "current" / "theirs").write_text("precious")
    with pytest.raises(TargetFailed, match="Is a directory"):
        directory(path).start(numbered(1), fresh_token())
    assert (path / "current" / "theirs").read_text() == "precious"
    assert directory(path).poll(dispatch("dispatch-0001")).progress is Progress.UNKNOWN


def test_the_token_is_in_no_file(path: Path) -> None:
    token = fresh_token()
    directory(path).start(numbered(1), token)
    files = [entry for entry in path.rglob("*") if entry.is_file()]
    assert len(files) >= 3
    assert not any(token.reveal().encode() in entry.read_bytes() for entry in files)


@pytest.mark.parametrize("path", ["~/www/shop", "$HOME/shop"])
def test_a_path_that_nothing_expands_fails_and_makes_no_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetFailed, match="not a whole path"):
        directory(Path(path)).start(numbered(1), fresh_token())
    assert list(tmp_path.iterdir()) == []

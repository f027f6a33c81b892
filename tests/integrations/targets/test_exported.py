"""What a target refuses in the files of a release, by real commits exported from a real mirror."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.domain.deployment import Progress
from app.domain.errors import TargetFailed
from app.integrations.targets import command
from app.integrations.targets.command import Command
from app.integrations.targets.directory import Directory, Options
from tests.fakes import FakeClock
from tests.integrations.repositories.test_mirror import KEY
from tests.integrations.targets.cast import dispatch, fresh_token, no_secret, order
from tests.integrations.targets.test_directory import Shop
from tests.waiting import until

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def deploy(shop: Shop, sha: str, path: Path, **options: object) -> str:
    chosen = Options.model_validate({"path": path, **options})
    target = Directory("shop", chosen, state_dir=path.parent / "state", clock=FakeClock(), secret=no_secret)
    return target.start(shop.order(sha), fresh_token()).detail


def commit_pointer(shop: Shop, first_line: str = "version https://git-lfs.github.com/spec/v1") -> str:
    (shop.origin.work / "img").mkdir()
    text = POINTER.format("4d7a" * 16).replace("version https://git-lfs.github.com/spec/v1", first_line)
    (shop.origin.work / "img" / "logo.png").write_text(text)
    return shop.commit("pointer")


def commit_submodule(shop: Shop) -> str:
    shop.origin.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/lib")
    (shop.origin.work / "vendor" / "lib").mkdir(parents=True)
    return shop.commit("submodule")


def commit_link(shop: Shop, to: str) -> str:
    (shop.origin.work / "public").mkdir()
    (shop.origin.work / "public" / "assets").symlink_to(to)
    return shop.commit("link")


@pytest.mark.parametrize(
    "first_line",
    [
        "version https://git-lfs.github.com/spec/v1",
        "version https://hawser.github.com/spec/v1",
        "version http://git-media.io/v/2",
    ],
)
def test_a_release_with_a_pointer_of_git_lfs_is_refused_by_its_file(shop: Shop, tmp_path: Path, first_line: str) -> None:
    sha = commit_pointer(shop, first_line)
    with pytest.raises(TargetFailed, match=r"img/logo\.png is a pointer of Git LFS, .*lfs = \"pointers\"") as fault:
        deploy(shop, sha, tmp_path / "www")
    assert fault.value.permanent
    assert not (tmp_path / "www" / "current").exists()
    assert list((tmp_path / "www" / "releases").iterdir()) == []


def test_pointers_are_deployed_if_the_target_says_so(shop: Shop, tmp_path: Path) -> None:
    deploy(shop, commit_pointer(shop), tmp_path / "www", lfs="pointers")
    assert (tmp_path / "www/current/img/logo.png").read_text().startswith("version ")


@pytest.mark.parametrize("text", ["version 2", "", "VERSION https://git-lfs.github.com/spec/v1", "x" * 2000 + POINTER])
def test_a_file_that_only_resembles_a_pointer_is_deployed(shop: Shop, tmp_path: Path, text: str) -> None:
    (shop.origin.work / "VERSION").write_text(text)
    deploy(shop, shop.commit("no pointer"), tmp_path / "www")
    assert (tmp_path / "www/current/VERSION").read_text() == text


def test_a_release_with_a_submodule_is_refused_by_its_folder(shop: Shop, tmp_path: Path) -> None:
    sha = commit_submodule(shop)
    with pytest.raises(TargetFailed, match=r"vendor/lib is a submodule, .*submodules = \"empty\""):
        deploy(shop, sha, tmp_path / "www")
    deploy(shop, sha, tmp_path / "www", submodules="empty")
    assert list((tmp_path / "www/current/vendor/lib").iterdir()) == []


@pytest.mark.parametrize("to", ["/etc/passwd", "../../secret", "../..", "../../../../etc"])
def test_a_link_that_leaves_the_release_is_refused_if_the_target_says_so(shop: Shop, tmp_path: Path, to: str) -> None:
    sha = commit_link(shop, to)
    deploy(shop, sha, tmp_path / "kept")
    assert os.readlink(tmp_path / "kept/current/public/assets") == to
    with pytest.raises(TargetFailed, match=r"public/assets is a link that leaves the release"):
        deploy(shop, sha, tmp_path / "www", links="refuse")


@pytest.mark.parametrize("to", ["../file", ".", "..", "nowhere"])
def test_a_link_that_stays_in_the_release_is_taken(shop: Shop, tmp_path: Path, to: str) -> None:
    deploy(shop, commit_link(shop, to), tmp_path / "www", links="refuse")
    assert os.readlink(tmp_path / "www/current/public/assets") == to


def modes(path: Path) -> dict[str, int]:
    release = (path / "current").resolve()
    found = {"": release, "releases": release.parent, "site": path}
    found |= {str(p.relative_to(release)): p for p in release.rglob("*")}
    return {name: stat.S_IMODE(p.stat().st_mode) for name, p in found.items()}


def commit_program(shop: Shop) -> str:
    (shop.origin.work / "bin").mkdir()
    (shop.origin.work / "bin" / "run").write_text("#!/bin/sh\n")
    (shop.origin.work / "bin" / "run").chmod(0o755)
    return shop.commit("program")


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o000])
def test_modes_are_those_of_the_commit_whatever_the_umask(
    shop: Shop, tmp_path: Path, umask: Callable[[int], int], mask: int
) -> None:
    sha = commit_program(shop)
    umask(mask)
    detail = deploy(shop, sha, tmp_path / "www", modes="commit")
    found = modes(tmp_path / "www")
    assert (found["file"], found["bin/run"], found["bin"], found[""]) == (0o644, 0o755, 0o755, 0o755)
    assert found["releases"] & 0o055 == found["site"] & 0o055 == 0o055
    assert "warning" not in detail


def test_a_release_that_others_cannot_read_is_deployed_with_a_warning(
    shop: Shop, tmp_path: Path, umask: Callable[[int], int]
) -> None:
    sha = commit_program(shop)
    umask(0o077)
    detail = deploy(shop, sha, tmp_path / "www")
    assert modes(tmp_path / "www")["bin/run"] == 0o700
    assert "closed to other users (mode 0700)" in detail
    assert 'set modes = "commit"' in detail


def test_no_warning_if_the_umask_was_chosen_or_lets_others_read(shop: Shop, tmp_path: Path, umask: Callable[[int], int]) -> None:
    sha = commit_program(shop)
    assert "warning" not in deploy(shop, sha, tmp_path / "open")
    umask(0o077)
    assert "warning" not in deploy(shop, sha, tmp_path / "www", modes="umask")


def test_a_command_is_given_no_release_that_is_not_whole(shop: Shop, tmp_path: Path) -> None:
    sha = commit_pointer(shop)

    def export(folder: Path) -> None:
        shop.mirror.export(KEY, sha, folder)

    def start(**options: object) -> Progress:
        chosen = command.Options.model_validate({"argv": ["/bin/sh", "-c", "cat img/logo.png"], **options})
        target = Command("shop", chosen, state_dir=tmp_path / "state", clock=FakeClock(), secret=no_secret)
        wanted = dispatch(f"dispatch-{len(options)}")
        target.start(order(wanted, sha=sha, export=export), fresh_token())
        until(lambda: target.poll(wanted).progress is not Progress.RUNNING)
        return target.poll(wanted).progress

    with pytest.raises(TargetFailed, match=r"img/logo\.png is a pointer of Git LFS"):
        start()
    assert start(lfs="pointers") is Progress.SUCCEEDED

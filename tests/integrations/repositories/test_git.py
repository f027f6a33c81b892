"""Every git process has its limits, which all that it starts inherits; at a limit all of them end."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from app.domain.errors import ContentTooLarge, RepositorySlow, RepositoryUnavailable
from app.integrations.repositories import git as module
from app.integrations.repositories.git import Git, GitLimits

LIMITS = GitLimits(seconds=10, memory_bytes=512 * 1024 * 1024, fetch_bytes=1024 * 1024)


def git_that(folder: Path, script: str, limits: GitLimits = LIMITS) -> Git:
    """Put a program in git's place."""
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    return Git({"PATH": f"{folder}:{os.environ['PATH']}", "TIDEGATE_MASTER_KEY": "s3cret"}, limits)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_children_have_the_limits_too(tmp_path: Path) -> None:
    git = git_that(tmp_path, 'sh -c "ulimit -v; ulimit -t; ulimit -f"')
    assert git.read(tmp_path, "x").decode().split() == [str(512 * 1024), "25", "2048"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exec dd if=/dev/zero of=large bs=1000 count=9000", "TIDEGATE_FETCH_BYTES"),
        ('echo "error: index-pack died of signal 25" >&2; exit 128', "TIDEGATE_FETCH_BYTES"),
        ('echo "fatal: Out of memory, malloc failed (tried to allocate 9 bytes)" >&2; exit 128', "TIDEGATE_GIT_MEMORY_BYTES"),
        ("kill -XCPU $$", "processor time"),
        ("kill -SEGV $$", "nested too deeply"),
    ],
)
def test_a_limit_that_ends_git_is_told_and_no_outage(tmp_path: Path, script: str, says: str) -> None:
    with pytest.raises(ContentTooLarge, match=says):
        git_that(tmp_path, script).read(tmp_path, "x")


def test_what_the_forge_says_of_its_memory_is_no_limit_of_ours(tmp_path: Path) -> None:
    git = git_that(tmp_path, 'echo "remote: fatal: Out of memory, malloc failed" >&2; echo "fatal: early EOF" >&2; exit 128')
    with pytest.raises(RepositoryUnavailable, match="early EOF"):
        git.read(tmp_path, "x")


def test_an_answer_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_OUTPUT", 1_000_000)
    with pytest.raises(ContentTooLarge, match="answer is larger"):
        git_that(tmp_path, "exec yes").read(tmp_path, "x")


def test_messages_without_end_are_cut_and_their_end_is_kept(tmp_path: Path) -> None:
    git = git_that(tmp_path, 'yes noise | head -c 3000000 >&2; echo "fatal: the end" >&2; exit 1')
    result = git.run(tmp_path, "x")
    assert len(result.err) <= 64 * 1024 and result.err.endswith(b"fatal: the end\n")


def test_questions_and_answers_of_any_size_pass_each_other(tmp_path: Path) -> None:
    given = os.urandom(3_000_000)
    assert git_that(tmp_path, "exec cat").read(tmp_path, "x", given=given) == given
    assert git_that(tmp_path, "exec true").read(tmp_path, "x", given=given) == b""  # it reads nothing


def test_at_the_time_limit_children_end_too(tmp_path: Path) -> None:
    git = git_that(tmp_path, f"sh -c 'sleep 30; touch {tmp_path}/late' & echo $! >{tmp_path}/child; wait", GitLimits(seconds=0.5))
    begun = time.monotonic()
    with pytest.raises(RepositorySlow):
        git.read(tmp_path, "x")
    assert time.monotonic() - begun < 10
    child = int((tmp_path / "child").read_text())
    assert not _runs(child)


def test_git_sees_no_secret_of_the_gate(tmp_path: Path) -> None:
    assert b"s3cret" not in git_that(tmp_path, "exec env").read(tmp_path, "x")


def _runs(pid: int) -> bool:
    """Tell whether a process runs; one that only waits for its parent's look has ended."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True

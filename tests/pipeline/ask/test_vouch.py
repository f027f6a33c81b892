"""The gate vouches for ranges that were looked at, and for releases with all that they hold; for no tip as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.push import Baseline, CheckedPush
from app.pipeline.ask.vouch import vouched
from app.web.api.decide_lists import CommitList, read_commits, read_graph, read_paths

GRAPH = {"a": ("old",), "b": ("a",), "m": ("b", "x"), "c": ("m",), "d": ("c",)}


def services(pushes: Mapping[str, tuple[str, ...] | None], released: set[str], *baselines: Baseline) -> Any:
    rows = [CheckedPush("gogs", 5, "r", sha, "d", datetime.now(UTC), bases=bases) for sha, bases in pushes.items()]
    room = SimpleNamespace(of_commits=lambda *_: rows, released=lambda *_: released)
    unit = SimpleNamespace(pushes=room, baselines=SimpleNamespace(all=lambda: list(baselines)))
    return SimpleNamespace(store=SimpleNamespace(reading=lambda: nullcontext(unit)))


@pytest.mark.parametrize(
    ("pushes", "released", "known"),
    [
        ({}, set(), []),
        ({"b": ("old",)}, set(), ["a", "b"]),
        ({"b": ("old",), "c": ("m",)}, set(), ["a", "b", "c"]),  # m came in past the check: what is on top launders nothing
        ({"d": ("c",)}, set(), ["d"]),
        ({"d": ()}, set(), ["a", "b", "m", "c", "d"]),
        ({"d": None}, set(), ["d"]),  # of an earlier release: vouches for its commit alone
        ({"d": ("d",)}, set(), []),
        ({}, {"m"}, ["a", "b", "m"]),
        ({"c": ("m",)}, {"m"}, ["a", "b", "m", "c"]),
    ],
)
def test_what_is_known(pushes: dict[str, tuple[str, ...] | None], released: set[str], known: list[str]) -> None:
    assert vouched(services(pushes, released), "gogs", 5, GRAPH) == known


def test_a_history_that_was_accepted_unseen_is_known_at_its_forge_alone() -> None:
    at = {forge: Baseline("production", f"{forge}:acme/shop", "m", "alice", datetime.now(UTC), "") for forge in ("gogs", "other")}
    assert vouched(services({}, set(), at["gogs"]), "gogs", 5, GRAPH) == ["a", "b", "m"]
    assert vouched(services({}, set(), at["other"]), "gogs", 5, GRAPH) == []


def test_many_commits_each_pushed_by_itself_take_no_long_time() -> None:
    graph = {f"{n}": (f"{n - 1}",) for n in range(5_000)}
    assert len(vouched(services({f"{n}": (f"{n - 1}",) for n in range(5_000)}, set()), "gogs", 5, graph)) == 5_000


A, B, C = ("a" * 40, "b" * 40, "c" * 40)


@pytest.mark.parametrize(
    "cut", [b"", b"=en", b"=end", f"{A} {B}\n".encode(), f"{A} {B}\n<x@y>\n=end\n{C}\n".encode(), b"x\n=end\n"]
)
def test_a_list_without_its_end_is_not_whole(cut: bytes) -> None:
    found = read_commits(cut)
    assert not found.is_whole and found.forced(B, A) is None and found.bases(A) == (A,)
    assert not read_paths(cut)[1]


def test_bases_and_force_follow_from_the_list() -> None:
    found = read_commits(f"{A} {B}\n<x@y>\n<=end>\n{C} {A} {B}\n=end\n".encode())
    assert found == CommitList({A: (B,), C: (A, B)}, {b"x@y": A, b"=end": A}, frozenset(), True)
    assert found.bases(C) == (B,) and found.forced(B, C) is False and found.forced("d" * 40, C) is True
    nothing = read_commits(b"=end\n")
    assert nothing.is_whole and nothing.bases(A) == (A,) and nothing.forced(B, A) is True


def test_an_e_mail_is_a_committers_only_if_no_commit_names_it_as_its_authors() -> None:
    found = read_commits(f"{A} {B}\n<x@y>\n(z@y)\n{C} {A} {B}\n<w@y>\n(x@y)\n=end\n".encode())
    assert dict(found.emails) == {b"x@y": A, b"z@y": A, b"w@y": C} and found.committers == {b"z@y"}


def test_a_commit_that_stands_after_its_child_is_not_asked_about() -> None:
    assert A not in read_graph(f"{C} {A}\n{A} {B}\n".encode())


def test_paths_are_told_with_what_git_says_of_them() -> None:
    assert read_paths(b'M\ta b\nA\t"x\\ty"\nM\ta b\n=end\n') == ([b"a b", b'"x\\ty"'], True)
    assert read_paths(b"M\t=end\n=end\n") == ([b"=end"], True)
    assert read_paths(b"a\n=end\n") == ([], False)

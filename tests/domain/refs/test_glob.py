"""Globs: `*`, `?` and sets stop at `/`, `**` crosses it, and what can fit no ref is told with what to write."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.refs.glob import example_of, glob_doubt, glob_fault, glob_fits

NAMES = st.text("ab-/.1", max_size=12)


@pytest.mark.parametrize(
    ("glob", "name", "fits"),
    [
        ("**", "main", True),
        ("**", "a/b/c", True),
        ("release/**", "release/2024/05", True),
        ("release/**", "release/1", True),
        ("release/**", "release", False),
        ("release/**", "prerelease/1", False),
        ("**/hotfix", "hotfix", True),
        ("**/hotfix", "a/b/hotfix", True),
        ("**/hotfix", "a/nohotfix", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/xb", False),
        ("a/**/b", "ab", False),
        ("v**", "v1/2/3", True),
        ("**-stable", "x/12-stable", True),
        ("feature/*/x", "feature/a/x", True),
        ("feature/*/x", "feature/a/b/x", False),
        ("v[!0-9]", "va", True),
        ("v[!0-9]", "v/", False),
        ("v[ab-]", "v-", True),
        ("v?", "v/", False),
    ],
)
def test_two_stars_cross_a_slash_and_nothing_else_does(glob: str, name: str, fits: bool) -> None:
    assert glob_fits(glob, name) is fits


@given(glob=st.text("ab*?-/.1", max_size=8).filter(lambda glob: "**" not in glob), name=NAMES)
def test_without_two_stars_in_a_row_a_glob_fits_part_by_part_as_ever(glob: str, name: str) -> None:
    globs, names = glob.split("/"), name.split("/")
    by_parts = len(globs) == len(names) and all(fnmatchcase(n, g) for g, n in zip(globs, names, strict=True))
    assert glob_fits(glob, name) is by_parts


def test_a_name_of_a_pusher_cannot_make_matching_slow() -> None:
    began = time.monotonic()
    assert not glob_fits("*-" * 30 + "x", "-" * 1000)
    assert not glob_fits("**/a" * 30, "a/" * 500)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("glob", "told"),
    [
        ("refs/heads/main", "leave out refs/heads/"),
        ("main ", "holds a blank"),
        ("^main$", "holds ^"),
        (r"v\d+", "holds \\"),
        ("a:b", "holds :"),
        ("a***", "three stars"),
        ("v[12", "not closed"),
        ("v[^a]", "begins with ^"),
        ("v[a/b]", "not closed"),
        ("a//b", "fits no name"),
        ("/main", "fits no name"),
        ("release/", "fits no name"),
        ("release/.*", "fits no name"),
        (".*", "fits no name"),
        ("a..b", "fits no name"),
        ("main.lock", "fits no name"),
    ],
)
def test_a_glob_that_fits_no_ref_is_told_with_what_to_write(glob: str, told: str) -> None:
    assert told in (glob_fault(glob) or "")


@pytest.mark.parametrize(
    "glob", ["main", "*", "**", "release/**", "**/x", "v?", "v[0-9].*", "v*.*", "[!a]b", "grünes-Menü", "a#b%20"]
)
def test_a_glob_that_can_fit_is_no_fault_and_fits_its_own_example(glob: str) -> None:
    assert (glob_fault(glob), glob_doubt(glob)) == (None, None)
    assert glob_fits(glob, example_of(glob))


@pytest.mark.parametrize(("glob", "told"), [("!main", "begins with !"), ("release/{1,2}", "write a pattern for each")])
def test_a_glob_of_another_tool_is_doubted(glob: str, told: str) -> None:
    assert glob_fault(glob) is None
    assert told in (glob_doubt(glob) or "")

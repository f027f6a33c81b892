"""Text from outsiders, made fit to show."""

from __future__ import annotations

import pytest

from app.domain.text import plain_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("src/a b.py", "src/a b.py"),
        ("日本語/ü.md", "日本語/ü.md"),
        ("a\u202eb", "a<U+202E>b"),
        ("a\nb\0", "a<U+000A>b<U+0000>"),
        ("\u3164\u115f\ufe0f\U000e0101\u2800", "<U+3164><U+115F><U+FE0F><U+E0101><U+2800>"),
        ("\U000e0041", "<U+E0041>"),
    ],
)
def test_what_does_not_show_is_spelled(text: str, shown: str) -> None:
    assert visible(text) == shown and visible(text).isprintable()


def test_what_is_shown_is_bounded() -> None:
    assert len(visible("a" * 9_000)) == len(plain_line("a" * 9_000)) == 2_000

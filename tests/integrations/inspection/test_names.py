"""Names that look like others, and honest ones in their own scripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.finding import FindingKind
from app.integrations.inspection import names

HOSTILE = {
    "s\u0435tup.py": '"setup.py": U+0435 for e',  # Cyrillic in Latin
    "src/\u0441\u043e\u0440/x.py": '"cop"',  # Cyrillic, every letter of it
    "\u0391\u0392.md": '"AB.md"',  # Greek
    "\uff53\uff45\uff54up.py": '"setup.py"',  # full width
    "\U0001d42cetup.py": '"setup.py"',  # mathematical
    "conf\u0131g.toml": '"config.toml"',  # dotless i
    "a\u2215b.py": '"a/b.py"',  # a division slash for a path's
    "setup\u2024py": '"setup.py"',  # a leader for the dot
    "\u0430\u0434min.py": "word of Latin letters",  # not all look Latin
    "r\u00e9pert\u043eire.md": "word of Latin letters",
    "\ufffd.txt": "not valid UTF-8",
}
HONEST = [
    "README.md",
    "日本語.txt",
    "документ.txt",
    "Ελληνικά.md",
    "Отчёт_final-v2.docx",
    "docs/ελληνικά/README.md",
    "café.txt",
    "re\u0301sume\u0301.txt",
    "Straße/größe.md",
    "smørrebrød.md",
    "læs-mig.md",
    "łódź.md",
    "עברית.txt",
    "العربية.txt",
    "한국어.md",
    "हिन्दी.md",
    "ไทย.md",
    "第1章.md",
    "ノート.md",
    "Don’t – really “this”.md",
    "Screenshot 1.00.00\u202fPM.png",
    "😀.md",
    "λ-calculus.hs",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_name_that_looks_like_another_is_found(path: str) -> None:
    (found,) = names.look([path])
    assert found.kind is FindingKind.CONFUSABLE_NAME and HOSTILE[path] in found.what and found.what.isascii()


def test_honest_names_are_let_be() -> None:
    assert list(names.look(HONEST)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docker-compose.yml", "docker\u2013compose.yml"),
        ("caf\u00e9.md", "cafe\u0301.md"),
        ("\u0434\u043e\u043c.md", "\u0434o\u043c.md"),
    ],
)
def test_two_paths_of_one_push_that_look_alike_are_found(one: str, other: str) -> None:
    assert any("looks like" in found.what for found in names.look([one, other]))


def test_the_same_path_twice_is_no_finding() -> None:
    assert list(names.look(["a.md", "a.md", "документ.md", "документ.md"])) == []


@given(st.lists(st.text(max_size=20), max_size=5))
def test_any_path_is_looked_at(paths: list[str]) -> None:
    for found in names.look(paths):
        assert found.what.isascii() and found.what.isprintable() and found.where.isprintable()

"""`docs/design.md` is true: every invariant, test, folder, file and word that it names is there, and none is left out."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DESIGN = (ROOT / "docs" / "design.md").read_text()
APP_FILES = sorted(ROOT.glob("app/**/*.py"))
CITING = sorted(
    [path for room in ("app", "workers", "tests", "migrations", "bench") for path in (ROOT / room).glob("**/*.py")]
    + [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")]
)
INVARIANTS = range(1, 17)
# the vendors' own words, and ours for them
SPARED_MODULES = {"hooks"}
SPARED_CLASSES = re.compile(r"(Source|Event)Hooks?")


def section(title: str) -> str:
    """Return what stands under a heading, up to the next one of its level."""
    level = len(title) - len(title.lstrip("#"))
    _, found, rest = DESIGN.partition(f"\n{title}\n")
    assert found, f"docs/design.md has no heading {title!r}"
    return re.split(rf"\n#{{1,{level}}} ", rest)[0]


def cells(text: str, column: int) -> list[str]:
    """Read one column of the tables of a text, without their headings."""
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    rules = [n for n, row in enumerate(rows) if set(row[1]) <= set("-: ")]
    headings = {n - 1 for n in rules} | set(rules)
    return [row[column].strip() for n, row in enumerate(rows) if n not in headings]


def standing() -> dict[int, str]:
    """Map the number of each invariant that stands to what is said about it."""
    parts = re.split(r"\n### Invariant (\d+): ", section("## Invariants"))
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def cited(text: str) -> set[int]:
    """List the numbers of "invariant 7" and "invariants 4, 6 and 8"."""
    lists = re.findall(r"\b[Ii]nvariants?[ _](\d+(?:(?:, | and | to )\d+)*)", text)
    return {int(number) for each in lists for number in re.findall(r"\d+", each)}


def class_words(name: str) -> set[str]:
    """Split a class name into its words."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", name)}


def classes(path: Path) -> list[str]:
    """List the classes that a file defines."""
    return [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]


def not_used() -> set[str]:
    """Read the words that are no names here, in the singular and in the plural."""
    found = re.search(r"^Not used as names.*?: (.*?)\.\s", section("## Words"), re.DOTALL | re.MULTILINE)
    assert found is not None
    words = set(re.findall(r"`(\w+)`", found[1]))
    return words | {f"{word}s" for word in words}


def test_each_number_has_one_invariant() -> None:
    assert sorted(standing()) == list(INVARIANTS)


def test_every_invariant_that_is_cited_has_its_row() -> None:
    known = set(standing())
    unknown = {str(path.relative_to(ROOT)): cited(path.read_text()) - known for path in CITING}
    assert {path: numbers for path, numbers in unknown.items() if numbers} == {}
    assert len(set.union(*(cited(path.read_text()) for path in APP_FILES))) > 1, "no citation was found: has their form changed?"


@pytest.mark.parametrize("number", sorted(standing()))
def test_every_invariant_that_stands_names_a_test_that_exists(number: int) -> None:
    named = re.findall(r"`(tests/[\w/.]+\.py)::(\w+)`", standing()[number])
    assert any(test.startswith(f"test_invariant_{number}_") for _, test in named), "no test of its own"
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (ROOT / path).exists() or f"\ndef {test}(" not in (ROOT / path).read_text()
    ]
    assert missing == []


def test_every_folder_of_app_has_its_line_and_no_line_is_left_over() -> None:
    named = [cell.strip("`/") for cell in cells(section("### app/"), 1)]
    assert [folder for folder, times in Counter(named).items() if times > 1] == []
    assert set(named) == {str(path.parent.relative_to(ROOT)) for path in APP_FILES}


@pytest.mark.parametrize("page", ["docs/design.md", "CONTRIBUTING.md"])
def test_every_file_that_is_named_exists(page: str) -> None:
    """Paths are relative to app/, or to the root."""
    named = set(re.findall(r"`(?!refs/)((?:[\w-]+/)+[\w.-]*|\w+\.(?:py|toml|md))(?:::\w+)?`", (ROOT / page).read_text()))
    assert len(named) > 10
    assert sorted(path for path in named if not (ROOT / path).exists() and not (ROOT / "app" / path).exists()) == []


def test_the_picture_of_imports_is_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = next(c for c in project["tool"]["importlinter"]["contracts"] if c["name"] == "Imports point one way")
    layers = [{room.strip().removeprefix("app.") for room in layer.split("|")} for layer in contract["layers"]]
    picture = section("## Who may import whom").split("```")[1].strip().splitlines()
    assert [{room.strip() for room in line.split("|")} for line in picture] == layers


def test_no_word_is_there_twice() -> None:
    words = cells(section("## Words"), 1)
    assert len(words) > 40
    assert [word for word, times in Counter(words).items() if times > 1] == []


def test_words_that_are_not_used_name_no_module_and_no_class() -> None:
    spurned = not_used()
    modules = [path for path in APP_FILES if path.stem not in SPARED_MODULES and set(path.stem.split("_")) & spurned]
    named = [f"{path}: {name}" for path in APP_FILES for name in classes(path) if class_words(name) & spurned]
    assert modules == []
    assert [name for name in named if not SPARED_CLASSES.search(name)] == []


def test_a_word_is_the_name_of_one_class() -> None:
    words = {"".join(part.title() for part in word.split()) for word in cells(section("## Words"), 1)}
    times = Counter(name for path in APP_FILES for name in classes(path))
    assert {name for name in words if times[name] > 1} == set()

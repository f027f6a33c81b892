"""The pages say what the code does: every setting, error, context attribute and dependency has its line, every link its end."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import app.domain.errors
from app.domain.errors import GateError
from app.integrations.policy.cedar import SCHEMA
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WIDEST = 100
# what has lines of its own: code, what `make bench` writes, tables, headings, pictures
NOT_PROSE = re.compile(
    r"^\s*```.*?^\s*```$|^<!-- bench:.*?^<!-- /bench:.*?$|^\s*(?:\||#|!\[)[^\n]*$|(?<=\n\n)(?: {4}[^\n]*\n)+",
    re.DOTALL | re.MULTILINE,
)
# a code span or a link is not broken
WORD = re.compile(r"(?:`[^`]*`|\[[^\]]*\]\([^)]*\)|[^\s`\[]|[`\[])+")


def rows(page: str) -> set[str]:
    """Read the first cells of a page's tables, without backticks."""
    text = (ROOT / "docs" / page).read_text()
    cells = (line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    return {part for cell in cells for part in re.split(r"[`,\s]+", cell) if part}


def test_every_setting_has_a_row() -> None:
    assert {f"TIDEGATE_{name.upper()}" for name in Settings.model_fields} <= rows("settings.md")


def test_a_setting_means_the_same_in_code_and_page() -> None:
    lines = (ROOT / "docs" / "settings.md").read_text().splitlines()
    for name, field in Settings.model_fields.items():
        line = next(line for line in lines if line.startswith(f"| `TIDEGATE_{name.upper()}` |"))
        assert line.endswith(f" | {field.description} |")


def test_every_error_has_a_row() -> None:
    errors = [e for e in vars(app.domain.errors).values() if isinstance(e, type) and issubclass(e, GateError)]
    assert {e.code for e in errors} <= rows("errors.md")


def test_every_fact_that_a_policy_may_ask_about_has_a_row() -> None:
    facts = re.search(r"type Facts = \{(.*?)\}", SCHEMA, re.DOTALL)
    assert facts is not None
    assert set(re.findall(r'"(\w+)":', facts[1])) <= rows("policy.md")


def test_every_dependency_has_a_row() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    stated = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["stack"]]
    stated += [each for group in project["dependency-groups"].values() for each in group]
    names = {re.split(r"[=\[<>]", each)[0] for each in stated}
    told = {re.sub(r"\[.*", "", name) for name in rows("dependencies.md")}
    assert names <= told


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    named = re.findall(r"`((?:app|tests|workers|migrations|docs|examples)/[\w./-]+\.\w+)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/adr/*.md")), ids=lambda p: p.name)
def test_every_decision_has_a_status_a_date_and_what_was_not_chosen(page: Path) -> None:
    text = page.read_text()
    assert re.search(r"^- Status: \w", text, re.MULTILINE)
    assert re.search(r"^- Date: \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    assert "\n## What we did not choose\n" in text


def test_the_index_names_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)", (ROOT / "docs" / "README.md").read_text()))
    assert {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_prose_is_wrapped(page: Path) -> None:
    """A line that is one word, behind the mark of its list, may be as wide as it is."""
    lines = NOT_PROSE.sub("", page.read_text()).splitlines()
    wide = [line for line in lines if len(line) > WIDEST]
    assert [line for line in wide if len(WORD.findall(re.sub(r"^\s*(?:[-*]|\d+\.) ", "", line))) > 1] == []

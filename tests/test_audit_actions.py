"""The log has one vocabulary and one door: pages, enum and makers of entries agree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from app.domain.audit import AuditAction, recorded_action
from app.domain.notice import NoticeEvent, notice_event

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("workers/**/*.py")])
PAGES = ("audit-format.md", "identity.md")
MAKERS = {"app/pipeline/ports/record.py", "app/store/reads.py"}  # the one that writes, and the one that reads back
SPELLINGS = {"app/domain/audit.py", "app/domain/notice.py"}


def name(path: Path) -> str:
    """Spell a file relative to the root."""
    return str(path.relative_to(ROOT))


def listed(page: str) -> list[str]:
    """Read the actions that a page has a row for."""
    return re.findall(r"^\| `([a-z]+:[a-z-]+)` \|", (ROOT / "docs" / page).read_text(), re.MULTILINE)


def test_every_action_has_one_row_and_every_row_an_action() -> None:
    rows = [action for page in PAGES for action in listed(page)]
    assert sorted(rows) == sorted(AuditAction)


def test_actions_are_spelled_as_their_names() -> None:
    assert {action.name for action in AuditAction} == {re.sub("[:-]", "_", action).upper() for action in AuditAction}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_entries_are_made_by_the_recorder_alone(path: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    made = [call.lineno for call in calls if getattr(call, "attr", getattr(call, "id", "")) == "AuditEntry"]
    assert len(made) == (name(path) in MAKERS), f"{name(path)}: {made}"


@pytest.mark.parametrize("path", [each for each in FILES if name(each) not in SPELLINGS], ids=name)
def test_no_action_is_spelled_beside_the_enum(path: Path) -> None:
    tree = ast.parse(path.read_text())
    known = {str(each) for each in (*AuditAction, *NoticeEvent)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert [(node.lineno, node.value) for node in texts if node.value in known] == []


def test_an_action_of_another_release_stays_what_it_is() -> None:
    assert recorded_action("deployment:held") is AuditAction.DEPLOYMENT_HELD
    assert recorded_action("secret:rotated") == "secret:rotated"


def test_what_sinks_are_told_of_is_known() -> None:
    assert notice_event("deployment:held") is AuditAction.DEPLOYMENT_HELD
    assert notice_event("deployment:unchecked") is NoticeEvent.DEPLOYMENT_UNCHECKED
    assert not {str(event) for event in NoticeEvent} & {str(action) for action in AuditAction}
    with pytest.raises(ValueError, match="heldup"):
        notice_event("deployment:heldup")

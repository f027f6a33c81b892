"""House rules that no import linter sees: sizes, the wall clock, randomness, the environment, dynamic imports, task names."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.deployment import Stage
from app.store.queue.wakes import QUEUES

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("workers/**/*.py")])
LONGEST_FUNCTION = 60
LONGEST_FILE = 350
LARGEST_FOLDER = 14
VOCABULARIES = {"app/domain": 25, "app/cli": 25, "app/store": 25}  # flat, with one file a noun
# what may be called where, beside which it may not
ONLY_IN = {
    "import_module": {"app/integrations/registry.py"},
    "uuid4": set(),
    "urandom": set(),
    "token_bytes": {"app/integrations/system.py"},
    "token_urlsafe": set(),
    "randbits": {"app/integrations/system.py"},
    "utcnow": set(),
    "getenv": set(),
}


def name(path: Path) -> str:
    """Spell a file relative to the root."""
    return str(path.relative_to(ROOT))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Walk all calls."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def called(call: ast.Call) -> str:
    """Name what is called, without its object."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name


def test_folders_stay_small() -> None:
    sizes = Counter(name(path.parent) for path in FILES if path.name != "__init__.py")
    full = {folder: size for folder, size in sizes.items() if size > VOCABULARIES.get(folder, LARGEST_FOLDER)}
    assert sizes and full == {}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_time_randomness_and_imports_come_from_one_place(path: Path) -> None:
    for call in calls(ast.parse(path.read_text())):
        allowed = ONLY_IN.get(called(call))
        assert allowed is None or name(path) in allowed, f"{called(call)} at line {call.lineno}"
        is_wall_clock = (
            called(call) == "now" and isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "datetime"
        )
        assert not is_wall_clock or name(path) == "app/integrations/system.py", f"datetime.now at line {call.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_environment_is_read_in_settings_only(path: Path) -> None:
    reads = [
        n
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Attribute) and n.attr == "environ" and getattr(n.value, "id", "") == "os"
    ]
    assert not reads or name(path) == "app/settings.py"


def test_the_tasks_that_are_sent_are_the_tasks_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("TIDEGATE_REDIS_URL", "redis://127.0.0.1:1/0")
    from workers import periodic, stages
    from workers.celery import app

    assert periodic and stages
    own = {task for task in app.tasks if not task.startswith("celery.")}
    assert own == set(QUEUES)
    assert {stage.value for stage in Stage} < own

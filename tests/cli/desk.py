"""The command as an operator has it who sits in a folder of his gate."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from app.stack.postgres import APP, EmbeddedPostgres
from tests.cli.forked import tidegate


def command(*arguments: str) -> tuple[int, str, str]:
    """Run `tidegate …`; return its exit status, what it prints, and what it says of errors."""
    code, out, err = tidegate(*arguments, folder=Path.cwd(), env=os.environ)
    return code, out.decode(), err.decode()


class Command:
    """`tidegate WORD …`."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def run(self, *arguments: str) -> tuple[int, str, str]:
        return command(*self.words, *arguments)

    def json(self, *arguments: str, code: int = 0) -> Any:
        found, out, err = self.run(*arguments, "--json")
        assert (found, err) == (code, ""), out
        return json.loads(out)


def sit_down(folder: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands work in this folder, by its tidegate.toml, with no Redis."""
    env = {
        "TIDEGATE_DATABASE_URL": postgres.url(APP),
        "TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0",
        "TIDEGATE_CONFIG": str(folder / "tidegate.toml"),
    }
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)

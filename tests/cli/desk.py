"""The command in this process, as an operator has it: starting one takes longer than most of what is tried."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import app
from app.stack.postgres import APP, EmbeddedPostgres


def command(*arguments: str) -> tuple[int, str, str]:
    """Run `tidegate …`; return its exit status, what it prints, and what it says of errors."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = 0
            app([*arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()


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


def sit_down(folder: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Have commands work in this folder, by its tidegate.toml, with no Redis; return the settings for processes of their own."""
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
    return env

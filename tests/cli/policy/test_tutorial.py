"""The tutorial of docs/policy.md, done in an empty folder: every file that it shows, every command, its whole output."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.cli.forked import tidegate

POLICY = Path(__file__).parents[3] / "docs" / "policy.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    tutorial = POLICY.read_text().split("\n## ")[1]
    assert tutorial.startswith("From an empty folder")
    ran = 0
    for language, text in _BLOCK.findall(tutorial):
        if language == "console":
            command, _, shown = text.partition("\n")
            assert _output(command, tmp_path) == shown
            ran += 1
        else:
            place = tmp_path / text.partition("\n")[0].lstrip("/# ")
            place.parent.mkdir(exist_ok=True)
            place.write_text(text)
    assert ran == 2


def _output(command: str, folder: Path) -> str:
    dollar, name, *arguments = shlex.split(command)
    assert (dollar, name) == ("$", "tidegate")
    _, out, err = tidegate(*arguments, folder=folder, env={})
    assert err == b""
    return out.decode()

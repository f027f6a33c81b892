"""Fuzz with atheris, led by coverage: `make fuzz SECONDS=60`, or `python -m tests.fuzz SECONDS [FOLDER [TARGET…]]`.

Each target runs in a process of its own, which libFuzzer ends. What it learns, and what breaks a promise, stays in FOLDER.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["app", "tests.fuzz.targets"]):
    from tests.fuzz.targets import TARGETS

ONE = "--one"


def main(arguments: list[str]) -> int:
    """Run the targets one after the other; return how many broke a promise."""
    seconds, folder, *names = [*arguments, *["60", ".fuzz"][len(arguments) :]]
    broken = [name for name in names or TARGETS if subprocess.run(command(name, seconds, folder), check=False).returncode]
    sys.stdout.write(f"{len(names or TARGETS)} targets, {seconds} s each; broken: {', '.join(broken) or 'none'}\n")
    return len(broken)


def command(name: str, seconds: str, folder: str) -> list[str]:
    """Spell the process for one target."""
    return [sys.executable, "-m", "tests.fuzz", ONE, name, seconds, folder]


def fuzz(name: str, seconds: str, folder: str) -> None:
    """Run one target; does not return."""
    target, seeds = TARGETS[name]
    corpus = Path(folder) / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [
        f"-max_total_time={seconds}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={folder}/{name}-",
        "-verbosity=0",
    ]
    atheris.Setup([name, *limits, str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == [ONE]:
        fuzz(*sys.argv[2:])
    sys.exit(main(sys.argv[1:]))

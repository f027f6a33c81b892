"""Fuzz with atheris, led by coverage: `make fuzz SECONDS=60`, or `python -m tests.fuzz SECONDS [FOLDER [TARGET…]]`.

Each target runs in a process of its own, which libFuzzer ends; it is forked, since instrumenting takes seconds. What it
learns, and what breaks a promise, stays in FOLDER.
"""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["app", "tests.fuzz.targets"]):
    from tests.fuzz.targets import TARGETS


def main(arguments: list[str]) -> int:
    """Run the targets one after the other; return how many broke a promise."""
    seconds, folder, *names = [*arguments, *["60", ".fuzz"][len(arguments) :]]
    broken = [name for name in names or TARGETS if ended(name, seconds, folder)]
    sys.stdout.write(f"{len(names or TARGETS)} targets, {seconds} s each; broken: {', '.join(broken) or 'none'}\n")
    return len(broken)


def ended(name: str, seconds: str, folder: str) -> int:
    """Run one target in a process of its own; return how that ended."""
    process = multiprocessing.get_context("fork").Process(target=fuzz, args=(name, seconds, folder))
    process.start()
    process.join()
    return process.exitcode or 0


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
    sys.exit(main(sys.argv[1:]))

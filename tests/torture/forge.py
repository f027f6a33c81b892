"""The forge's side: real bare repositories with every planned commit in them, and refs that move when somebody pushes."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pygit2

from tests.torture.cast import REPOSITORIES
from tests.torture.plan import Plan

WHO = b"Alice <alice@example.com> 1700000000 +0000"
FIRST_TAG = 1_000_000
ZERO = "0" * 40


class Forge:
    """Bare repositories below one folder, served by file:// at `address`."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self.address = folder.with_name(f"{folder.name}-address")  # where the gate looks: a link that can be away
        self._plan = plan
        self.shas: dict[str, str] = {}
        self.moves: list[tuple[float, str, str, str | None]] = []  # when, repository, ref, commit or None
        self._lock = threading.Lock()

    def make(self) -> None:
        """Make the repositories and all objects; the ids depend on the plan alone."""
        for repository in REPOSITORIES:
            path = self.path(repository)
            path.mkdir(parents=True)
            _git(path, b"", "init", "--quiet", "--bare", "--initial-branch=main", ".")
            marks = path / "marks"
            _git(path, b"".join(self._stream(repository)), "fast-import", "--quiet", f"--export-marks={marks}")
            for line in marks.read_text().splitlines():
                number, _, sha = line[1:].partition(" ")
                name = f"t{int(number) - FIRST_TAG}" if int(number) >= FIRST_TAG else f"c{number}"
                self.shas[f"{repository} {name}"] = sha
            names = _git(path, b"", "for-each-ref", "--format=delete %(refname)")
            _git(path, names, "update-ref", "--stdin")

        self.show()

    def show(self) -> None:
        """Be found at the address."""
        self.address.symlink_to(self._folder)

    def hide(self) -> None:
        """Be found there no more, until it is shown again; what is sent and what moves meanwhile is not affected."""
        self.address.unlink()

    def path(self, repository: str) -> Path:
        """Say where a repository lies."""
        return self._folder / f"{repository}.git"

    def move(self, repository: str, ref: str, object_id: str | None, commit: str | None) -> None:
        """Set or delete a ref, as the forge does before it sends the delivery."""
        with self._lock:
            real = pygit2.Repository(str(self.path(repository)))
            if object_id is not None:
                real.references.create(ref, object_id, force=True)
            elif ref in real.references:
                real.references.delete(ref)
            self.moves.append((time.monotonic(), repository, ref, commit))

    def _stream(self, repository: str) -> Iterator[bytes]:
        for commit in self._plan.commits:
            if commit.repository != repository:
                continue
            number = commit.name[1:]
            yield f"commit refs/import/{number}\nmark :{number}\n".encode()
            yield b"author %b\ncommitter %b\n" % (WHO, WHO)
            yield _data(f"{commit.name} of {self._plan.seed}\n")
            for keyword, parent in zip(("from", "merge"), commit.parents, strict=False):
                yield f"{keyword} :{parent[1:]}\n".encode()
            yield b"M 100644 inline version\n" + _data(f"{commit.name}\n") + b"\n"
        for name, (owner, tagged) in self._plan.tags.items():
            if owner == repository:
                yield f"tag {name}\nmark :{FIRST_TAG + int(name[1:])}\nfrom :{tagged[1:]}\n".encode()
                yield b"tagger %b\n" % WHO + _data(f"{name}\n")


def _data(text: str) -> bytes:
    return b"data %d\n%b" % (len(text), text.encode())


def _git(folder: Path, given: bytes, *arguments: str) -> bytes:
    done = subprocess.run(
        ["git", "--git-dir", str(folder), *arguments], cwd=folder, input=given, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"git {arguments[0]}: {done.stderr.decode()[-500:]}")
    return done.stdout

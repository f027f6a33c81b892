"""The objects of a mirror, handed out by one process `git cat-file --batch`, whatever their hash.

No attribute of the repository (`eol`, `ident`, `filter`, `working-tree-encoding`, `-diff`) changes what it hands out. Each
object's bytes are hashed here again, so what is inspected and what is exported are the blobs that the commit names.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from app.domain.errors import ContentTooLarge, GateError, RepositorySlow, RepositoryUnavailable
from app.integrations.repositories.git import Git, GitResult, end, kill, limit_met

_SMALLEST_PIPE = 4_096  # bytes (pipe(7)): for systems that do not tell
_LONGEST_NAME = 80  # bytes of one name, such as an id with `^{tree}`, and a newline
_PIECE = 1024 * 1024
_HASHES = {40: "sha1", 64: "sha256"}


class Objects:
    """Reads objects of one mirror, within a time; a context manager. Not for several threads."""

    def __init__(self, git: Git, mirror: Path, *, seconds: float | None = None) -> None:
        self._git, self._mirror = git, mirror
        self._seconds = seconds or git.limits.seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None
        self._is_late = False
        self._ends: float | None = None  # the time limit is for all questions together
        self._unread = 0  # answers that nobody has read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def sizes(self, ids: Sequence[str]) -> list[int]:
        """Return the sizes of blobs without reading them; raises RepositoryUnavailable if one is missing or no blob."""
        if not ids:
            return []
        given = "\n".join([*ids, ""]).encode()
        answer = self._git.read(self._mirror, "cat-file", "--batch-check=%(objecttype) %(objectsize)", "--buffer", given=given)
        rows = [line.split(" ") for line in answer.decode("ascii", "replace").splitlines()]
        if len(rows) != len(ids) or any(row[0] != "blob" for row in rows):
            raise _incomplete()
        return [int(row[1]) for row in rows]

    def each(self, names: Sequence[str], kind: str) -> Iterator[tuple[str, int, Body]]:
        """Yield id, size and body of each object, in the order of `names`; a body that is not read is skipped.

        Raises RepositoryUnavailable if an object is missing or of another kind, or RepositorySlow.
        """
        if not names:
            return
        at_once = self._capacity() // _LONGEST_NAME  # a question fits into the pipe, so neither side waits for the other
        for start in range(0, len(names), at_once):
            part = names[start : start + at_once]
            self._ask(part)
            for _ in part:
                object_id, size = self._head(kind)
                hashed = hashlib.new(_HASHES[len(object_id)], f"{kind} {size}\0".encode(), usedforsecurity=False)
                body = Body(self._answers(), object_id, size, hashed, self._broken)
                yield object_id, size, body
                body.skip()
                self._unread -= 1

    def read(self, names: Sequence[str], kind: str) -> Iterator[tuple[str, bytes]]:
        """Yield id and content of each object; raises as `each`."""
        for object_id, _, body in self.each(names, kind):
            yield object_id, b"".join(body)

    def _questions(self) -> IO[bytes]:
        if self._process is None:
            if self._ends is None:
                self._ends = time.monotonic() + self._seconds
            self._process = self._git.start(self._mirror, "cat-file", "--batch")
            self._timer = threading.Timer(max(0.0, self._ends - time.monotonic()), self._end_late)
            self._timer.daemon = True
            self._timer.start()
        assert self._process.stdin is not None
        return self._process.stdin

    def _capacity(self) -> int:
        question = self._questions().fileno()
        return fcntl.fcntl(question, fcntl.F_GETPIPE_SZ) if hasattr(fcntl, "F_GETPIPE_SZ") else _SMALLEST_PIPE

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._process is not None:
            end(self._process)
        self._process, self._timer, self._unread = None, None, 0

    def _ask(self, names: Sequence[str]) -> None:
        if self._unread:
            self._stop()  # an earlier question was given up, and its answers would be taken for those of this one
        self._unread = len(names)
        try:
            self._questions().write("\n".join([*names, ""]).encode())
            self._questions().flush()
        except BrokenPipeError:
            raise self._broken() from None

    def _end_late(self) -> None:
        self._is_late = True
        if self._process is not None:
            kill(self._process)

    def _answers(self) -> IO[bytes]:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    def _head(self, kind: str) -> tuple[str, int]:
        line = self._answers().readline()
        if not line:
            raise self._broken()
        words = line.decode("ascii", "replace").split()
        if len(words) != 3 or words[1] != kind:
            raise _incomplete()
        return words[0], int(words[2])

    def _broken(self) -> RepositoryUnavailable | ContentTooLarge:
        """Say why git ended before its answer."""
        process = self._process
        assert process is not None
        assert process.stderr is not None
        process.wait()
        if self._is_late:
            return RepositorySlow(f"git cat-file took longer than {self._seconds:g} s")
        met = limit_met(GitResult(process.returncode, b"", process.stderr.read(_PIECE)), self._git.limits)
        return ContentTooLarge(f"git cat-file was ended: {met}") if met is not None else _damaged()


class Body:
    """The bytes of one object, in pieces; at the end they are held against its id."""

    def __init__(self, answers: IO[bytes], object_id: str, size: int, hashed: Any, broken: Callable[[], GateError]) -> None:
        self._answers, self._id, self._left = answers, object_id, size + 1  # a newline ends each
        self._hash = hashed
        self._broken = broken

    def __iter__(self) -> Iterator[bytes]:
        while self._left > 1:
            piece = self._take(self._left - 1)
            self._hash.update(piece)
            yield piece
        if self._hash.hexdigest() != self._id:
            raise _damaged()

    def skip(self) -> None:
        """Pass over the bytes that were not read."""
        while self._left > 0:
            self._take(self._left)

    def _take(self, most: int) -> bytes:
        piece = self._answers.read(min(_PIECE, most))
        if not piece:
            raise self._broken()
        self._left -= len(piece)
        return piece


def _damaged() -> RepositoryUnavailable:
    return RepositoryUnavailable("the mirror holds a damaged object: delete the mirror's folder, and it is made anew")


def _incomplete() -> RepositoryUnavailable:
    return RepositoryUnavailable("the mirror does not hold all files of these commits")

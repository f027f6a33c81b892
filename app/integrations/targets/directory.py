"""Deploy into a folder: `releases/<sha>`, and a `current` link that changes in one step.

Layout below `path`: `releases/<sha>/`, `current -> releases/<sha>`, `.tidegate/{lock,position,dispatches/<id>.json}`.
A release that comes again is compared with its commit. If its files were changed since, it stays as it is, and the commit
comes in beside it as `releases/<sha>-2`.
A crash at any line leaves `current` whole: files are exported beside the releases and come in by one rename, and the
link is replaced by one rename. A second start of the same dispatch does the missing steps. A power failure is different:
the kernel writes the files out when it likes, since an fsync for each would cost 2 to 12 ms for ten, more on a busy disk.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from pydantic import Field

from app.domain.clock import Clock
from app.domain.deployment import Dispatch, Progress
from app.domain.errors import GateError, StaleDispatch, TargetFailed
from app.integrations.secrets.protocol import Secret
from app.integrations.targets.exported import ReleaseOptions, is_same, settle, why_hidden
from app.integrations.targets.protocol import Order, Report, export_fault
from app.integrations.tokens.protocol import Token

MARKERS_KEPT = 1000


class Options(ReleaseOptions):
    """A directory target's own keys."""

    path: Path
    keep: int = Field(5, ge=1, le=1000)


class Directory:
    """A folder on this machine (protocol: Target). Any number of processes may share it."""

    def __init__(self, name: str, options: Options, *, state_dir: Path, clock: Clock, secret: Callable[[str], Secret]) -> None:
        self._name = name
        self._written = options.path
        self._path = options.path.resolve()
        self._options = options

    def start(self, order: Order, token: Token) -> Report:
        """Export the commit and switch `current` to it; raises TargetFailed or StaleDispatch."""
        if self._written.parts[:1] and self._written.parts[0].startswith(("~", "$")):
            raise TargetFailed(f"the path {self._written} of {self._name} is not a whole path: ~ and $NAME are not expanded")
        try:
            with self._hold_lock():
                known = self._marker(order.dispatch.id)
                if known is not None:
                    return known
                self._take_position(order.dispatch.position)
                release = self._bring_release(order)
                self._switch(release)
                report = Report(Progress.SUCCEEDED, self._detail(release))
                self._write(self._dispatches / f"{order.dispatch.id}.json", {"sha": order.sha, "detail": report.detail})
                self._prune(release)
                return report
        except OSError as fault:
            raise TargetFailed(f"{self._path}: {fault.strerror or type(fault).__name__}") from None

    def poll(self, dispatch: Dispatch) -> Report:
        """Report whether the dispatch was done. If a start is under way, it holds the lock, and the poll waits for it."""
        try:
            with self._hold_lock():
                return self._marker(dispatch.id) or Report(Progress.UNKNOWN)
        except OSError as fault:
            return Report(Progress.UNKNOWN, f"{self._path}: {fault.strerror}")

    @property
    def _dispatches(self) -> Path:
        return self._path / ".tidegate" / "dispatches"

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
        """Hold the target's lock. It ends with the process, so a killed worker does not leave a lock behind."""
        self._dispatches.mkdir(parents=True, exist_ok=True)
        (self._path / "releases").mkdir(exist_ok=True)
        with (self._path / ".tidegate" / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _marker(self, dispatch_id: str) -> Report | None:
        try:
            marker = json.loads((self._dispatches / f"{dispatch_id}.json").read_text())
        except FileNotFoundError:
            return None
        return Report(Progress.SUCCEEDED, str(marker["detail"]))

    def _take_position(self, position: int) -> None:
        """Refuse a dispatch that is older than the newest one ever begun here (its worker slept too long)."""
        path = self._path / ".tidegate" / "position"
        newest = json.loads(path.read_text())["position"] if path.exists() else 0
        if position < newest:
            raise StaleDispatch(f"{self._name} has already taken a newer dispatch")
        self._write(path, {"position": position})

    def _bring_release(self, order: Order) -> str:
        """Bring the commit's files in, and return the name of their folder: an earlier one if it still holds the same."""
        for leftover in (self._path / "releases").glob(".partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # we hold the lock, so no other process is writing there
        partial = self._path / "releases" / f".partial-{order.dispatch.id}"
        partial.mkdir()
        try:
            self._export(order, partial)
            names = chain([order.sha], (f"{order.sha}-{number}" for number in count(2)))
            return next(name for name in names if self._is_taken_in(partial, self._path / "releases" / name))
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _export(self, order: Order, folder: Path) -> None:
        try:
            order.export(folder)
        except GateError as fault:
            raise export_fault(fault) from None
        settle(folder, self._options)
        if self._options.modes == "commit":
            for parent in (self._path, self._path / "releases"):
                parent.chmod(parent.stat().st_mode | 0o055)

    @staticmethod
    def _is_taken_in(partial: Path, release: Path) -> bool:
        """Take the files in as this release, unless it is there; tell whether it holds them now."""
        if os.path.lexists(release):
            return not release.is_symlink() and is_same(partial, release)
        partial.rename(release)
        return True

    def _detail(self, release: str) -> str:
        hidden = why_hidden(self._path / "releases" / release) if self._options.modes is None else ""
        return f"current -> releases/{release}" + (f"; warning: {hidden}" if hidden else "")

    def _switch(self, release: str) -> None:
        link = self._path / ".tidegate" / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("releases") / release)
        os.replace(link, self._path / "current")
        os.utime(self._path / "releases" / release)  # the order of use, for pruning

    def _prune(self, current: str) -> None:
        """Keep the releases that were current last, and a bounded number of markers."""
        releases = [p for p in (self._path / "releases").iterdir() if p.name != current and not p.name.startswith(".")]
        releases.sort(key=lambda p: p.stat().st_mtime_ns, reverse=True)
        for old in releases[self._options.keep - 1 :]:
            shutil.rmtree(old, ignore_errors=True)
        for marker in sorted(self._dispatches.glob("*.json"))[:-MARKERS_KEPT]:
            marker.unlink(missing_ok=True)

    def _write(self, path: Path, content: dict[str, object]) -> None:
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)

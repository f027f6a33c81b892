"""Deploy by a command on this machine: an argument list, never a shell. The token comes on its standard input.

The command runs under a runner of its own (`command_runner.py`), so it goes on if the worker is killed. The runner holds a
lock, which keeps the same dispatch from running twice. State: `<state>/<target>/<dispatch id>/`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from app.domain.clock import Clock
from app.domain.deployment import Dispatch, Progress
from app.domain.errors import GateError, StaleDispatch, TargetFailed, TargetUnavailable
from app.integrations.secrets.protocol import Secret
from app.integrations.targets.exported import ReleaseOptions, settle
from app.integrations.targets.protocol import Order, Report, export_fault
from app.integrations.tokens.protocol import Token

BEGIN_SECONDS = 10.0
KEPT = 100


class Options(ReleaseOptions):
    """A command target's own keys. The command's environment is `env`, the TIDEGATE_* facts, PATH and LANG.

    With `cwd` the command gets no files of the release, so the keys about them do not count.
    """

    argv: list[str] = Field(min_length=1)
    env: dict[str, str] = Field(default_factory=dict)
    cwd: Path | None = None
    timeout: float = Field(300.0, gt=0, le=3600)
    output_limit: int = Field(64 * 1024, ge=1024, le=1024 * 1024)


class Command:
    """A command on this machine (protocol: Target). All workers that serve it must share `state_dir`."""

    def __init__(self, name: str, options: Options, *, state_dir: Path, clock: Clock, secret: Callable[[str], Secret]) -> None:
        self._name = name
        self._options = options
        self._folder = state_dir / name

    def start(self, order: Order, token: Token) -> Report:
        """Start the command under its runner; raises TargetUnavailable, TargetFailed or StaleDispatch."""
        folder = self._folder / order.dispatch.id
        known = self.poll(order.dispatch)
        if known.progress is not Progress.UNKNOWN:
            return known
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_position(order.dispatch)
            cwd = self._options.cwd or self._checkout(folder, order)
            self._run(folder, order, cwd, token)
        except OSError as fault:
            raise TargetFailed(f"the command could not be started: {fault.strerror or type(fault).__name__}") from None
        return self._wait_until_begun(order.dispatch)

    def poll(self, dispatch: Dispatch) -> Report:
        """Report the dispatch's progress, from the files of its runner."""
        folder = self._folder / dispatch.id
        if (result := _result(folder)) is not None:
            return result
        has_begun = (folder / "begun").exists()  # checked before the lock: a runner takes the lock first, then begins
        if _is_locked(folder / "lock"):
            return Report(Progress.RUNNING, "the command is running")
        if (result := _result(folder)) is not None:  # the runner ended between the two checks
            return result
        if has_begun:
            return Report(Progress.FAILED, "the runner died before the command ended; how far the command got is unknown")
        return Report(Progress.UNKNOWN)

    def _take_position(self, dispatch: Dispatch) -> None:
        """Refuse a dispatch older than the newest one begun here for its environment. Environments may share a command."""
        with (self._folder / f"position-{dispatch.environment}").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            newest = int(file.read() or 0)
            if dispatch.position < newest:
                raise StaleDispatch(f"{self._name} has already taken a newer dispatch")
            file.truncate(0)
            file.write(str(dispatch.position))

    def _checkout(self, folder: Path, order: Order) -> Path:
        """Give the command the commit's files as its working directory."""
        self._forget_old(folder)
        checkout = folder / f"checkout-{order.dispatch.fence}"
        shutil.rmtree(checkout, ignore_errors=True)
        checkout.mkdir()
        try:
            order.export(checkout)
        except GateError as fault:
            raise export_fault(fault) from None
        settle(checkout, self._options)
        return checkout

    def _run(self, folder: Path, order: Order, cwd: Path, token: Token) -> None:
        options = self._options
        task = {
            "argv": options.argv,
            "env": {"PATH": os.defpath, "LANG": "C.UTF-8", **options.env, **_environment(order)},
            "cwd": str(cwd),
            "timeout": options.timeout,
            "output_limit": options.output_limit,
            "token": token.reveal(),
            "remove": None if options.cwd else str(cwd),
        }
        runner = subprocess.Popen(
            [sys.executable, "-m", "app.integrations.targets.command_runner", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        )
        assert runner.stdin is not None
        with runner.stdin as pipe:
            pipe.write(json.dumps(task).encode())

    def _wait_until_begun(self, dispatch: Dispatch) -> Report:
        """Wait until the runner has begun. From then on, a crash of ours does not affect the command."""
        until = time.monotonic() + BEGIN_SECONDS
        while time.monotonic() < until:
            report = self.poll(dispatch)
            if report.progress is not Progress.UNKNOWN:
                return report
            time.sleep(0.01)
        raise TargetUnavailable("the runner did not begin")

    def _forget_old(self, current: Path) -> None:
        ended = sorted(p for p in self._folder.iterdir() if p.is_dir() and p != current and (p / "result.json").exists())
        for old in ended[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def _environment(order: Order) -> dict[str, str]:
    return {
        "TIDEGATE_DISPATCH_ID": order.dispatch.id,
        "TIDEGATE_DEPLOYMENT_ID": order.dispatch.deployment_id,
        "TIDEGATE_ENVIRONMENT": order.dispatch.environment,
        "TIDEGATE_TARGET": order.dispatch.target,
        "TIDEGATE_REPOSITORY": order.repository,
        "TIDEGATE_REF": order.ref,
        "TIDEGATE_SHA": order.sha,
        "TIDEGATE_IS_ROLLBACK": "true" if order.is_rollback else "false",
    }


def _result(folder: Path) -> Report | None:
    try:
        result = json.loads((folder / "result.json").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Report(Progress.SUCCEEDED if result["exit"] == 0 else Progress.FAILED, result["detail"])


def _is_locked(path: Path) -> bool:
    try:
        with path.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that two polls do not mistake each other for a runner
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True

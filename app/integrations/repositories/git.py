"""The git program: how it is started for a bare mirror, and what it may see while it runs.

Nothing of the repository runs: no hooks, no filter programs, no submodules. The settings of this machine and its users are
not read. After the time limit, git and all that it started are ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import RepositoryUnavailable

_INHERITED = ("PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE")  # what git and ssh need, and no TIDEGATE_ secret
_SETTINGS = (
    "gc.auto=0",
    "maintenance.auto=false",
    "core.fsyncMethod=batch",
    "core.hooksPath=/dev/null",
    "protocol.version=2",
    "fetch.writeCommitGraph=false",
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "http:https:ssh:file",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10",
    "LC_ALL": "C",
}


@dataclass(frozen=True, slots=True)
class GitResult:
    """The result of a program: its exit code and its output."""

    code: int
    out: bytes
    err: bytes


class Git:
    """Starts git with the same settings and the same small environment each time."""

    def __init__(self, environ: Mapping[str, str], timeout: float) -> None:
        inherited = {name: environ[name] for name in _INHERITED if name in environ}
        self.environment = {"PATH": os.defpath, **inherited, **_ENVIRONMENT}
        self.timeout = timeout

    def read(
        self,
        mirror: Path,
        *arguments: str,
        more: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        given: bytes = b"",
    ) -> bytes:
        """Run git in `mirror` with `given` on its stdin, and return its output.

        Raises RepositoryUnavailable, with git's last line, if it fails.
        """
        result = self.run(mirror, *arguments, more=more, settings=settings, given=given)
        if result.code != 0:
            last = result.err.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise RepositoryUnavailable(f"git {arguments[0]}: {last[0][:200]}")
        return result.out

    def run(
        self,
        mirror: Path,
        *arguments: str,
        more: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        given: bytes = b"",
    ) -> GitResult:
        """Run git in `mirror` to its end, good or bad; raises RepositoryUnavailable if it takes too long.

        `more` adds to its environment, `settings` (`NAME=VALUE`) to its configuration.
        """
        command = ["git", *(part for setting in (*_SETTINGS, *settings) for part in ("-c", setting)), *arguments]
        environment = {**self.environment, "GIT_DIR": str(mirror.resolve()), **(more or {})}
        return run(command, mirror, environment, name=f"git {arguments[0]}", given=given, timeout=self.timeout)

    def read_some(self, mirror: Path, *arguments: str, more: Mapping[str, str], most: int) -> tuple[bytes, bool]:
        """Run git in `mirror`, and end it after `most` bytes of output; return those, and whether there was more.

        Raises RepositoryUnavailable if git fails or takes too long.
        """
        command = ["git", *(part for setting in _SETTINGS for part in ("-c", setting)), *arguments]
        environment = {**self.environment, "GIT_DIR": str(mirror.resolve()), **more}
        nothing = subprocess.DEVNULL
        try:
            process = subprocess.Popen(
                command, cwd=mirror, env=environment, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing
            )
        except OSError as fault:
            raise RepositoryUnavailable(f"git {arguments[0]} cannot be started: {fault.strerror}") from None
        timer = threading.Timer(self.timeout, process.kill)
        timer.start()
        with process:
            try:
                out = process.stdout.read(most + 1) if process.stdout else b""
                if len(out) <= most and process.wait() != 0:
                    raise RepositoryUnavailable(f"git {arguments[0]} failed, or took longer than {self.timeout:g} s")
            finally:
                process.kill()
                timer.cancel()
        return out[:most], len(out) > most


def run(
    command: list[str], folder: Path, environment: Mapping[str, str], *, name: str, given: bytes, timeout: float
) -> GitResult:
    """Run a program with `given` on its stdin; raises RepositoryUnavailable if it cannot be started or takes too long."""
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as fault:
        raise RepositoryUnavailable(f"{name} cannot be started: {fault.strerror}") from None
    try:
        out, err = process.communicate(given, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise RepositoryUnavailable(f"{name} took longer than {timeout:g} s") from None
    return GitResult(process.returncode, out, err)

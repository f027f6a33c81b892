"""The git program: how it is started for a bare mirror, what it may see while it runs, and the limits that end it.

Nothing of the repository runs: no hooks, no filter programs, no submodules. The settings of this machine and its users are
not read. At a limit, git and all that it started are ended.
"""

from __future__ import annotations

import os
import re
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.domain.errors import ContentTooLarge, RepositorySlow, RepositoryUnavailable

_INHERITED = ("PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE")  # what git and ssh need, and no TIDEGATE_ secret
_SETTINGS = (
    "gc.auto=0",
    "maintenance.auto=false",
    "core.fsyncMethod=batch",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.bigFileThreshold=16m",  # larger blobs are passed on in pieces, not held in memory
    "core.packedGitWindowSize=32m",  # a pack is seen through windows, so that it may be larger than the memory limit
    "core.packedGitLimit=512m",
    "pack.threads=2",
    "protocol.version=2",
    "fetch.writeCommitGraph=false",
    "http.followRedirects=false",  # also ends http-alternates: both would take the credential to another receiver
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "transfer.bundleURI=false",
    "fetch.uriProtocols=",
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "",  # `remote.py` allows the one that it needs
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ForwardAgent=no -o ForwardX11=no -o ClearAllForwardings=yes",
    "LC_ALL": "C",
}
_GIB = 1024**3
_MOST_OUTPUT = 256 * 1024 * 1024  # bytes of an answer that is held in memory
_MOST_MESSAGES = 64 * 1024  # bytes of stderr that are kept; the rest is dropped
_PIECE = 64 * 1024
_NO_MEMORY = re.compile(r"[Oo]ut of memory, \w+ failed|mmap failed.*Cannot allocate memory|inflateInit: out of memory")
# `exec` replaces the shell, so it costs no process. A limit that cannot be set ends it before git starts.
_UNDER_LIMITS = 'ulimit -t "$1" && ulimit -f "$2" && { [ -z "$3" ] || ulimit -v "$3"; } && shift 3 && exec "$@"'


@dataclass(frozen=True, slots=True)
class GitLimits:
    """The limits of one git process, and of one export. Times in seconds, sizes in bytes.

    `fetch_bytes` limits each file that git writes, so also the pack of a fetch.
    """

    seconds: float = 60.0
    fetch_seconds: float = 300.0
    memory_bytes: int = 4 * _GIB
    fetch_bytes: int = 4 * _GIB
    export_files: int = 200_000
    export_bytes: int = 4 * _GIB


@dataclass(frozen=True, slots=True)
class GitResult:
    """The result of a program: its exit code and its output."""

    code: int
    out: bytes
    err: bytes


class Git:
    """Starts git with the same settings, the same small environment and the same limits each time."""

    def __init__(self, environ: Mapping[str, str], limits: GitLimits) -> None:
        inherited = {name: environ[name] for name in _INHERITED if name in environ}
        self.environment = {"PATH": os.defpath, **inherited, **_ENVIRONMENT}
        self.limits = limits

    def read(
        self,
        mirror: Path,
        *arguments: str,
        more: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        given: bytes = b"",
        seconds: float | None = None,
        inherited: Sequence[int] = (),
    ) -> bytes:
        """Run git in `mirror` with `given` on its stdin, and return its output.

        Raises RepositoryUnavailable, with git's last line, if it fails, and what `run` raises.
        """
        result = self.run(mirror, *arguments, more=more, settings=settings, given=given, seconds=seconds, inherited=inherited)
        if result.code != 0:
            raise RepositoryUnavailable(f"git {arguments[0]}: {last_line(result)}")
        return result.out

    def run(
        self,
        mirror: Path,
        *arguments: str,
        more: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        given: bytes = b"",
        seconds: float | None = None,
        inherited: Sequence[int] = (),
    ) -> GitResult:
        """Run git in `mirror` to its end, good or bad; `inherited` files stay open in it.

        `more` adds to its environment, `settings` (`NAME=VALUE`) to its configuration. Raises RepositorySlow,
        RepositoryUnavailable if it cannot be started, or ContentTooLarge if it met a limit of memory, processor or file size.
        """
        command, environment = self._command(mirror, arguments, settings), self._seen(mirror, more)
        name = f"git {arguments[0]}"
        return run(command, mirror, environment, name=name, given=given, limits=self.limits, seconds=seconds, inherited=inherited)

    def start(self, mirror: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Start git in `mirror`, with pipes for questions and answers; the caller ends it with `end`."""
        command, limits = self._command(mirror, arguments, ()), self.limits
        return _start(limited(command, limits, limits.fetch_seconds), mirror, self._seen(mirror, None), f"git {arguments[0]}")

    def _command(self, mirror: Path, arguments: Sequence[str], settings: Sequence[str]) -> list[str]:
        return ["git", *(part for setting in (*_SETTINGS, *settings) for part in ("-c", setting)), *arguments]

    def _seen(self, mirror: Path, more: Mapping[str, str] | None) -> dict[str, str]:
        return {**self.environment, "GIT_DIR": str(mirror.resolve()), **(more or {})}


def run(
    command: list[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    name: str,
    given: bytes,
    limits: GitLimits,
    seconds: float | None = None,
    inherited: Sequence[int] = (),
) -> GitResult:
    """Run a program under the limits, with `given` on its stdin; raises as `Git.run`."""
    seconds = seconds or limits.seconds
    process = _start(limited(command, limits, seconds), folder, environment, name, inherited)
    try:
        out, err = _exchange(process, given, time.monotonic() + seconds, name)
        process.wait(max(1.0, seconds))
    except (RepositorySlow, subprocess.TimeoutExpired):
        raise RepositorySlow(f"{name} took longer than {seconds:g} s") from None
    finally:
        end(process)
    result = GitResult(process.returncode, out, err)
    if (met := limit_met(result, limits)) is not None:
        raise ContentTooLarge(f"{name} was ended: {met}")
    return result


def last_line(result: GitResult) -> str:
    """Return the last line of a program's messages."""
    lines = result.err.decode(errors="replace").strip().splitlines()[-1:] or [f"no message, exit code {result.code}"]
    return lines[0][:200]


def limited(command: Sequence[str], limits: GitLimits, seconds: float) -> list[str]:
    """Put a command under limits of processor, file size and memory, which all that it starts inherits.

    The limit of the processor ends what outlives this process, such as after a crash.
    """
    processor = _within(resource.RLIMIT_CPU, int(2 * seconds) + 5)
    blocks = _within(resource.RLIMIT_FSIZE, limits.fetch_bytes) // 512
    memory = str(_within(resource.RLIMIT_AS, limits.memory_bytes) // 1024) if sys.platform == "linux" else ""
    return ["/bin/sh", "-c", _UNDER_LIMITS, "sh", str(processor), str(blocks), memory, *command]


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all that it started, unless it has ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program unless it has ended, wait for its end, and close its pipes."""
    kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            _close(pipe)


def _close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):  # bytes that a program which has ended did not take
        pipe.close()


def _within(kind: int, wanted: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _start(
    command: list[str], folder: Path, environment: Mapping[str, str], name: str, inherited: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            pass_fds=tuple(inherited),
        )
    except OSError as fault:
        raise RepositoryUnavailable(f"{name} cannot be started: {fault.strerror}") from None


def _exchange(process: subprocess.Popen[bytes], given: bytes, ends: float, name: str) -> tuple[bytes, bytes]:
    """Write `given` and read all output meanwhile, until the program closes both; raises RepositorySlow or ContentTooLarge."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    out, err, left = bytearray(), bytearray(), memoryview(given)
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            selector.register(pipe, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(max(0.0, ends - time.monotonic()))
            if not ready:
                raise RepositorySlow(name)
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    left = _write(process.stdin, left)
                    if not left:
                        selector.unregister(process.stdin)
                        _close(process.stdin)
                    continue
                piece = os.read(key.fd, _PIECE)
                if not piece:
                    selector.unregister(key.fileobj)
                kept, most = (out, _MOST_OUTPUT) if key.fileobj is process.stdout else (err, _MOST_MESSAGES)
                kept += piece
                if key.fileobj is process.stderr:
                    del kept[:-most]  # the last line tells why
                elif len(kept) > most:
                    raise ContentTooLarge(f"{name} was ended: its answer is larger than {most} bytes")
    return bytes(out), bytes(err)


def _write(pipe: IO[bytes], left: memoryview) -> memoryview:
    """Write as much as fits; return the rest, or nothing if the program no longer reads."""
    try:
        return left[os.write(pipe.fileno(), left[:_PIECE]) :] if left else left
    except BlockingIOError:
        return left
    except BrokenPipeError:
        return left[:0]


def limit_met(result: GitResult, limits: GitLimits) -> str | None:
    """Say which limit ended git or a program that it started; None if none did."""
    if result.code == 0:
        return None
    lines = result.err.decode(errors="replace").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("remote:"))  # the forge's limits are not ours
    if result.code == -signal.SIGXFSZ or f"died of signal {int(signal.SIGXFSZ)}" in text or "File too large" in text:
        return f"a pack or file is larger than {limits.fetch_bytes} bytes (TIDEGATE_FETCH_BYTES)"
    if result.code == -signal.SIGXCPU or f"died of signal {int(signal.SIGXCPU)}" in text:
        return "it used more processor time than a git process may"
    if _NO_MEMORY.search(text):
        return f"it needs more than {limits.memory_bytes} bytes of memory (TIDEGATE_GIT_MEMORY_BYTES)"
    if result.code == -signal.SIGSEGV or f"died of signal {int(signal.SIGSEGV)}" in text:
        return "the repository's folders or commits are nested too deeply for git"
    return None

"""Run one command to its end, whatever happens to the worker: `python -m … FOLDER`, the task as JSON on stdin.

The runner holds FOLDER/lock while it runs. It writes `begun` before the command starts and `result.json` after it ended.
If the lock is taken, or one of these files is there, a runner ends at once: one dispatch id never runs twice. The module
imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

MASK = b"***"
LAST_LINE = 500
TIMED_OUT = 124


def main(folder: Path) -> None:
    """Take the lock, run the task, write its result."""
    task = json.loads(sys.stdin.buffer.read())
    with (folder / "lock").open("a") as lock:
        if not _take_lock(lock):
            return
        if (folder / "result.json").exists() or (folder / "begun").exists():
            return
        (folder / "begun").touch()
        code, output = _run(task, folder / "output")
        _write_result(folder, code, output)
        if task["remove"]:
            shutil.rmtree(task["remove"], ignore_errors=True)


def _take_lock(lock: IO[str]) -> bool:
    """Take the lock. A poll holds it for an instant, so one refusal does not mean that a runner has it."""
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def _run(task: dict[str, Any], path: Path) -> tuple[int, bytes]:
    token = task["token"].encode()
    try:
        process = subprocess.Popen(
            task["argv"],
            env=task["env"],
            cwd=task["cwd"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as fault:
        return 127, f"{task['argv'][0]}: {fault.strerror}".encode()
    code, output = _communicate(process, token, task)
    path.touch(mode=0o600)
    path.write_bytes(output)
    return code, output


def _communicate(process: subprocess.Popen[bytes], token: bytes, task: dict[str, Any]) -> tuple[int, bytes]:
    """Hand over the token, wait for the end, and return the exit code and the end of the output, masked.

    The output is masked before it is cut. Otherwise a cut could leave a part of the token, which the mask would miss.
    """
    output = bytearray()
    limit = task["output_limit"]

    def read() -> None:
        assert isinstance(process.stdout, io.BufferedReader)
        while piece := process.stdout.read1(65536):
            output.extend(piece)
            output[:] = output.replace(token, MASK)
            del output[: -(limit + len(token))]

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # a command need not read the token
        pipe.write(token + b"\n")
    try:
        code, note = process.wait(timeout=task["timeout"]), b""
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        code, note = TIMED_OUT, f"\nended after {task['timeout']:g} s".encode()
    reader.join(timeout=1.0)  # a grandchild may still hold the pipe; its later output is not the command's
    return code, bytes(output)[-limit:] + note


def _write_result(folder: Path, code: int, output: bytes) -> None:
    lines = output.decode(errors="replace").strip().splitlines()
    last = lines[-1][:LAST_LINE] if lines else ""
    result = {"exit": code, "detail": last if code == 0 else f"exit {code}: {last}"}
    fresh = folder / "result.new"
    with fresh.open("w") as file:
        json.dump(result, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, folder / "result.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""`tidegate …` in a process of its own, forked from one that has loaded it: loading takes longer than most of what is tried."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from app.cli.main import main

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


def tidegate(*arguments: str, folder: Path, env: Mapping[str, str], seconds: float = 60) -> tuple[int, bytes, bytes]:
    """Run it in this folder with nothing but these settings; return its exit status and all that it prints on both streams."""
    with TemporaryDirectory() as printed:
        out, err = Path(printed) / "out", Path(printed) / "err"
        process = _FORKS.Process(target=_command, args=(arguments, folder, dict(env), out, err))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"tidegate {' '.join(arguments)} takes more than {seconds} s")
        return process.exitcode, out.read_bytes(), err.read_bytes()


def _command(arguments: tuple[str, ...], folder: Path, env: dict[str, str], out: Path, err: Path) -> None:
    """Become what a shell would have started."""
    for number, path in ((0, Path(os.devnull)), (1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.argv = ["tidegate", *arguments]
    main()

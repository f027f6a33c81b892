"""Memory: a process that holds too much, and goes on to, gets a successor; one that does not, stays."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from app.stack.memory import MemoryWatch, resident_mib
from app.stack.supervisor import Supervisor
from tests.waiting import until

PROGRAM = """
import os, pathlib, subprocess, sys, time
child = "held = bytearray(int(sys.argv[1]) * 2**20); time.sleep(600)"
if "TIDEGATE_READY_FILE" in os.environ:
    pathlib.Path(os.environ["TIDEGATE_READY_FILE"]).touch()
subprocess.run([sys.executable, "-c", "import sys, time; " + child, sys.argv[1]])
"""


def test_what_holds_too_much_twice_in_a_row_is_replaced_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    commands = {name: shlex.join([sys.executable, "-c", PROGRAM, held]) for name, held in (("worker", "300"), ("slow", "1"))}
    supervisor = Supervisor(commands, dict(os.environ), log=tmp_path / "log")
    supervisor.start()
    said: list[str] = []
    try:
        until(lambda: resident_mib(supervisor.pid("worker") or -1) > 300)
        until(lambda: 0 < resident_mib(supervisor.pid("slow") or -1))
        worker, slow = supervisor.pid("worker"), supervisor.pid("slow")
        watch = MemoryWatch(supervisor, 200, drain_within=5, say=said.append)
        watch.look()
        assert supervisor.pid("worker") == worker
        watch.look()
        assert supervisor.pid("worker") not in (None, worker)
        assert supervisor.pid("slow") == slow
        assert said == ["worker holds more than 200 MiB: replacing it"]
    finally:
        supervisor.stop()


def test_a_session_that_does_not_exist_holds_nothing() -> None:
    assert resident_mib(-1) == 0

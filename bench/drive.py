"""Drive a receiver with the requests of a file: by `wrk` where it is installed, else by `load.py`."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.load import run
from bench.pushes import read_requests

SCRIPT = Path(__file__).with_name("wrk.lua")
LONGEST = 1800


@dataclass(frozen=True, slots=True)
class Round:
    """What came back. `unanswered` were sent when the time was up; `ran_out`: there were no more requests to send."""

    seconds: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]
    unanswered: int
    ran_out: bool
    tool: str

    @property
    def answered(self) -> int:
        """How many answers came, whatever they said."""
        return sum(self.statuses.values())

    def accepted(self, status: int) -> int:
        """How many answers bore this status."""
        return self.statuses.get(str(status), 0)


class Driver:
    """One load on one port; `start` and `finish` are apart so that several can run side by side."""

    def __init__(self, port: int, requests: Path, connections: int, seconds: float | None = None) -> None:
        """Take the requests' file; without `seconds` all of it is sent."""
        self._given = (port, requests, connections, seconds)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Driver:
        """Begin."""
        port, requests, connections, seconds = self._given
        if shutil.which("wrk"):
            command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds or LONGEST))}s", "--timeout=30s"]
            command += ["--latency", "-s", str(SCRIPT), f"http://127.0.0.1:{port}", "--", str(requests)]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return self

    def finish(self) -> Round:
        """Wait for the end; raises RuntimeError where wrk could not run, or answers broke off."""
        port, requests, connections, seconds = self._given
        if self._process is None:
            load = run(port, read_requests(requests), connections, seconds or LONGEST)
            statuses = {str(status): count for status, count in sorted(load.statuses.items())}
            return Round(load.seconds, load.percentile(0.5), load.percentile(0.99), statuses, 0, load.ran_out, "bench/load.py")
        assert self._process.stdout is not None
        said = []
        with self._process.stdout as lines:
            for line in lines:
                said.append(line)
                if line.startswith("ENOUGH"):
                    self._process.send_signal(signal.SIGINT)
        self._process.wait()
        return parse("".join(said))


def drive(port: int, requests: Path, connections: int, seconds: float | None = None) -> Round:
    """Drive one load to its end."""
    return Driver(port, requests, connections, seconds).start().finish()


def parse(out: str) -> Round:
    """Read what `wrk.lua` says at its end."""
    told = [line.removeprefix("BENCH ") for line in out.splitlines() if line.startswith("BENCH ")]
    if not told:
        raise RuntimeError(f"wrk did not come to its end: {out.strip()[-500:]}")
    said = json.loads(told[0])
    if said["broken"]:
        raise RuntimeError(f"{said['broken']} connections or answers broke: {out.strip()[-500:]}")
    unanswered = max(0, said["sent"] - said["answered"])
    return Round(said["seconds"], said["p50_ms"], said["p99_ms"], said["statuses"], unanswered, said["at_end"], "wrk")

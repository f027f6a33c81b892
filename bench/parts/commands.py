"""From the POST of a signed push until what it asks for has really been done: ours and `webhook`, in turns."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from app.domain.deployment import Stage
from bench import peers
from bench.effort import Effort
from bench.figures import summary
from bench.fleet import Rules, command_environment
from bench.pushes import signed
from bench.scenes import Site

WARM = 2
PATH = "/hooks/gogs"
BRANCH = "run"


def measure(effort: Effort) -> dict[str, Any]:
    """Return milliseconds until the command ran (`webhook`, our command target) and until our directory target was done."""
    found: dict[str, list[float]] = {"webhook": [], "command": [], "directory": []}
    with Site() as site:
        script, stamps = peers.stamping_script(site.folder)
        Rules(site).write(0, more=command_environment(site.folder, BRANCH, BRANCH, script))
        with peers.webhook(site.folder, str(script)) as peer:
            for n in range(effort.of(30, 5) + WARM):
                effort.noise.sample()
                push = site.commit(f"command {n}", account=site.alice)
                site.branch(BRANCH)
                found["webhook"].append(_until_stamp(peer.port, push, stamps))
                found["command"].append(_until_stamp(site.port, push | {"ref": f"refs/heads/{BRANCH}"}, stamps, site))
                found["directory"].append(_until_dispatched(site, push))
    return {name: summary(values[WARM:]) for name, values in found.items()}


def _until_stamp(port: int, push: dict[str, Any], stamps: Path, site: Site | None = None) -> float:
    before = stamps.stat().st_size
    sent, answer = _post(port, push)
    if site is not None:
        site.until_ended(answer.split()[-1].decode())
    while stamps.stat().st_size == before or not stamps.read_bytes().endswith(b"\n"):
        time.sleep(0.01)
    return (int(stamps.read_text().split()[-1]) - sent) / 1e6


def _until_dispatched(site: Site, push: dict[str, Any]) -> float:
    sent, answer = _post(site.port, push)
    view = site.until_ended(answer.split()[-1].decode())
    done = next(s.finished_at for s in view.stages if s.stage is Stage.DISPATCH_DEPLOY)
    return done.timestamp() * 1000 - sent / 1e6


def _post(port: int, push: dict[str, Any]) -> tuple[int, bytes]:
    """Send one push over a connection of its own; return when it was sent, and the answer."""
    request = signed(PATH, push).replace(b"Host:", b"Connection: close\r\nHost:", 1)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        sent = time.time_ns()
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    if answer.split(b" ", 2)[1] not in (b"200", b"202"):
        raise RuntimeError(f"not accepted: {answer[:200]!r}")
    return sent, answer

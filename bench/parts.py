"""The parts of the benchmark: receiver, push to dispatched, backlog, and Debian's `webhook` as a peer."""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from app.cli.demo_scene import SECRET, Scene
from app.domain.deployment import Stage
from app.stack.postgres import OWNER
from app.stack.server import answers
from app.store.reads import Reads
from bench.load import Load, run
from bench.pushes import pushes, signed

CONNECTIONS = (1, 16, 64)
UNWATCHED = 0.5  # seconds in which a push is left alone: watching it costs what is measured
Say = Callable[[str], None]


def template(scene: Scene) -> dict[str, Any]:
    """Return a push to fill in."""
    return scene.commit("the first", account=scene.alice)


@contextmanager
def only_the_receiver(scene: Scene) -> Iterator[None]:
    """Hold the workers still, so that the receiver is measured alone."""
    supervisor = scene.stack.supervisor
    assert supervisor is not None
    names = ("worker", "deployer", "slow", "beat", "flower")
    for name in names:
        supervisor.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in names:
            supervisor.kill(name, signal.SIGCONT)


def receiver(port: int, path: str, push: dict[str, Any], seconds: float) -> dict[int, Load]:
    """Measure answers a second at 1, 16 and 64 connections."""
    run(port, pushes(path, push, 400), 8, 1.0)  # warm up
    return {n: run(port, pushes(path, push, int(4000 * seconds)), n, seconds) for n in CONNECTIONS}


def memory(scene: Scene, push: dict[str, Any], total: int, steps: int = 5) -> tuple[list[tuple[int, float]], Load]:
    """Send `total` deliveries over 64 connections; return (deliveries, the receiver's MB) after each step, and the last load."""
    port, seen = scene.stack.ports["TIDEGATE_WEB_PORT"], []
    load = Load()
    for step in range(1, steps + 1):
        count = total // steps
        load = run(port, pushes("/hooks/gogs", push, count + 64), 64, 600, most=count)
        seen.append((step * count, _resident(scene)))
    return seen, load


def _resident(scene: Scene) -> float:
    supervisor = scene.stack.supervisor
    assert supervisor is not None
    group = supervisor.pid("web")
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        fields = status.read_text().rpartition(")")[2].split()
        if int(fields[2]) == group:
            total += int(fields[21]) * 4096
    return total / 1e6


def forget(scene: Scene) -> None:
    """Empty the inbox of what the load left there."""
    assert scene.stack.postgres is not None
    engine = create_engine(scene.stack.postgres.url(OWNER))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM deliveries WHERE state = 'pending'"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE deliveries"))
    engine.dispose()


def push_to_dispatched(scene: Scene, pushes_made: int) -> tuple[list[float], dict[str, float]]:
    """Push one after the other on an idle stack; return seconds from receipt to dispatched, and each stage's median."""
    reads = _reads(scene)
    whole: list[float] = []
    stages: dict[str, list[float]] = {}
    for n in range(pushes_made):
        delivery_id = scene.deliver(scene.commit(f"latency {n}", account=scene.alice))
        time.sleep(UNWATCHED)
        while not (made := reads.deployments(1, delivery_id=delivery_id)) or not made[0].has_ended:
            time.sleep(0.1)
        view = reads.deployment(made[0].id)
        started = reads.delivery(view.deployment.delivery_id or "").received_at
        ended = {s.stage: s for s in view.stages}
        whole.append((ended[Stage.DISPATCH_DEPLOY].finished_at - started).total_seconds())
        last = started
        for stage, result in ended.items():
            stages.setdefault(f"wait before {stage}", []).append((result.started_at - last).total_seconds())
            stages.setdefault(stage, []).append((result.finished_at - result.started_at).total_seconds())
            last = result.finished_at
    return whole, {name: statistics.median(values) for name, values in stages.items()}


def backlog(scene: Scene, count: int) -> tuple[float, Counter[str]]:
    """Queue one push for each of `count` environments while the workers stand still; return pipelines a second."""
    _many_environments(scene, count)
    port = scene.stack.ports["TIDEGATE_WEB_PORT"]
    push = scene.commit("for every branch", account=scene.alice)
    for n in range(count):
        scene.branch(f"b{n}")
    with only_the_receiver(scene):
        made = [signed("/hooks/gogs", push | {"ref": f"refs/heads/b{n}"}) for n in range(count)]
        run(port, iter(made), 8, 600, most=count)
    began, reads = time.perf_counter(), _reads(scene)
    while len(mine := [d for d in reads.deployments(count) if d.ref.startswith("refs/heads/b")]) < count or any(
        not d.has_ended for d in mine
    ):
        time.sleep(0.1)
    return count / (time.perf_counter() - began), Counter(d.state.value for d in mine)


def _many_environments(scene: Scene, count: int) -> None:
    """Add an environment and a directory a branch: one environment takes only one deployment at a time."""
    parts = []
    for n in range(count):
        parts.append(f'[targets.t{n}]\nkind = "directory"\nzone = "here"\npath = "{scene.folder}/sites/t{n}"\n')
        parts.append(
            f'[[environments]]\nname = "e{n}"\nrepository = "gogs:acme/shop"\ndeploys = ["branch:b{n}"]\n'
            f'targets = ["t{n}"]\naudience = "https://shop.example/e{n}"\n'
        )
    with (scene.folder / "tidegate.toml").open("a") as file:
        file.write("\n" + "\n".join(parts))


def peer(port: int, folder: Path, push: dict[str, Any], seconds: float) -> dict[int, Load] | None:
    """Measure Debian's `webhook` with the same signed POST, where it is installed: it checks and starts /bin/true."""
    program = shutil.which("webhook")
    if program is None:
        return None
    signature = {"source": "header", "name": "X-Gogs-Signature"}
    rule = {"match": {"type": "payload-hmac-sha256", "secret": SECRET, "parameter": signature}}
    hook = {"id": "gogs", "execute-command": "/bin/true", "trigger-rule": rule}
    (folder / "hooks.json").write_text(json.dumps([hook]))
    command = [program, "-hooks", str(folder / "hooks.json"), "-ip", "127.0.0.1", "-port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answers(port):
            time.sleep(0.05)
        return receiver(port, "/hooks/gogs", push, seconds)
    finally:
        process.terminate()
        process.wait()


def _reads(scene: Scene) -> Reads:
    assert scene.stack.postgres is not None
    return Reads(create_engine(scene.stack.postgres.url(OWNER)))

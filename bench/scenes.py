"""A stack of the benchmark's own (the demo's scene), held still, looked into, and grown by extra processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Self

import psycopg
import redis

from app.bootstrap import Process, build
from app.settings import load_settings
from app.stack.postgres import OWNER
from app.stack.scene import Scene
from app.stack.secrets import load_or_make_secret
from app.stack.server import answers
from app.stack.supervisor import Supervisor, read_procfile
from app.stack.up import ROOT
from app.store.queue.consumers import readers
from app.store.queue.wakes import PLAN, QUEUES, make_celery
from app.store.reads import DeploymentView
from tests.ports import free_port, stack_ports

PROCFILE = read_procfile(ROOT / "Procfile")
RECEIVER = "web"
CONSUMERS = ("worker", "deployer", "slow")
PATIENCE = 180.0
UNWATCHED = 0.5  # seconds in which a push is left alone: watching it costs what is measured


class Site(Scene):
    """One stack with a scratch repository, and what the benchmark needs of it."""

    def __init__(self, **settings: str) -> None:
        unlimited = {"TIDEGATE_DELIVERY_RATE": "1e9", "TIDEGATE_DELIVERY_BURST": "1000000000"}  # one repository sends all
        super().__init__(lambda _: None, **(stack_ports() | unlimited | settings))
        self._more: list[tuple[list[str], Supervisor]] = []

    @property
    def port(self) -> int:
        """Port of the (first) receiver."""
        return self.stack.ports["TIDEGATE_WEB_PORT"]

    @cached_property
    def process(self) -> Process:
        """The services of a process of ours, on this stack's database and Redis."""
        return build(load_settings(self.env), pool_size=2)

    @cached_property
    def redis(self) -> redis.Redis:
        """A client of this stack's Redis."""
        return redis.Redis.from_url(self.env["TIDEGATE_REDIS_URL"])

    @contextmanager
    def sql(self, *, superuser: bool = False) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """Open an autocommitting connection as the owner of the tables, or as one who may do anything."""
        assert self.stack.postgres is not None
        url = self.stack.postgres.url(OWNER).replace("postgresql+psycopg", "postgresql")
        if superuser:
            password, _ = load_or_make_secret(self.stack.state / "secrets" / "postgres-postgres")
            url = f"postgresql://postgres:{password}@{url.rpartition('@')[2]}"
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection

    def __enter__(self) -> Self:
        """Start everything."""
        super().__enter__()
        return self

    def roots(self) -> dict[str, int]:
        """Name every process of the stack with its id; descendants are theirs."""
        assert self.stack.supervisor is not None
        pids = {name: self.stack.supervisor.pid(name) for name in PROCFILE}
        pids["postgres"] = self.stack.postgres.server.pid if self.stack.postgres else None
        pids["redis"] = self.stack.redis.server.pid if self.stack.redis else None
        return {name: pid for name, pid in pids.items() if pid is not None}

    def add(self, names: Sequence[str], number: int, **env: str) -> None:
        """Start one more of each of these processes, by the Procfile's own lines under names of their own."""
        commands = {f"{name}{number}": PROCFILE[name].replace(f"-n {name}@", f"-n {name}{number}@") for name in names}
        supervisor = Supervisor(commands, self.env | env, log=self.folder / "processes.log")
        supervisor.start()
        self._more.append((list(commands), supervisor))

    def consumers(self) -> list[str]:
        """Name the workers and deployers that run."""
        return [*CONSUMERS, *(name for names, _ in self._more for name in names if not name.startswith(RECEIVER))]

    def add_receiver(self, number: int) -> int:
        """Start one more receiver; return its port."""
        port = free_port()
        self.add([RECEIVER], number, TIDEGATE_WEB_PORT=str(port))
        until = time.monotonic() + PATIENCE
        while not answers(port):
            if time.monotonic() > until:
                raise RuntimeError("the second receiver does not answer")
            time.sleep(0.05)
        return port

    def until_consuming(self, count: int) -> None:
        """Wait until `count` workers have reported the queues that they read."""
        app, until = make_celery(self.env["TIDEGATE_REDIS_URL"]), time.monotonic() + PATIENCE
        while len(readers(app)) < count:
            if time.monotonic() > until:
                raise RuntimeError(f"{count} workers do not read their queues; see {self.folder}/processes.log")
            time.sleep(0.5)

    @contextmanager
    def only_the_receivers(self) -> Iterator[None]:
        """Hold everything still that would work on what was received."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Stop all processes but the receivers where they are."""
        self._signal(signal.SIGSTOP)

    def release(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def until_ended(self, delivery_id: str) -> DeploymentView:
        """Leave a push alone for a while, then look until its deployment has ended."""
        time.sleep(UNWATCHED)
        reads = self.process.reads
        while not (made := reads.deployments(1, delivery_id=delivery_id)) or not made[0].has_ended:
            time.sleep(0.1)
        return reads.deployment(made[0].id)

    def wake(self) -> None:
        """Tell the planner that the inbox holds something, as the receiver would."""
        self.process.celery.send_task(PLAN, args=("",), queue=QUEUES[PLAN], ignore_result=True)

    def _signal(self, how: signal.Signals) -> None:
        assert self.stack.supervisor is not None
        for names, supervisor in [(list(PROCFILE), self.stack.supervisor), *self._more]:
            for name in names:
                if not name.startswith(RECEIVER):
                    supervisor.kill(name, how)

    def _end(self) -> None:
        for _, supervisor in self._more:
            supervisor.stop()
        super()._end()

"""Do the faults of the schedule to the world, each in a thread of its own, and write down when each struck and was healed."""

from __future__ import annotations

import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.torture.history import Struck
from tests.torture.processes import Generation
from tests.torture.schedule import Fault
from tests.torture.world import World, signal_tree

AT_ONCE = 3


class Faults:
    """Strikes with faults; what is struck already is struck again only after it was healed."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        self._world = world
        self._say = say
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._room = threading.Semaphore(AT_ONCE)
        self._threads: list[threading.Thread] = []
        self.struck: list[Struck] = []
        self.broken: list[str] = []

    def strike(self, fault: Fault) -> None:
        """Begin a fault; waits while three are under way."""
        self._room.acquire()
        thread = threading.Thread(target=self._struck, args=(fault,), name=f"fault-{fault.index}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def heal(self) -> None:
        """Wait until every fault is over."""
        for thread in self._threads:
            thread.join(120)

    def _struck(self, fault: Fault) -> None:
        with self._locks[self._resource(fault)]:
            began, note = time.monotonic(), ""
            try:
                note = getattr(self, "_" + fault.kind.replace("-", "_"))(fault) or ""
            except Exception as broken:  # a fault that cannot be done is a broken harness, and is told as such
                self.broken.append(f"fault {fault.index} {fault.kind}: {type(broken).__name__}: {broken}")
            self.struck.append(Struck(fault.index, fault.kind, fault.what, began, time.monotonic(), note))
        self._room.release()

    def _resource(self, fault: Fault) -> str:
        if fault.kind in ("kill", "stop", "long-stop", "term", "upgrade"):
            return "processes" if fault.kind == "upgrade" else f"process {fault.what}"
        if fault.kind == "clock":
            return f"clock {fault.what}"
        if fault.kind.startswith(("redis", "postgres")):
            return fault.kind.partition("-")[0]
        if fault.kind in ("cut", "delay", "stall", "refuse"):
            return f"link {fault.what}"
        return fault.kind

    @property
    def _newest(self) -> Generation:
        return self._world.generations[-1]

    def _kill(self, fault: Fault) -> None:
        self._newest.signal(fault.what, signal.SIGKILL)

    def _term(self, fault: Fault) -> None:
        self._newest.signal(fault.what, signal.SIGTERM)
        time.sleep(1.0)

    def _stop(self, fault: Fault) -> None:
        generation = self._newest
        generation.signal(fault.what, signal.SIGSTOP)
        time.sleep(fault.seconds)
        generation.signal(fault.what, signal.SIGCONT)

    _long_stop = _stop

    def _redis_wipe(self, fault: Fault) -> None:
        server = self._world.redis[self._world.active]
        server.kill()
        server.wipe()
        time.sleep(fault.seconds)
        server.start()
        self._world.follow()

    def _redis_stop(self, fault: Fault) -> None:
        pid = self._world.redis[self._world.active].server.pid
        signal_tree(pid, signal.SIGSTOP)
        time.sleep(fault.seconds)
        signal_tree(pid, signal.SIGCONT)

    def _redis_failover(self, fault: Fault) -> str:
        """The active one dies, the replica is promoted, and clients find it under the same address."""
        world = self._world
        assert world.proxy is not None
        dead, heir = world.active, world.standby
        world.redis[dead].kill()
        time.sleep(fault.seconds)
        with world.client(heir) as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        world.active = heir
        world.proxy.order("redis", "upstream", port=world.ports[heir])
        world.redis[dead].wipe()
        world.redis[dead].start()
        world.follow()
        return f"{dead} -> {heir}"

    def _postgres_kill(self, fault: Fault) -> None:
        self._world.postgres.kill()
        time.sleep(fault.seconds)
        self._world.postgres.start()

    def _postgres_stop(self, fault: Fault) -> None:
        pid = self._world.postgres.server.pid
        signal_tree(pid, signal.SIGSTOP)
        time.sleep(fault.seconds)
        signal_tree(pid, signal.SIGCONT)

    def _cut(self, fault: Fault) -> None:
        self._order(fault, "cut")

    def _delay(self, fault: Fault) -> None:
        self._order(fault, "delay", seconds=fault.amount)
        time.sleep(fault.seconds)
        self._order(fault, "delay", seconds=0)

    def _stall(self, fault: Fault) -> None:
        self._order(fault, "stall")
        time.sleep(fault.seconds)
        self._order(fault, "pass")

    def _refuse(self, fault: Fault) -> None:
        self._order(fault, "refuse")
        time.sleep(fault.seconds)
        self._order(fault, "pass")

    def _order(self, fault: Fault, do: str, **more: object) -> None:
        assert self._world.proxy is not None
        self._world.proxy.order(fault.what, do, **more)

    def _disk_full(self, fault: Fault) -> str:
        if not self._world.has_disk:
            return "left out: no file system to fill"
        filler = self._world.folder / "disk" / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        time.sleep(fault.seconds)
        filler.unlink()
        return ""

    def _forge_away(self, fault: Fault) -> None:
        self._world.forge.hide()
        time.sleep(fault.seconds)
        self._world.forge.show()

    def _clock(self, fault: Fault) -> None:
        clock: Path = self._world.logs / f"clock-{fault.what}"
        clock.write_text(str(fault.amount))
        time.sleep(fault.seconds)
        clock.write_text("0")

    def _target(self, fault: Fault) -> None:
        self._world.tell_target(fault.what)
        time.sleep(fault.seconds)
        self._world.tell_target("well")

    def _upgrade(self, fault: Fault) -> str:
        """Old and new code at once, then the old one is asked to end; who listens on a port is replaced in one go."""
        old = self._newest
        new = self._world.next_generation()
        new.start(*(n for n in new.names if n not in new.bound()))
        time.sleep(fault.seconds)
        old.stop(*old.bound())
        new.start(*new.bound())
        old.stop(*old.names)
        return f"generation {new.number}"

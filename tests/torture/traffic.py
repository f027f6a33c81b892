"""Send the plan's requests: a lane for each repository, as a forge has, and lanes for everything that has no order."""

from __future__ import annotations

import http.client
import queue
import random
import threading
import time
from collections.abc import Callable

from app.bootstrap import build
from app.domain.errors import GateError
from app.integrations.system import operator
from app.pipeline.line.rollback import rollback
from app.settings import load_settings
from app.stack.server import answers
from tests.torture.cast import REPOSITORIES
from tests.torture.faults import Faults
from tests.torture.gather import under_way
from tests.torture.history import Answer
from tests.torture.plan import MOVING, Act, Plan
from tests.torture.requests import Request, Requests
from tests.torture.world import World

TIMEOUT = 5.0  # Gogs' DELIVER_TIMEOUT is 15 s; a shorter one leaves more requests without an answer
FREE_LANES = 6
LONGEST_LANE = 40
MOST_UNDER_WAY = 60  # deployments
LONGEST_BREATH = 90.0
REDELIVERED = 0.75  # the share of failed deliveries that somebody sends again
TRIES = 4
ENDING_TRIES = 60


class Traffic:
    """Plays the plan. Each answer is written down; requests without one are sent again, most of them."""

    def __init__(self, world: World, plan: Plan, requests: Requests, *, rate: float) -> None:
        self._world = world
        self._plan = plan
        self._requests = requests
        self._rate = rate
        self._chance = random.Random(f"{plan.seed}:redeliveries")
        self._lanes: dict[str, queue.Queue[Callable[[], None] | None]] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._moved = {act.index: threading.Event() for act in plan.acts if act.kind in MOVING}
        self.answers: list[Answer] = []
        self.rollbacks: list[str] = []
        self.broken: list[str] = []

    def play(self, faults: Faults, say: Callable[[str], None]) -> None:
        """Send everything but the endings, at most `rate` a second, while the faults strike."""
        self._open()
        waiting = list(self._plan.faults)
        held: list[tuple[int, Act]] = []
        began = time.monotonic()
        for act in self._plan.acts:
            while waiting and waiting[0].at <= act.index:
                faults.strike(waiting.pop(0))
            self._release(held, act.index)
            self._begin(act, held)
            self._wake_later()
            if act.index % 10 == 0:
                self._breathe()
            if act.index % 1000 == 999:
                say(f"{act.index + 1} deliveries, {len(faults.struck)} faults, {time.monotonic() - began:.0f} s")
            time.sleep(max(0.0, began + act.index / self._rate - time.monotonic()))
            began = max(began, time.monotonic() - act.index / self._rate - 1)  # what a fault held up is not made up for
        for fault in waiting:
            faults.strike(fault)
        faults.heal()
        self._release(held, None)
        self._drain()

    def end(self, acts: tuple[Act, ...]) -> None:
        """Send these, one after the other, each until it is accepted."""
        for act in acts:
            self._move(act)
            request = self._requests.of(act)
            for attempt in range(ENDING_TRIES):
                if self._send(act, request, attempt) is not None:
                    break
                time.sleep(0.5)

    def _open(self) -> None:
        for name in (*REPOSITORIES, *(f"free-{n}" for n in range(FREE_LANES))):
            lane: queue.Queue[Callable[[], None] | None] = queue.Queue(LONGEST_LANE)
            thread = threading.Thread(target=self._run, args=(lane,), name=f"lane-{name}", daemon=True)
            self._lanes[name] = lane
            self._threads.append(thread)
            thread.start()

    def _run(self, lane: queue.Queue[Callable[[], None] | None]) -> None:
        while (step := lane.get()) is not None:
            try:
                step()
            except Exception as broken:  # the harness itself: told at the end
                self.broken.append(f"{type(broken).__name__}: {broken}")
            finally:
                lane.task_done()

    def _begin(self, act: Act, held: list[tuple[int, Act]]) -> None:
        if act.kind == "rollback":
            return self._lanes["free-0"].put(lambda: self._roll_back(act))
        if act.kind in MOVING:
            lane = self._lanes[act.repository]
            if not act.hold:
                return lane.put(lambda: (self._move(act), self._deliver(act, 0)) and None)
            held.append((act.index + act.hold, act))
            return lane.put(lambda: self._move(act))
        self._lanes[self._free(act)].put(lambda: self._deliver(act, 0))

    def _free(self, act: Act) -> str:
        return f"free-{act.index % FREE_LANES}"

    def _release(self, held: list[tuple[int, Act]], until: int | None) -> None:
        """Send what was held back: it comes after its successors, out of order."""
        for due, act in list(held):
            if until is None or due <= until:
                held.remove((due, act))
                self._lanes[self._free(act)].put(lambda act=act: self._deliver(act, 0))  # type: ignore[misc]

    def _breathe(self) -> None:
        """Send nothing more, and begin no fault, while the receiver is starting or too much is under way.

        So a slow machine is struck at work too, and the plan is not spent on a closed port.
        """
        until = time.monotonic() + LONGEST_BREATH
        while time.monotonic() < until and not answers(self._world.ports["web"]):
            time.sleep(0.2)
        most = MOST_UNDER_WAY
        while time.monotonic() < until and (under_way(self._world) or 0) > most:
            most = MOST_UNDER_WAY // 2
            self._wake_later()
            time.sleep(0.5)

    def _move(self, act: Act) -> None:
        requests, name = self._requests, act.after
        object_id = requests.id_of(act, name) if name else None
        self._world.forge.move(act.repository, act.ref, object_id, requests.commit_of(act) if name else None)
        if act.index in self._moved:
            self._moved[act.index].set()

    def _deliver(self, act: Act, attempt: int) -> None:
        if act.of in self._moved:  # nobody can repeat what the forge has not sent yet
            self._moved[act.of].wait(LONGEST_BREATH)
        request = self._requests.of(act)
        if self._send(act, request, attempt) is None and attempt < TRIES:
            with self._lock:
                if self._chance.random() < REDELIVERED:
                    due = time.monotonic() + self._chance.uniform(0.5, 6)
                    self._later.append((due, lambda: self._deliver(act, attempt + 1)))

    def _wake_later(self, everything: bool = False) -> bool:
        """Send again what is due; tell whether anything waits still."""
        now = time.monotonic()
        with self._lock:
            due = [step for at, step in self._later if everything or at <= now]
            self._later = [(at, step) for at, step in self._later if not everything and at > now]
        for n, step in enumerate(due):
            self._lanes[f"free-{n % FREE_LANES}"].put(step)
        return bool(due)

    def _drain(self) -> None:
        while True:
            for lane in self._lanes.values():
                lane.join()
            if not self._wake_later(everything=True):
                return

    def close(self) -> None:
        """End the lanes."""
        for lane in self._lanes.values():
            lane.put(None)
        for thread in self._threads:
            thread.join()

    def _send(self, act: Act, request: Request, attempt: int) -> int | None:
        """Send once and write the answer down; None where it was not accepted and may be sent again."""
        began = time.monotonic()
        status, text = self._post(request)
        answer = Answer(act.index, request.delivery, attempt, began, time.monotonic(), status, text)
        with self._lock:
            self.answers.append(answer)
        return status if status is not None and status != 503 else None

    def _post(self, request: Request) -> tuple[int | None, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "GogsServer"}
        headers |= {"X-Gogs-Delivery": request.delivery, "X-Gogs-Event": request.header}
        if request.signature is not None:
            headers["X-Gogs-Signature"] = request.signature
        connection = http.client.HTTPConnection("127.0.0.1", self._world.ports["web"], timeout=TIMEOUT)
        try:
            connection.request("POST", "/hooks/gogs", request.body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace").partition("\n")[0]
        except (OSError, http.client.HTTPException) as fault:
            return None, type(fault).__name__
        finally:
            connection.close()

    def _roll_back(self, act: Act) -> None:
        """Ask for the release before, as `tidegate deployment rollback` does; through the proxies, so it may fail."""
        process = build(load_settings(self._world.env), pool_size=1)
        self.rollbacks.append(act.detail)
        try:
            rollback(process.services, act.detail, None, operator())
        except GateError:
            pass  # nothing to go back to, or the database is away: then it may or may not have happened
        finally:
            process.engine.dispose()
